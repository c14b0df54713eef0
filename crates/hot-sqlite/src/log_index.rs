//! The header of the index of SQLite's log, `hot.db-shm`. It changes with every commit, and if the
//! log is restarted.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::process::{Flock, FlockType, fcntl_getlk};

/// Pages from which on the log is restarted: 64 MiB.
pub(crate) const LOG_PAGES: i64 = 16_000;

/// Never closed: closing any descriptor of the file drops every lock that SQLite has on it.
pub(crate) struct LogIndex(Option<ManuallyDrop<File>>);

/// The first of the two copies: `WalIndexHdr` in SQLite's `wal.c`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct LogHeader([u8; 48]);

impl LogIndex {
    /// Of a database file that a connection has open in WAL mode; of others it knows nothing.
    pub(crate) fn of(database: &Path) -> LogIndex {
        LogIndex(File::open(database.with_extension("db-shm")).ok().map(ManuallyDrop::new))
    }

    /// A copy that was read while it changed is equal to none before it and none after it.
    pub(crate) fn header(&self) -> Option<LogHeader> {
        let mut header = [0; 48];
        self.0.as_ref()?.read_exact_at(&mut header, 0).ok()?;
        Some(LogHeader(header))
    }

    /// Whether another process reads the database at this moment.
    pub(crate) fn is_read_elsewhere(&self) -> bool {
        let Some(index) = &self.0 else { return false };
        let mut lock = Flock::from(FlockType::WriteLock);
        // Each reader has locked one of five bytes, shared (fileformat2.html, 2.3.2: WAL_READ_LOCK).
        (lock.start, lock.length) = (123, 5);
        fcntl_getlk(&**index, &lock).is_ok_and(|held| held.is_some())
    }
}

impl LogHeader {
    /// The pages in the log: `mxFrame`.
    pub(crate) fn pages(&self) -> i64 {
        u32::from_ne_bytes(std::array::from_fn(|at| self.0[16 + at])).into()
    }
}
