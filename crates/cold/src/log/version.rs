//! One version of a table as its log has it: the only place that knows which files are live.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::time::Day;
use delta_kernel::snapshot::SnapshotRef;

use crate::live::LiveFile;
use crate::schema::ColumnAddition;

#[derive(Debug)]
pub(crate) struct TableVersion {
    pub(crate) version: u64,
    pub(crate) archive_commits: BTreeMap<Day, u64>,
    pub(crate) files: BTreeMap<Day, Vec<Arc<LiveFile>>>,
    /// Columns of this release that the table does not have yet.
    pub(super) lacks: Vec<ColumnAddition>,
    /// Whether a later release has added columns to the table.
    pub(crate) is_later: bool,
    pub(super) snapshot: SnapshotRef,
}

impl TableVersion {
    pub(crate) fn archive_commit(&self, day: Day) -> u64 {
        self.archive_commits.get(&day).copied().unwrap_or(0)
    }

    pub(crate) fn files(&self, day: Day) -> &[Arc<LiveFile>] {
        self.files.get(&day).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<LiveFile>> {
        self.files.values().flatten()
    }

    pub(crate) fn is_live(&self, day: Day, path: &str) -> bool {
        self.files(day).iter().any(|file| file.path == path)
    }
}
