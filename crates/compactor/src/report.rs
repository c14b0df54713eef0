//! Results of a compaction.

use cold::SweepReport;
use coupon::time::Day;

use crate::CompactError;
use crate::archive_commit::ArchiveCommit;
use crate::plan::{CompactionPass, DuePass};

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
    pub swept: SweepReport,
}

impl CompactionReport {
    pub fn copied(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.copied).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}
