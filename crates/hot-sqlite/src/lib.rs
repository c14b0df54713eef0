//! The embedded hot store: one SQLite file, one writer thread that commits a group of writes with
//! one sync, and a few readers. Each protocol is one transaction here.
//!
//! Several processes may work on one file at a time. A transaction remembers nothing of another,
//! but for campaigns, batches and seals, which readers remember and check (see `txn`). Modules do
//! not use each other in circles: `crates/coupon/tests/circles.rs` checks it.

mod accounts;
mod activity;
mod archiving;
mod audit;
pub mod backup;
mod batches;
mod bytes;
mod campaigns;
mod cancelled;
mod changes;
mod checkpointer;
mod claims;
mod closed_index; // redeemed and void coupons by day and batch
mod cold;
mod columns;
mod coupons;
mod day_order;
mod directory;
mod events;
mod failure;
mod fair_file_lock;
mod import;
mod inventory;
mod issuing;
mod jobs;
mod last_line;
mod list;
mod log_index;
mod orders;
mod pages; // bytes of rows that are gone, in the pages of a file
mod partitions;
mod people;
mod prefetch;
mod private_files;
mod readers;
mod reconcile;
mod record;
mod record_file;
mod redeemed;
mod redemptions;
mod room;
mod rows;
mod schema;
mod settings;
mod sorted_rows;
mod stock;
mod store;
mod txn;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use hot::clock::system_ms;
use hot::{Archive, HotError};
use router::KeyRing;
use tokio::sync::OnceCell;

use crate::checkpointer::Checkpointer;
use crate::day_order::DayOrders;
use crate::fair_file_lock::FairFileLock;
use crate::issuing::forecast::IssueForecast;
use crate::readers::ReaderPool;
pub use crate::record_file::{RecordClock, RecordFile};
pub use crate::schema::{FILE_NAME, OpenError, is_current};
use crate::writer::{GroupWriter, WriterContext};

pub(crate) type Result<T, E = HotError> = std::result::Result<T, E>;

/// With fewer free bytes on its disk the store refuses writes. They leave room for the log to grow
/// until the next checkpoint, and for the operator to work.
pub const FREE_MIN_BYTES: u64 = 256 << 20;

/// How long a write waits to begin, and then for its commit.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// See [`FREE_MIN_BYTES`].
    pub free_min_bytes: u64,
    /// From this size on the store takes no more campaigns, imports, issues and accounts; `None` for no limit.
    pub store_max_bytes: Option<u64>,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// Whether the feed tells of each change. A store that ran without it for a time has a gap there.
    pub events: bool,
    /// Whether the store keeps which coupons an order has redeemed. It needs the feed.
    pub orders: bool,
    /// Whether the frames of a group go to the WAL with one write, and not with two for each page. The file is the
    /// same.
    pub joins_wal_writes: bool,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            free_min_bytes: FREE_MIN_BYTES,
            store_max_bytes: None,
            write_timeout: WRITE_TIMEOUT,
            events: true,
            orders: true,
            joins_wal_writes: true,
        }
    }
}

/// A hot store in one folder of this machine.
pub struct SqliteHot {
    // They are dropped in this order: the writer answers its jobs, then the file is closed.
    writer: GroupWriter,
    checkpointer: Checkpointer,
    readers: ReaderPool,
    records: Arc<RecordFile>,
    forecast: IssueForecast,
    keys: KeyRing,
    archive: Arc<dyn Archive>,
    /// Whether this process has announced long codes.
    announced: OnceCell<()>,
    /// The number of writes that others had made when the last background write ended.
    others: AtomicU64,
    /// Whether others had made none since the background write before it.
    is_alone: AtomicBool,
    folder: PathBuf,
    options: SqliteOptions,
    /// Statements that readers and the writer have run.
    statements: Arc<AtomicU64>,
    /// Of the readers of partitions in the order of codes.
    orders: DayOrders,
}

/// Whether a process has opened the store in `folder`. If not, another tool has put the file there.
pub fn was_opened(folder: &Path) -> bool {
    folder.join(fair_file_lock::QUEUE).exists()
}

impl SqliteHot {
    /// Opens the store in `folder`, or makes it there. `keys` mint its codes; `archive` has the
    /// coupons that were archived. That a new folder's own name survives a power cut is for the caller to see to.
    ///
    /// # Errors
    /// [`OpenError`]; for a store of a newer release it names that release.
    pub fn open(
        folder: &Path,
        keys: impl Into<KeyRing>,
        archive: Arc<dyn Archive>,
        options: SqliteOptions,
    ) -> Result<SqliteHot, OpenError> {
        let file_error = |source| OpenError::File { folder: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(file_error)?;
        private_files::tighten(folder);
        let path = folder.join(FILE_NAME);
        let file_lock = FairFileLock::open(folder).map_err(file_error)?;
        let conn = match schema::open_current(&path, options.joins_wal_writes)? {
            Some(conn) => conn,
            None => {
                let _held = file_lock.enter().map_err(file_error)?;
                // First the name of the lock: by it `was_opened` tells a store from a file of others.
                private_files::sync_folder(folder).map_err(file_error)?;
                schema::open_or_make(&path, options.joins_wal_writes)?
            }
        };
        // SQLite syncs the name of a log that it makes, but not of one that it finds. The process
        // that made this one may have been killed before.
        private_files::sync_folder(folder).map_err(file_error)?;
        let (statements, keys) = (Arc::<AtomicU64>::default(), keys.into());
        let desk = WriterContext {
            conn,
            file_lock,
            folder: folder.to_owned(),
            free_min: options.free_min_bytes,
            tells: options.events,
            statements: Arc::clone(&statements),
            keys: keys.clone(),
        };
        let writer = GroupWriter::start(desk, options.write_timeout).map_err(file_error)?;
        let readers = ReaderPool::open(&path, &statements, &keys)?;
        let idle = readers.idle();
        Ok(SqliteHot {
            readers,
            records: Arc::new(RecordFile::open(
                &folder.join(RecordFile::NAME),
                Arc::new(system_ms),
            )?),
            checkpointer: Checkpointer::start(folder, &path, writer.busy(), idle)?,
            writer,
            forecast: IssueForecast::default(),
            keys,
            archive,
            announced: OnceCell::new(),
            others: AtomicU64::new(0),
            is_alone: AtomicBool::new(false),
            folder: folder.to_owned(),
            options,
            statements,
            orders: DayOrders::default(),
        })
    }
}
