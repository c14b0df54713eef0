//! The number of rows that are spread: the store's number, and what this process has written since.
//!
//! Each process counts what it writes and adds it to the store's number each time that it has
//! written an eighth of the rows of a CQL partition. The number is in the plan of a day, or in the
//! leases of a batch.

use std::collections::HashMap;
use std::time::Duration;

use coupon::code::Code;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::CqlStore;
use crate::values::{date, signed};
use cql_session::{Cas, Result, StatementProfile};

pub use cql_session::spread::PARTITION_ROWS;
pub(crate) use cql_session::spread::SpreadKey;

/// A process adds what it has written in eighths of a CQL partition's worth: what ten of them have
/// not added yet is little more than one CQL partition's worth.
const COUNTED_IN: u64 = 8;

/// Fewer rows are not worth a conditional update, however small the CQL partitions are.
const COUNTED_MIN: u64 = 16;

/// How long a process uses what it has read of a day or a batch.
const BEHIND: Duration = Duration::from_secs(5);

/// Days and batches that a process counts for; beyond it, it begins again.
const COUNTED_MAX: usize = 8_192;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SpreadCount {
    /// As the store said.
    rows: u64,
    read_at: Instant,
    /// Written by this process since and not yet added to the store's number; see
    /// [`CqlStore::keep_rows`].
    more: u64,
}

impl SpreadCount {
    /// Whether other processes may have written so much since that the number is read again.
    pub(crate) fn is_behind(&self) -> bool {
        self.read_at.elapsed() >= BEHIND
    }
}

#[derive(Debug, Default)]
pub(crate) struct SpreadCache(Mutex<HashMap<SpreadKey, SpreadCount>>);

impl SpreadCache {
    pub(crate) fn get(&self, key: &SpreadKey) -> Option<SpreadCount> {
        self.0.lock().get(key).copied()
    }

    /// Keeps the store's number. For a new key, the count of written rows begins at `more`.
    pub(crate) fn keep(&self, key: SpreadKey, rows: u64, more: u64) {
        let mut all = self.0.lock();
        if all.len() >= COUNTED_MAX && !all.contains_key(&key) {
            all.clear();
        }
        let read_at = Instant::now();
        let counted = all.entry(key).or_insert(SpreadCount { rows, read_at, more });
        (counted.rows, counted.read_at) = (counted.rows.max(rows), read_at);
    }

    /// Counts rows that are about to be written; returns how many to add to the store's number now.
    pub(crate) fn count(&self, key: &SpreadKey, rows: u64, step: u64) -> u64 {
        let mut all = self.0.lock();
        let Some(counted) = all.get_mut(key) else { return 0 };
        counted.more += rows;
        // Whole steps only: the sum is right on average because the rest is counted on.
        let whole = counted.more - counted.more % step;
        counted.more -= whole;
        whole
    }

    /// Counts rows again after they could not be added to the store's number.
    pub(crate) fn put_back(&self, key: &SpreadKey, rows: u64) {
        let mut all = self.0.lock();
        let Some(counted) = all.get_mut(key) else { return };
        counted.more += rows;
    }
}

impl CqlStore {
    /// The level for rows that are about to be written; counts them.
    pub(crate) async fn level_to_write(&self, spread: &SpreadKey, rows: u64) -> Result<u8> {
        // Each process counts for itself: without another look ten of them would fill the first
        // level ten times.
        if self.spreads.get(spread).is_none_or(|it| it.is_behind()) {
            self.keep_rows(spread, self.spread_rows(spread).await?);
        }
        // Before the rows are written: a reader looks only at the levels up to the number.
        let more = self.spreads.count(spread, rows, self.count_step());
        if more > 0 {
            let added = self.add_rows(spread, more).await;
            // Counted again, or the store's number would stay below the rows for ever.
            let rows = added.inspect_err(|_| self.spreads.put_back(spread, more))?;
            self.keep_rows(spread, rows);
        }
        let rows = self.spreads.get(spread).map_or(0, |it| it.rows);
        let levels = spread.levels(rows, self.options.partition_rows);
        Ok(levels.last().copied().unwrap_or(0))
    }

    fn keep_rows(&self, spread: &SpreadKey, rows: u64) -> u64 {
        // What a process has not added to the store's number when it ends is lost, and one that does not
        // live long would never add anything. From a random number below one step it adds one as
        // often, on average, as it writes one.
        let first = xxh3_64(Uuid::now_v7().as_bytes()) % self.count_step();
        self.spreads.keep(spread.clone(), rows, first);
        rows
    }

    fn count_step(&self) -> u64 {
        (self.options.partition_rows / COUNTED_IN).max(COUNTED_MIN)
    }

