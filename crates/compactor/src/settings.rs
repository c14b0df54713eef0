//! Settings of a compactor and their defaults.

/// The Closed pass makes an archive commit when this many coupons wait in a partition: each file
/// costs every look-up in the partition a read.
pub const CLOSED_ENOUGH: u64 = 100_000;

/// It also makes one when a coupon has waited for this many days.
pub const CLOSED_WAIT_DAYS: u16 = 30;

/// Coupons of one archive commit of the Closed pass, at most. Their codes are held in memory: some
/// 50 MB.
pub const CLOSED_ARCHIVE_COMMIT_MAX: usize = 1_000_000;

/// Runs of a partition, at most: a partition is merged before another commit would exceed this. A
/// run is the files of one commit, and a look-up reads one footer of each run.
/// `tiers.rs` says how the limit grows after dozens of commits.
pub const PARTITION_FILES_MAX: usize = 8;

/// The constant that is the default of a setting explains it.
#[derive(Clone, Copy, Debug)]
pub struct CompactionSettings {
    pub closed_enough: u64,
    pub closed_wait_days: u16,
    pub closed_archive_commit_max: usize,
    pub partition_files_max: usize,
    /// How many days after its own an expiry day is deleted; `None`: never.
    pub keep_archived_days: Option<u16>,
}

impl Default for CompactionSettings {
    fn default() -> CompactionSettings {
        CompactionSettings {
            closed_enough: CLOSED_ENOUGH,
            closed_wait_days: CLOSED_WAIT_DAYS,
            closed_archive_commit_max: CLOSED_ARCHIVE_COMMIT_MAX,
            partition_files_max: PARTITION_FILES_MAX,
            keep_archived_days: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedPolicy {
    /// Those of partitions where enough of them wait, or one has waited long enough.
    WhenWorthwhile,
    /// All of them, now.
    Now,
    /// None. Only finishes what an earlier run has committed or sealed: seals no partition, and
    /// deletes nothing by its age. For a clock that is not trusted.
    OnlyFinish,
}
