//! Over how many partitions rows are spread that lie together for their day or their batch: over as
//! many as there are rows for.
//!
//! A *level* is a number of bits: the first bits of a code's hash name one of so many partitions. A day
//! begins on the first level and goes to the next one when those before it are full; rows stay where
//! they are. Each process counts what it writes and adds it to the day's plan whenever it is an eighth
//! of a partition's worth. The number there only rises, and with it the level. Whoever looks for rows reads
//! it and looks on each level up to that; whoever writes may be a little behind, which is one more row
//! on a lower level. What came back to a batch is spread in the same way (`stock/returned.rs`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use coupon::code::Code;
use coupon::time::Day;
use tokio::time::Instant;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::Store;
use super::session::{Result, StatementProfile};
use super::values::{date, signed, tie};

/// Rows that one partition takes, some 100 bytes each, so that it stays far below 100 MB and, when all
/// of them are deleted, below the 100,000 tombstones at which a read gives up.
pub const PARTITION_ROWS: u64 = 1 << 16;

/// The levels after the first one. The last is enough for a billion rows.
const LEVELS: [u8; 4] = [4, 8, 11, 14];

/// Parts of a partition's worth in which a process adds what it has written: what ten of them have
/// not added yet is little more than one partition's worth.
const COUNTED_IN: u64 = 8;

/// Fewer rows are not worth a conditional write, however small the partitions are.
const COUNTED_MIN: u64 = 16;

/// How long a process goes by what it has read of a day or a batch.
const BEHIND: Duration = Duration::from_secs(5);

/// Days or batches that a process counts for; past it, it begins anew.
const COUNTED_MAX: usize = 4_096;

/// Which index rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Spread {
    /// `expiring`, by the day on which a coupon expires.
    Expiring,
    /// `closed`, by the day of the partition that the coupon is in; its first level follows the
    /// number of the day's buckets: 16 partitions of 4,096 buckets.
    Closed {
        /// How many bits name a bucket of the day.
        bucket_bits: u8,
    },
}

impl Spread {
    fn first(self) -> FirstLevel {
        match self {
            Spread::Expiring => FirstLevel(4),
            Spread::Closed { bucket_bits } => FirstLevel(bucket_bits / 3),
        }
    }

    /// The number of the partition of a code on a level.
    pub(super) fn partition(self, level: u8, code: &Code) -> i32 {
        self.first().partition(level, code)
    }
}

/// The level on which rows begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstLevel(pub(super) u8);

impl FirstLevel {
    /// The levels of so many rows.
    pub(super) fn levels(self, rows: u64, partition_rows: u64) -> Vec<u8> {
        let mut levels = vec![self.0];
        for next in LEVELS.into_iter().filter(|level| *level > self.0) {
            let last = levels.last().copied().unwrap_or(0);
            if rows < partition_rows << last {
                break;
            }
            levels.push(next);
        }
        levels
    }

    /// The number of the partition of a code on a level. Those of the first level begin with 0, those
    /// of another behind all that lower ones can have.
    pub(super) fn partition(self, level: u8, code: &Code) -> i32 {
        // The top bits: the rest orders the coupons inside.
        let top = ((u128::from(tie(code)) << level) >> 63) as i32;
        if level == self.0 { top } else { (1 << level) + top }
    }

    pub(super) fn partitions(self, levels: &[u8]) -> Vec<i32> {
        let on = |level: u8| {
            let first = if level == self.0 { 0 } else { 1 << level };
            first..first + (1_i32 << level)
        };
        levels.iter().flat_map(|level| on(*level)).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// As the store said.
    pub(super) rows: u64,
    read_at: Instant,
    /// Written here since and not yet added to what the store says, from [`Store::first_count`] on.
    more: u64,
}

/// What this process knows of the numbers of rows of days, or of batches.
#[derive(Debug)]
pub(super) struct Spreads<K>(Mutex<HashMap<K, Counted>>);

impl Counted {
    /// Whether others may have written so much since that the store is to be asked again.
    pub(super) fn is_behind(&self) -> bool {
        self.read_at.elapsed() >= BEHIND
    }
}

impl<K> Default for Spreads<K> {
    fn default() -> Spreads<K> {
        Spreads(Mutex::default())
    }
}

impl<K: Eq + Hash> Spreads<K> {
    pub(super) fn get(&self, key: &K) -> Option<Counted> {
        self.0.lock().ok()?.get(key).copied()
    }

