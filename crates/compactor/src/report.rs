//! Results of a compaction.

use cold::SweepReport;
use coupon::time::Day;

use crate::archive_commit::ArchiveCommit;
use crate::plan::{CompactionPass, DuePass};
use crate::{CompactError, DeletedReport};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionReport {
    pub day: Day,
    pub pass: CompactionPass,
    pub copied: u64,
    /// Rows of the files written, including rows of merges.
    pub rows: u64,
    pub bytes: u64,
    /// Rows that hot no longer has. An archived marker counts as deleted.
    pub removed: u64,
}

impl PartitionReport {
    pub(crate) fn new(day: Day, pass: CompactionPass) -> PartitionReport {
        PartitionReport { day, pass, copied: 0, rows: 0, bytes: 0, removed: 0 }
    }

    pub(crate) fn add(&mut self, archive_commit: &ArchiveCommit) {
        self.copied += archive_commit.copied;
        self.rows += archive_commit.files.iter().map(|new| new.file.rows()).sum::<u64>();
        self.bytes += archive_commit.files.iter().map(|new| new.file.bytes()).sum::<u64>();
    }
}

#[derive(Debug, Default)]
pub struct CompactionReport {
    pub partitions: Vec<PartitionReport>,
    pub failed: Vec<(DuePass, CompactError)>,
    /// Why the holder index is not up to date. Lists are right all the same.
    pub not_indexed: Option<CompactError>,
    pub deleted: DeletedReport,
    /// Why days that were kept for long enough are not all deleted.
    pub not_deleted: Option<CompactError>,
    pub swept: SweepReport,
    pub erased: ErasedReport,
    /// Why the persons of pending erasures are not all gone. Reads do not show them all the same.
    pub not_erased: Option<CompactError>,
}

/// The outcome of [`crate::Compactor::erase`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedReport {
    /// No file of cold names anybody whose erasure has this number or a lower one. `None` if nothing was pending, or
    /// something is left to do.
    pub through: Option<u64>,
    /// Files of `coupons` and of the holder index that named one of the persons.
    pub files: u64,
    /// Rows written in their place.
    pub rows: u64,
}

impl CompactionReport {
    pub fn copied(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.copied).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}
