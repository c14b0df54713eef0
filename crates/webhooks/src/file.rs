//! The file: its tables, and how it is opened. The statements are in the modules below.
//!
//! There are two connections. Calls of others use the sure one: their changes survive a power cut. The dispatcher
//! uses the quick one: after a power cut its last second may be missing, cursors and deliveries together, and is
//! done again. A process that is killed loses nothing on either.

pub(crate) mod due;
pub(crate) mod endpoints;
pub(crate) mod leases;
pub(crate) mod log;
pub(crate) mod queue;
pub(crate) mod results;
pub(crate) mod secrets;
mod store;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::runtime::{Builder, Runtime};

use crate::{FileError, OpenError, WebhookError};

/// Of this file; another one is of another release.
const VERSION: i64 = 1;

// Times are in milliseconds since 1970.
const SCHEMA: &str = "
CREATE TABLE webhook (
    -- Never used again, so that what is under way for a deleted one does not reach its successor.
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    -- The values with which it was made: a repeat must have the same.
    request     TEXT NOT NULL,
    url         TEXT NOT NULL,
    description TEXT,
    -- A JSON array.
    types       TEXT,
    campaign    TEXT,
    ordered     INTEGER NOT NULL,
    -- 0 active, 1 paused, 2 disabled.
    state       INTEGER NOT NULL,
    why         TEXT,
    since       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Null: it begins at the newest event.
    cursor      TEXT,
    -- Deliveries with state 0; the triggers count.
    pending     INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    -- Raised by each call that changes it.
    generation  INTEGER NOT NULL DEFAULT 0,
    leased_to   TEXT,
    -- Nobody may take it before.
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE secret (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook    INTEGER NOT NULL,
    secret     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    until      INTEGER,
    -- The caller's name for the rotation that made it.
    rotation   TEXT
) STRICT;
CREATE INDEX secret_by_webhook ON secret (webhook, number);
CREATE TABLE message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE,
    type   TEXT NOT NULL,
    body   TEXT NOT NULL
) STRICT;
CREATE TABLE delivery (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook     INTEGER NOT NULL,
    -- Null of a gap.
    message     INTEGER,
    code        TEXT,
    -- 0 pending, 1 delivered, 2 failed, 3 gap.
    state       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    redelivered INTEGER NOT NULL DEFAULT 0,
    tried_at    INTEGER,
    status      INTEGER,
    error       TEXT,
    duration_ms INTEGER,
    ended_at    INTEGER
) STRICT;
-- One delivery of a message to an endpoint, whoever queues it and how often.
CREATE UNIQUE INDEX delivery_once ON delivery (message, webhook) WHERE message IS NOT NULL;
CREATE INDEX delivery_log ON delivery (webhook, number);
CREATE INDEX delivery_failed ON delivery (webhook, number) WHERE state = 2;
CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX delivery_due ON delivery (webhook, next_at, number) WHERE state = 0;
CREATE INDEX delivery_waiting ON delivery (webhook, number) WHERE state = 0;
CREATE INDEX delivery_code ON delivery (webhook, code, number) WHERE state = 0 AND code IS NOT NULL;
CREATE TRIGGER pending_added AFTER INSERT ON delivery WHEN NEW.state = 0 BEGIN
    UPDATE webhook SET pending = pending + 1 WHERE number = NEW.webhook;
END;
CREATE TRIGGER pending_ended AFTER UPDATE OF state ON delivery WHEN OLD.state = 0 AND NEW.state <> 0 BEGIN
    UPDATE webhook SET pending = pending - 1 WHERE number = NEW.webhook;
END;
CREATE TRIGGER pending_again AFTER UPDATE OF state ON delivery WHEN OLD.state <> 0 AND NEW.state = 0 BEGIN
    UPDATE webhook SET pending = pending + 1 WHERE number = NEW.webhook;
END;
CREATE TRIGGER pending_gone AFTER DELETE ON delivery WHEN OLD.state = 0 BEGIN
    UPDATE webhook SET pending = pending - 1 WHERE number = OLD.webhook;
END;
-- Processes that send.
CREATE TABLE dispatcher (name TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Endpoints whose deliveries are still to be deleted.
CREATE TABLE deleted (webhook INTEGER PRIMARY KEY) STRICT;
";

/// How long a statement waits for those of other connections and processes.
const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct File {
    sure: Desk,
    quick: Desk,
}

impl File {
    /// Opens the file, or makes it, for its owner alone: secrets are in it.
    pub(crate) fn open(path: &Path) -> Result<File, OpenError> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let sure = connection(path, "FULL")?;
        prepare(&sure)?;
        Ok(File { sure: Desk::with(sure)?, quick: Desk::with(connection(path, "NORMAL")?)? })
    }
}

/// A connection and the one thread that uses it. Callers wait in line for it here, and hold none of the threads
/// that tokio lends to everybody.
#[derive(Debug)]
struct Desk {
    conn: Arc<Mutex<Connection>>,
    thread: Option<Runtime>,
}

impl Desk {
    fn with(conn: Connection) -> std::io::Result<Desk> {
        let mut thread = Builder::new_current_thread();
        let thread = thread.thread_name("webhooks").max_blocking_threads(1).build()?;
        Ok(Desk { conn: Arc::new(Mutex::new(conn)), thread: Some(thread) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, WebhookError> + Send + 'static,
    ) -> Result<T, WebhookError> {
        let Some(thread) = &self.thread else { return Err(WebhookError::Ending) };
        let conn = Arc::clone(&self.conn);
        let work = move || work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner));
        match thread.spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(WebhookError::Ending),
            },
        }
    }
}

impl Drop for Desk {
    /// Waits for nothing, so that it may happen within a runtime.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.shutdown_background();
        }
    }
}

fn connection(path: &Path, synchronous: &str) -> Result<Connection, FileError> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};"))?;
    Ok(conn)
}

/// Makes the tables in a new file. Several processes may open it at once.
fn prepare(conn: &Connection) -> Result<(), OpenError> {
    let version = || -> rusqlite::Result<i64> {
        conn.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    if version()? == 0 {
        let txn = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        if version()? == 0 {
            txn.execute_batch(&format!("{SCHEMA} PRAGMA user_version = {VERSION};"))?;
        }
        txn.commit()?;
    }
    match version()? {
        VERSION => Ok(()),
        found => Err(OpenError::Version { found, want: VERSION }),
    }
}

/// Immediate: a transaction that begins as a reader fails if another one has written meanwhile.
pub(crate) fn writing(conn: &mut Connection) -> Result<Transaction<'_>, FileError> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Copies the file of webhooks at `file` to `copy`, as it is at one moment, also while others write to it.
/// `copy` must not exist; it is for its owner alone, as secrets are in it. Waits for the disk. If there is no
/// `file`, copies nothing and returns `false`.
pub fn backup(file: &Path, copy: &Path) -> Result<bool, OpenError> {
    if !file.exists() {
        return Ok(false);
    }
    // SQLite accepts an empty file, and would make one that others can read.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy)?;
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.busy_timeout(BUSY)?;
    conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    std::fs::File::open(copy)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
fn two_endpoints() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(SCHEMA).unwrap();
    for name in ["a", "b"] {
        conn.execute(
            "INSERT INTO webhook (name, request, url, ordered, state, since, created_at, cursor) \
             VALUES (?1, '', '', 0, 0, 0, 0, '5')",
            [name],
        )
        .unwrap();
    }
    conn
}
