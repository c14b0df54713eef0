//! A few connections that read, each for one caller at a time.
//!
//! *Point read*: a handful of rows by their keys. It is done by the caller's own thread, since the
//! way to another thread and back takes several times as long; where the disk has to be asked, that
//! thread waits for it, and the runtime of `serve` has threads to spare for that. Anything longer
//! goes to a thread of its own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{AcquireError, Semaphore};

use super::failure::{before_commit, caught};
use super::schema::{OpenError, open_reader};
use super::txn::Txn;
use crate::HotError;

/// Connections of one process: more than the cores of the machines it is built for, so that one
/// long list does not stop the look-ups.
const READERS: usize = 8;

pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    reads: AtomicU64,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Readers, OpenError> {
        let idle = (0..READERS).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Readers {
            idle: Arc::new(Mutex::new(idle)),
            permits: Arc::new(Semaphore::new(READERS)),
            reads: AtomicU64::new(0),
        })
    }

    /// Runs `body`, a point read, on one snapshot of the store, and on this thread.
    pub(super) async fn point<T>(
        &self,
        body: impl FnOnce(&Txn<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, HotError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _permit = self.permits.acquire().await.map_err(closed)?;
        on_idle(&self.idle, body)
    }

    /// Runs `body` on one snapshot of the store.
    pub(super) async fn run<T, F>(&self, body: F) -> Result<T, HotError>
    where
        T: Send + 'static,
        F: FnOnce(&Txn<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let idle = Arc::clone(&self.idle);
        let read = tokio::task::spawn_blocking(move || {
            // Given back after the connection, also when the caller has gone away meanwhile.
            let _permit = permit;
            on_idle(&idle, body)
        });
        read.await.unwrap_or_else(|panic| Err(HotError::Unavailable(Box::new(panic))))
    }

    pub(super) fn count(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

fn closed(_: AcquireError) -> HotError {
    HotError::Unavailable("the store is closed".into())
}

/// To be called with a permit.
fn on_idle<T>(
    idle: &Mutex<Vec<Connection>>,
    body: impl FnOnce(&Txn<'_>) -> rusqlite::Result<T>,
) -> Result<T, HotError> {
    let pop = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    // There is one for each permit.
    let conn = pop().ok_or_else(|| HotError::Unavailable("no reader is idle".into()))?;
    let result = on_snapshot(&conn, body);
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
    result
}

fn on_snapshot<T>(
    conn: &Connection,
    body: impl FnOnce(&Txn<'_>) -> rusqlite::Result<T>,
) -> Result<T, HotError> {
    let run = |sql: &str| conn.prepare_cached(sql).and_then(|mut it| it.execute([]));
    run("BEGIN").map_err(before_commit)?;
    let result = caught(|| body(&Txn::new(conn)));
    // Nothing was written; ending the snapshot lets the log be reset. Where a read has failed
    // SQLite may have ended it by itself.
    if !conn.is_autocommit()
        && let Err(error) = run("ROLLBACK")
    {
        tracing::error!(error = %error, "a snapshot was not ended");
    }
    result.map_err(before_commit)
}
