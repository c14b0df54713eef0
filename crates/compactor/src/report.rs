//! Progress and results of a compaction.

use std::sync::Arc;

use cold::Swept;
use coupon::time::Day;

use crate::CompactError;
use crate::archive_commit::ArchiveCommit;
use crate::plan::{Pass, Work};

/// Progress of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Work on a partition begins.
    Begins(Work),
    /// Coupons were copied.
    Copied {
        /// So far.
        rows: u64,
        /// Of this many.
        total: u64,
    },
    /// The archive commit is made: cold has its coupons.
    Committed {
        /// The expiry day of the partition.
        day: Day,
        /// The number of the archive commit.
        archive_commit: u64,
    },
    /// Rows were deleted from hot.
    Removed {
        /// So far.
        rows: u64,
        /// Of this many.
        total: u64,
    },
    /// Rows were written to the holder index, including rows of merges.
    Indexed {
        /// So far.
        rows: u64,
    },
}

/// Receives the progress of a compaction.
pub type Watch = Arc<dyn Fn(Progress) + Send + Sync>;

/// The result for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionReport {
    /// Its expiry day.
    pub day: Day,
    /// What was done.
    pub pass: Pass,
    /// Coupons copied from hot.
    pub copied: u64,
    /// Rows of the files written, including rows of merges.
    pub rows: u64,
    /// Size of the files written.
    pub bytes: u64,
    /// Rows that hot no longer has. An archived marker counts as deleted.
    pub removed: u64,
}

impl PartitionReport {
    pub(crate) fn new(day: Day, pass: Pass) -> PartitionReport {
        PartitionReport { day, pass, copied: 0, rows: 0, bytes: 0, removed: 0 }
    }

    pub(crate) fn add(&mut self, archive_commit: &ArchiveCommit) {
        self.copied += archive_commit.copied;
        self.rows += archive_commit.files.iter().map(|file| file.rows()).sum::<u64>();
        self.bytes += archive_commit.files.iter().map(|file| file.bytes()).sum::<u64>();
    }
}

/// The result of a compaction.
#[derive(Debug, Default)]
pub struct Report {
    /// The partitions that were done.
    pub partitions: Vec<PartitionReport>,
    /// The partitions that failed, and why.
    pub failed: Vec<(Work, CompactError)>,
    /// Why the holder index is not up to date. Lists are right all the same.
    pub not_indexed: Option<CompactError>,
    /// What was swept afterwards.
    pub swept: Swept,
}

impl Report {
    /// Coupons copied from hot, in all partitions.
    pub fn copied(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.copied).sum()
    }

    /// Size of the files written, in all partitions.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}
