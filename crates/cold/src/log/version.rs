//! One version of a table as its log has it: the only place that knows which files are live.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::time::Day;
use delta_kernel::snapshot::SnapshotRef;
use object_store::path::Path;

use crate::bounds::ColumnBounds;
use crate::names::FileOrigin;
use crate::schema::{ColumnAddition, TableSchema};

/// Size of a footer besides its row groups, rounded up.
const FOOTER_BYTES: u64 = 16 << 10;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LiveFile {
    pub(crate) schema: &'static TableSchema,
    /// Its path within the table.
    pub(crate) path: String,
    pub(crate) origin: FileOrigin,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) bounds: ColumnBounds,
}

impl LiveFile {
    /// Its path within the store.
    pub(crate) fn object(&self) -> Path {
        Path::from(format!("{}/{}", self.schema.name, self.path))
    }

    /// Bytes of the footer, estimated by the number of row groups and rounded up.
    pub(crate) fn footer_bytes(&self) -> u64 {
        let groups = self.bytes.div_ceil(self.schema.group_bytes as u64);
        FOOTER_BYTES + groups * self.schema.footer_group_bytes
    }

    /// See [`crate::ColdFile::newest_archive_commit`].
    pub(crate) fn newest_archive_commit(&self) -> u64 {
        self.bounds.archived_in.map_or(self.origin.archive_commit, |(_, last)| last)
    }

    /// Sort key: archive commit, then first code.
    pub(super) fn order(&self) -> impl Ord {
        let from = self.bounds.code.as_ref().map(|(from, _)| from.as_str());
        (self.origin.archive_commit, from, self.path.as_str())
    }
}

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