    /// Every CQL partition that may have rows at this moment.
    pub(crate) async fn cql_partitions(&self, spread: &SpreadKey) -> Result<Vec<i32>> {
        // Not from memory: another process may have begun a level a moment ago.
        let rows = self.keep_rows(spread, self.spread_rows(spread).await?);
        Ok(spread.partitions(rows, self.options.partition_rows))
    }

    /// Every CQL partition in which the row of a code may be, as of a few seconds ago.
    pub(crate) async fn cql_partitions_of(
        &self,
        spread: &SpreadKey,
        code: &Code,
    ) -> Result<Vec<i32>> {
        let known = self.spreads.get(spread).filter(|it| !it.is_behind());
        let rows = match known {
            Some(known) => known.rows,
            None => self.keep_rows(spread, self.spread_rows(spread).await?),
        };
        let levels = spread.levels(rows, self.options.partition_rows);
        Ok(levels.into_iter().map(|level| spread.partition(level, code)).collect())
    }

    async fn spread_rows(&self, spread: &SpreadKey) -> Result<u64> {
        let (cql, day) = match spread {
            SpreadKey::Expiring { on } => {
                ("SELECT expiring_rows FROM partition_plan WHERE expiry_day = ?", *on)
            }
            SpreadKey::Closed { day, .. } => {
                ("SELECT closed_rows FROM partition_plan WHERE expiry_day = ?", *day)
            }
            SpreadKey::Returned { campaign, batch } => {
                let (_, rows) = self.leased(campaign, batch).await?;
                return Ok(rows);
            }
        };
        let rows: Option<i64> = self.session.value(cql, (date(day),)).await?;
        Ok(rows.map_or(0, i64::unsigned_abs))
    }

    /// Adds to the store's number; how many rows there are then. A write whose outcome is unknown
    /// may be added twice: the rows go to the next level a little early.
    async fn add_rows(&self, spread: &SpreadKey, more: u64) -> Result<u64> {
        let mut attempts = self.attempts(match spread {
            SpreadKey::Expiring { .. } | SpreadKey::Closed { .. } => "the size of a day",
            SpreadKey::Returned { .. } => "the coupons that came back to a batch",
        });
        loop {
            let _lock = match spread {
                SpreadKey::Expiring { on: day } | SpreadKey::Closed { day, .. } => {
                    Some(attempts.looked(self.write_locks.lock(("day", *day)).await)?)
                }
                SpreadKey::Returned { .. } => None,
            };
            let rows = attempts.looked(self.spread_rows(spread).await)?;
            let cas = self.raise_rows(attempts.profile(), spread, rows, rows + more).await;
            if attempts.wrote(cas).await? {
                return Ok(rows + more);
            }
        }
    }

    async fn raise_rows(
        &self,
        profile: StatementProfile,
        spread: &SpreadKey,
        rows: u64,
        sum: u64,
    ) -> Result<Cas> {
        let (present, sum) = ((rows > 0).then(|| signed(rows)), signed(sum));
        match spread {
            SpreadKey::Expiring { on } => {
                let cql = "UPDATE partition_plan SET expiring_rows = ? WHERE expiry_day = ? IF \
                           expiring_rows = ?";
                self.session.change(profile, cql, (sum, date(*on), present)).await
            }
            SpreadKey::Closed { day, .. } => {
                let cql = "UPDATE partition_plan SET closed_rows = ? WHERE expiry_day = ? IF \
                           closed_rows = ?";
                self.session.change(profile, cql, (sum, date(*day), present)).await
            }
            SpreadKey::Returned { campaign, batch } => {
                let cql = "UPDATE lease SET returned_rows = ? WHERE campaign_id = ? AND batch_id = \
                           ? IF returned_rows = ?";
                let values = (sum, campaign.as_str(), batch.as_str(), present);
                self.session.change(profile, cql, values).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon::ids::{BatchId, CampaignId};

    use super::*;

    #[test]
    fn processes_that_count_apart_leave_a_level_in_time() {
        const PROCESSES: usize = 8;
        let step = PARTITION_ROWS / COUNTED_IN;
        let counts: Vec<SpreadCache> = (0..PROCESSES).map(|_| SpreadCache::default()).collect();
        let campaign: CampaignId = "summer".parse().unwrap();
        let batch: BatchId = "first".parse().unwrap();
        let spread = SpreadKey::Returned { campaign, batch };
        // The worst case: none has begun in the middle.
        counts.iter().for_each(|count| count.keep(spread.clone(), 0, 0));
        let (mut there, mut added) = (0, 0);
        while spread.levels(added, PARTITION_ROWS).len() == 1 {
            for count in &counts {
                added += count.count(&spread, 1, step);
                there += 1;
            }
        }
        assert!(there < 100_000, "{there} rows in the first CQL partition");
    }
}
