//! Spreads the rows of a day or of a batch over CQL partitions, more of them if there are more rows.
//!
//! A *level* is a number of bits `n`: the first `n` bits of a code's hash name one of 2^n CQL
//! partitions. The first rows go to the first level. When the levels are full, new rows go to the
//! next level; written rows stay where they are. The level follows from the number of rows, which
//! the store has and which only rises. A reader reads this number first, and then reads each level
//! up to that of the number. A writer with an older number writes one more row to a lower level,
//! where readers look too.

use std::ops::Range;

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Day;

use hot::tie;

/// Rows that one CQL partition takes, some 100 bytes each: it stays far below 100 MB and, when all
/// of them are deleted, below the 100,000 tombstones at which a read fails.
pub const PARTITION_ROWS: u64 = 1 << 16;

/// The levels after the first one. The last is enough for a billion rows.
const LEVELS: [u8; 4] = [4, 8, 11, 14];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SpreadKey {
    /// `expiring`: coupons that expire on a day.
    Expiring { on: Day },
    /// `closed`: closed coupons of a partition. Its first level follows the number of buckets: 16
    /// CQL partitions for 4,096 buckets.
    Closed {
        day: Day,
        /// How many bits name a bucket of the partition.
        bucket_bits: u8,
    },
    /// `returned`: coupons that came back to a batch.
    Returned { campaign: CampaignId, batch: BatchId },
}

impl SpreadKey {
    /// The first level.
    fn first(&self) -> u8 {
        match self {
            SpreadKey::Expiring { .. } => 4,
            SpreadKey::Closed { bucket_bits, .. } => *bucket_bits / 3,
            SpreadKey::Returned { .. } => 0,
        }
    }

    /// The levels of so many rows, where one CQL partition takes `partition_rows`.
    pub fn levels(&self, rows: u64, partition_rows: u64) -> Vec<u8> {
        let partition_rows = match self {
            SpreadKey::Expiring { .. } | SpreadKey::Closed { .. } => partition_rows,
            // The first CQL partition is one alone, and all processes write to it: half as much is
            // enough.
            SpreadKey::Returned { .. } => (partition_rows / 2).max(1),
        };
        let mut levels = vec![self.first()];
        for next in LEVELS.into_iter().filter(|level| *level > self.first()) {
            let last = levels.last().copied().unwrap_or(0);
            if rows < partition_rows << last {
                break;
            }
            levels.push(next);
        }
        levels
    }

    /// The CQL partitions of a level. Those of the first level begin with 0, those of another level after
    /// all that lower ones can have.
    fn on(&self, level: u8) -> Range<i32> {
        let first = if level == self.first() { 0 } else { 1 << level };
        first..first + (1 << level)
    }

    /// The CQL partition of a code on a level.
    pub fn partition(&self, level: u8, code: &Code) -> i32 {
        // The top bits: the other bits order the coupons inside.
        self.on(level).start + ((u128::from(tie(code)) << level) >> 63) as i32
    }

    /// Every CQL partition that may have some of so many rows.
    pub fn partitions(&self, rows: u64, partition_rows: u64) -> Vec<i32> {
        let levels = self.levels(rows, partition_rows);
        levels.into_iter().flat_map(|level| self.on(level)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// An index row with its key, as a page of a table has it.
    const ROW_BYTES: u64 = 200;

    const BILLION: u64 = 1_000_000_000;

    const EXPIRING: SpreadKey = SpreadKey::Expiring { on: Day(0) };

    fn closed(bucket_bits: u8) -> SpreadKey {
        SpreadKey::Closed { day: Day(0), bucket_bits }
    }

    fn returned() -> SpreadKey {
        let (campaign, batch) = ("summer".parse().unwrap(), "first".parse().unwrap());
        SpreadKey::Returned { campaign, batch }
    }

    /// Rows come one CQL partition's worth at a time; the most that one of any level has.
    fn fullest(spread: &SpreadKey, rows: u64) -> u64 {
        let (mut there, mut on_level) = (0, HashMap::new());
        while there < rows {
            let more = PARTITION_ROWS.min(rows - there);
            let level = *spread.levels(there, PARTITION_ROWS).last().expect("the first");
            *on_level.entry(level).or_insert(0) += more;
            there += more;
        }
        let each = on_level.into_iter().map(|(level, rows): (u8, u64)| rows.div_ceil(1 << level));
        each.max().unwrap_or(0)
    }

    #[test]
    fn no_partition_of_a_billion_rows_is_too_large() {
        let rows = [
            ("expiring", EXPIRING),
            ("closed", closed(12)),
            ("closed, of a day with many buckets", closed(17)),
            ("closed, of a day with few", closed(4)),
            ("what came back to a batch", returned()),
        ];
        for (name, spread) in rows {
            for count in [1, 1_000_000, 1_048_576, 20_000_000, 200_000_000, BILLION] {
                let most = fullest(&spread, count);
                assert!(most < 100_000, "{name}: {most} rows of {count} may become tombstones");
                assert!(most * ROW_BYTES < 100_000_000, "{name}: {most} rows of {count}");
            }
        }
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
            assert_eq!(EXPIRING.levels(count, PARTITION_ROWS), levels, "{count}");
            let all = EXPIRING.partitions(count, PARTITION_ROWS);
            assert_eq!(all.len(), partitions, "{count}");
            assert!(all.is_sorted_by(|one, other| one < other), "each once");
        }
    }

    #[test]
    fn what_came_back_goes_to_the_next_level_at_half_the_rows() {
        let rows = [
            ((1 << 15) - 1, vec![0]),
            (1 << 15, vec![0, 4]),
            ((1 << 19) - 1, vec![0, 4]),
            (1 << 19, vec![0, 4, 8]),
        ];
        for (count, levels) in rows {
            assert_eq!(returned().levels(count, PARTITION_ROWS), levels, "{count}");
        }
        assert_eq!(returned().levels(1, 1), [0, 4], "one row is enough for the smallest partition");
    }

    #[test]
    fn a_code_lies_in_one_partition_of_each_level() {
        for spread in [EXPIRING, returned()] {
            for number in 0..1_000 {
                let code: Code = format!("CODE{number:06}").parse().expect("a code");
                for level in [spread.first(), 8, 11, 14] {
                    let partition = spread.partition(level, &code);
                    let on = spread.on(level);
                    assert!(on.contains(&partition), "{code} on {level}: {partition}");
                }
            }
        }
    }
}
