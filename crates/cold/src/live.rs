//! Files of the tables: those that a log has as live, and new ones that a commit makes live.

use std::sync::Arc;

use arrow::array::StructArray;
use coupon::time::{Day, Millis};
use object_store::path::Path;

use crate::bounds::ColumnBounds;
use crate::names::FileOrigin;
use crate::schema::TableSchema;

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
    pub(crate) fn order(&self) -> impl Ord {
        let from = self.bounds.code.as_ref().map(|(from, _)| from.as_str());
        (self.origin.archive_commit, from, self.path.as_str())
    }
}

/// A file of one partition: a committed one, or one that is in no commit yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdFile {
    pub(crate) live: Arc<LiveFile>,
}

impl ColdFile {
    /// Its path within the table `coupons`.
    pub fn path(&self) -> &str {
        &self.live.path
    }

    pub fn day(&self) -> Day {
        self.live.origin.day
    }

    pub fn archive_commit(&self) -> u64 {
        self.live.origin.archive_commit
    }

    /// How often merges have rewritten its rows, at most. 0: a commit copied the rows out of hot.
    /// More: they were in cold before.
    pub fn rewrites(&self) -> u8 {
        self.live.origin.rewrites
    }

    pub fn rows(&self) -> u64 {
        self.live.rows
    }

    pub fn bytes(&self) -> u64 {
        self.live.bytes
    }

    /// The last archive commit that brought a coupon into the file, as the log says without reading
    /// the file: none of its coupons came to cold later. For a file that a merge wrote through
    /// [`crate::ColdStore::writer`], this is one of the archive commits that were merged.
    pub fn newest_archive_commit(&self) -> u64 {
        self.live.newest_archive_commit()
    }
}

/// A file that is written and in no commit yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The file as it will be after its commit, but without bounds.
    pub file: ColdFile,
    pub(crate) written_at: Millis,
    pub(crate) stats: StructArray,
}