    /// Keeps what the store says. Of a new key the count of what is written begins at `more`.
    pub(super) fn keep(&self, key: K, rows: u64, more: u64) {
        let Ok(mut all) = self.0.lock() else { return };
        if all.len() >= COUNTED_MAX && !all.contains_key(&key) {
            all.clear();
        }
        let read_at = Instant::now();
        let counted = all.entry(key).or_insert(Counted { rows, read_at, more });
        (counted.rows, counted.read_at) = (counted.rows.max(rows), read_at);
    }

    /// Counts rows that are about to be written; as many as are to be added to the store's number by
    /// now.
    pub(super) fn count(&self, key: &K, rows: u64, step: u64) -> u64 {
        let Ok(mut all) = self.0.lock() else { return 0 };
        let Some(counted) = all.get_mut(key) else { return 0 };
        counted.more += rows;
        // Whole steps alone: the sum is right on average because the rest goes on counting.
        let whole = counted.more - counted.more % step;
        counted.more -= whole;
        whole
    }

    /// Counts rows again that could not be added to the store's number.
    pub(super) fn put_back(&self, key: &K, rows: u64) {
        let Ok(mut all) = self.0.lock() else { return };
        let Some(counted) = all.get_mut(key) else { return };
        counted.more += rows;
    }
}

impl Store {
    /// The level for rows that are about to be written; counts them.
    pub(super) async fn level_to_write(&self, spread: Spread, day: Day, rows: u64) -> Result<u8> {
        let key = (spread, day);
        // Each process counts for itself: without another look ten of them would fill the first level
        // ten times.
        if self.spreads.get(&key).is_none_or(|it| it.is_behind()) {
            self.keep_rows(key, self.index_rows(spread, day).await?);
        }
        let more = self.spreads.count(&key, rows, self.count_step());
        if more > 0 {
            match self.add_index_rows(spread, day, more).await {
                Ok(rows) => self.keep_rows(key, rows),
                Err(error) => {
                    self.spreads.put_back(&key, more);
                    return Err(error);
                }
            }
        }
        let (rows, full) =
            (self.spreads.get(&key).map_or(0, |it| it.rows), self.options.partition_rows);
        Ok(spread.first().levels(rows, full).last().copied().unwrap_or(0))
    }

    fn keep_rows(&self, key: (Spread, Day), rows: u64) {
        self.spreads.keep(key, rows, self.first_count());
    }

    /// The number from which this process counts rows. What it has not added to the store's number
    /// when it ends is lost, and a process that does not live long would never add anything. From a
    /// random number below one step it adds one as often, on average, as it writes one.
    pub(super) fn first_count(&self) -> u64 {
        xxh3_64(Uuid::now_v7().as_bytes()) % self.count_step()
    }

    /// How many rows a process adds to the store's number at a time.
    pub(super) fn count_step(&self) -> u64 {
        (self.options.partition_rows / COUNTED_IN).max(COUNTED_MIN)
    }

    /// Every partition that may have rows of a day at this moment.
    pub(super) async fn partitions(&self, spread: Spread, day: Day) -> Result<Vec<i32>> {
        let rows = self.index_rows(spread, day).await?;
        self.keep_rows((spread, day), rows);
        let first = spread.first();
        Ok(first.partitions(&first.levels(rows, self.options.partition_rows)))
    }

    /// Every partition in which the row of a code may be, as of a few seconds ago.
    pub(super) async fn partitions_of(
        &self,
        spread: Spread,
        day: Day,
        code: &Code,
    ) -> Result<Vec<i32>> {
        let key = (spread, day);
        let known = self.spreads.get(&key).filter(|it| !it.is_behind());
        let rows = match known {
            Some(known) => known.rows,
            None => {
                let rows = self.index_rows(spread, day).await?;
                self.keep_rows(key, rows);
                rows
            }
        };
        let levels = spread.first().levels(rows, self.options.partition_rows);
        Ok(levels.into_iter().map(|level| spread.partition(level, code)).collect())
    }

    async fn index_rows(&self, spread: Spread, day: Day) -> Result<u64> {
        let cql = match spread {
            Spread::Expiring => "SELECT expiring_rows FROM partition_plan WHERE expiry_day = ?",
            Spread::Closed { .. } => "SELECT closed_rows FROM partition_plan WHERE expiry_day = ?",
        };
        let row: Option<(Option<i64>,)> =
            self.cluster.row(StatementProfile::Read, cql, (date(day),)).await?;
        Ok(row.and_then(|(rows,)| rows).map_or(0, i64::unsigned_abs))
    }

