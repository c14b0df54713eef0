//! What a compaction tells while it runs and when it has ended.

use std::sync::Arc;

use cold::Swept;
use coupon::time::Day;

use crate::CompactError;
use crate::finish::ArchiveCommit;
use crate::plan::{Pass, Work};

/// Something that has happened in a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A partition is begun.
    Begins(Work),
    /// So many coupons of `total` were copied.
    Copied {
        /// So far.
        rows: u64,
        /// Of so many.
        total: u64,
    },
    /// The archive commit is made: from now on cold has it.
    Committed {
        /// The partition.
        day: Day,
        /// Its number.
        archive_commit: u64,
    },
    /// So many rows of `total` were removed from hot.
    Removed {
        /// So far.
        rows: u64,
        /// Of so many.
        total: u64,
    },
    /// So many rows of the holder index were written, what was merged included.
    Indexed {
        /// So far.
        rows: u64,
    },
}

/// Who is told.
pub type Watch = Arc<dyn Fn(Progress) + Send + Sync>;

/// What was done with one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionReport {
    /// The partition.
    pub day: Day,
    /// What was done.
    pub pass: Pass,
    /// Coupons that were copied from hot.
    pub copied: u64,
    /// Rows of the files written, what was merged included.
    pub rows: u64,
    /// Bytes of the files written.
    pub bytes: u64,
    /// Rows that hot no longer has; an archived marker is not counted as one that it has.
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

/// What a compaction has done.
#[derive(Debug, Default)]
pub struct Report {
    /// Partition by partition.
    pub partitions: Vec<PartitionReport>,
    /// Partitions that could not be done, and why.
    pub failed: Vec<(Work, CompactError)>,
    /// Why the holder index does not have everything; lists are right all the same.
    pub not_indexed: Option<CompactError>,
    /// What was swept away afterwards.
    pub swept: Swept,
}
