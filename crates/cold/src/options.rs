//! Options of a cold store.

use std::sync::Arc;
use std::time::Duration;

use crate::blocking::BlockingRunner;
use crate::bucket::{BucketPatience, BucketTraffic};
use crate::schema::GROUP_BYTES;

/// See [`ColdOptions::index_file_bytes`]. A list reads at most eight files, and 4 MB, of the index of
/// ten billion coupons. Smaller files would make the log of the index long.
const INDEX_FILE_BYTES: u64 = 16 << 20;

/// The most entries that a look-up of the newest version reads.
const CHECKPOINT_EVERY: u64 = 50;

/// See [`ColdOptions::look_up_max`]. Longer retries of an object store that does not answer are for
/// background work.
const LOOK_UP_MAX: Duration = Duration::from_secs(8);

#[derive(Clone, Debug)]
pub struct ColdOptions {
    pub patience: BucketPatience,
    /// How long a look-up may take that a customer waits for.
    pub look_up_max: Duration,
    pub file_rows_max: u64,
    /// Wanted size of a row group of `coupons`, which is what a look-up reads.
    pub group_bytes: usize,
    /// How long to keep files that a merge has replaced.
    pub retention: Duration,
    /// How long to keep log entries that a later checkpoint contains.
    pub log_retention: Duration,
    /// Entries sorted in memory for the side table. Each takes about 100 bytes.
    pub holder_rows_max: usize,
    /// Wanted size of a file of the holder index. A list reads its footer and one row group: 0.3 MB
    /// and 0.1 MB with the default.
    pub index_file_bytes: u64,
    pub checkpoint_every: u64,
    /// Where requests to a bucket are counted.
    pub traffic: Arc<BucketTraffic>,
    /// Runs blocking work; `None` for the threads of tokio. For tests.
    pub runner: Option<Arc<dyn BlockingRunner>>,
}

impl Default for ColdOptions {
    fn default() -> ColdOptions {
        ColdOptions {
            patience: BucketPatience::Work,
            look_up_max: LOOK_UP_MAX,
            file_rows_max: 10_000_000,
            group_bytes: GROUP_BYTES,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            // As Delta's own writers do.
            log_retention: Duration::from_secs(30 * 24 * 60 * 60),
            holder_rows_max: 1_000_000,
            index_file_bytes: INDEX_FILE_BYTES,
            checkpoint_every: CHECKPOINT_EVERY,
            traffic: Arc::default(),
            runner: None,
        }
    }
}