    /// Adds to the rows of a day; how many there are then. May add twice what is not answered: that is
    /// a day that goes to the next level a little early.
    async fn add_index_rows(&self, spread: Spread, day: Day, more: u64) -> Result<u64> {
        let cql = match spread {
            Spread::Expiring => {
                "UPDATE partition_plan SET expiring_rows = ? WHERE expiry_day = ? IF expiring_rows = ?"
            }
            Spread::Closed { .. } => {
                "UPDATE partition_plan SET closed_rows = ? WHERE expiry_day = ? IF closed_rows = ?"
            }
        };
        let mut attempts = self.attempts("the size of a day");
        loop {
            let _lock = attempts.looked(self.write_locks.lock(("day", day)).await)?;
            let rows = attempts.looked(self.index_rows(spread, day).await)?;
            let present = (rows > 0).then(|| signed(rows));
            let values = (signed(rows + more), date(day), present);
            let cas = self.cluster.change(attempts.profile(), cql, values).await;
            let applied = matches!(cas, Ok(super::outcome::Cas::Applied));
            if attempts.wrote(cas).await? && applied {
                return Ok(rows + more);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index row with its key, as a page of a table has it.
    const ROW_BYTES: u64 = 200;

    const BILLION: u64 = 1_000_000_000;

    /// Rows come one partition's worth at a time; the most that any partition of any level has.
    fn fullest(first: FirstLevel, rows: u64) -> u64 {
        let (mut there, mut on_level) = (0, HashMap::new());
        while there < rows {
            let more = PARTITION_ROWS.min(rows - there);
            let level = *first.levels(there, PARTITION_ROWS).last().expect("the first");
            *on_level.entry(level).or_insert(0) += more;
            there += more;
        }
        let each = on_level.into_iter().map(|(level, rows): (u8, u64)| rows.div_ceil(1 << level));
        each.max().unwrap_or(0)
    }

    #[test]
    fn no_partition_of_a_billion_rows_is_too_large() {
        let rows = [
            ("expiring", Spread::Expiring.first()),
            ("closed", Spread::Closed { bucket_bits: 12 }.first()),
            ("closed, of a day with many buckets", Spread::Closed { bucket_bits: 17 }.first()),
            ("closed, of a day with few", Spread::Closed { bucket_bits: 4 }.first()),
            ("what came back to a batch", FirstLevel(0)),
        ];
        for (name, first) in rows {
            for count in [1, 1_000_000, 1_048_576, 20_000_000, 200_000_000, BILLION] {
                let most = fullest(first, count);
                assert!(most < 100_000, "{name}: {most} rows of {count} may become tombstones");
                assert!(most * ROW_BYTES < 100_000_000, "{name}: {most} rows of {count}");
            }
        }
    }

    #[test]
    fn processes_that_count_apart_leave_a_level_in_time() {
        const PROCESSES: usize = 8;
        let step = PARTITION_ROWS / COUNTED_IN;
        let counts: Vec<Spreads<()>> = (0..PROCESSES).map(|_| Spreads::default()).collect();
        // The worst case: none has begun in the middle.
        counts.iter().for_each(|count| count.keep((), 0, 0));
        let (mut there, mut added) = (0, 0);
        while FirstLevel(0).levels(added, PARTITION_ROWS / 2).len() == 1 {
            for count in &counts {
                added += count.count(&(), 1, step);
                there += 1;
            }
        }
        assert!(there < 100_000, "{there} rows in the first partition");
    }

    #[test]
    fn levels_rise_with_the_rows() {
        let rows = [
            (0, vec![4], 16),
            ((1 << 20) - 1, vec![4], 16),
            (1 << 20, vec![4, 8], 16 + 256),
            (1 << 24, vec![4, 8, 11], 16 + 256 + 2_048),
            (1 << 27, vec![4, 8, 11, 14], 16 + 256 + 2_048 + 16_384),
            (u64::MAX, vec![4, 8, 11, 14], 16 + 256 + 2_048 + 16_384),
        ];
        for (count, levels, partitions) in rows {
            let first = Spread::Expiring.first();
            assert_eq!(first.levels(count, PARTITION_ROWS), levels, "{count}");
            let all = first.partitions(&levels);
            assert_eq!(all.len(), partitions, "{count}");
            assert!(all.is_sorted_by(|one, other| one < other), "each once");
        }
    }

    #[test]
    fn a_code_lies_in_one_partition_of_each_level() {
        for first in [Spread::Expiring.first(), FirstLevel(0)] {
            for number in 0..1_000 {
                let code: Code = format!("CODE{number:06}").parse().expect("a code");
                for level in [first.0, 8, 11, 14] {
                    let partition = first.partition(level, &code);
                    let on = first.partitions(&[level]);
                    assert!(on.contains(&partition), "{code} on {level}: {partition}");
                }
            }
        }
    }
}
