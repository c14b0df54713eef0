//! What can be chosen about a store.

use std::time::Duration;

use crate::bucket::Patience;
use crate::schema::GROUP_BYTES;

/// See [`Options::index_file_bytes`]. A list reads at most eight files of the index of ten billion
/// coupons, and 4 MB; smaller files would make the log of the index long.
const INDEX_FILE_BYTES: u64 = 16 << 20;

/// Commits between two checkpoints: a look at the log never reads more entries than that.
const CHECKPOINT_EVERY: u64 = 50;

/// What can be chosen about a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a bucket is waited for.
    pub patience: Patience,
    /// Rows of a file, at most.
    pub file_rows_max: u64,
    /// Bytes that a row group of `coupons` should have, which is what a look-up reads.
    pub group_bytes: usize,
    /// Memory for the footers of files that were used last. That of ten million untouched coupons
    /// takes about 0.25 MB, that of redeemed ones 3.3 MB.
    pub footers_bytes_max: usize,
    /// How long files stay that a merge has replaced.
    pub retention: Duration,
    /// How long the entries of the logs stay that a later checkpoint says all of.
    pub log_retention: Duration,
    /// Entries that are sorted in memory for the side table, about 100 bytes each.
    pub holder_rows_max: usize,
    /// Bytes of a file of the holder index, about. Its footer and one row group are what a list
    /// reads of it: 0.3 MB and 0.1 MB of the default.
    pub index_file_bytes: u64,
    /// Commits between two checkpoints.
    pub checkpoint_every: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            patience: Patience::Work,
            file_rows_max: 10_000_000,
            group_bytes: GROUP_BYTES,
            footers_bytes_max: 64 << 20,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            // As long as Delta's own writers keep them.
            log_retention: Duration::from_secs(30 * 24 * 60 * 60),
            holder_rows_max: 1_000_000,
            index_file_bytes: INDEX_FILE_BYTES,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }
}
