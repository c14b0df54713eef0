//! Progress of a compaction.

use std::sync::Arc;

use coupon::time::Day;

use crate::plan::DuePass;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionProgress {
    Begins(DuePass),
    /// Coupons were copied: `rows` of `total` so far.
    Copied {
        rows: u64,
        total: u64,
    },
    /// The archive commit is made: cold has its coupons.
    Committed {
        day: Day,
        archive_commit: u64,
    },
    /// Rows were deleted from hot: `rows` of `total` so far.
    Removed {
        rows: u64,
        total: u64,
    },
    /// Rows written to the holder index so far, including rows of merges.
    Indexed {
        rows: u64,
    },
}

pub type ProgressWatch = Arc<dyn Fn(CompactionProgress) + Send + Sync>;
