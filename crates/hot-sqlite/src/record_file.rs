//! Records in a file of their own beside the store, `records.db`: however many are written, no change of a coupon
//! waits for them.
//!
//! There are two connections that write, one for each [`RecordSync`], and one that reads. Each has a thread of its
//! own: callers wait in line for it, and hold none of the threads that tokio lends to everybody.

mod erasure;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hot::HotError;
use hot::tables::{AFTER_ALL_KEYS, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync};
use hot::tables::{RecordKind, Tables};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::failure::{at_commit, before_commit, caught};
use crate::private_files::create_private;
use crate::schema::OpenError;

/// Of this file; another one is of another release.
const VERSION: i64 = 1;

const SCHEMA: &str = include_str!("../../../schema/records.sql");

/// How long a statement waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows that are forgotten in one transaction: a few milliseconds.
const FORGOTTEN_TOGETHER: usize = 500;

/// In milliseconds since 1970.
pub type RecordClock = Arc<dyn Fn() -> i64 + Send + Sync>;

pub struct RecordFile {
    sure: RecordThread,
    quick: RecordThread,
    reader: RecordThread,
    clock: RecordClock,
}

impl RecordFile {
    pub const NAME: &'static str = "records.db";

    /// Opens the file at `path`, or makes it, for its owner alone. Blocks.
    ///
    /// # Errors
    /// A file that cannot be opened, or is of another release.
    pub fn open(path: &Path, clock: RecordClock) -> Result<RecordFile, OpenError> {
        create_private(path)
            .map_err(|source| OpenError::File { folder: path.display().to_string(), source })?;
        let sure = connect(path, "FULL")?;
        prepare(&sure, path)?;
        Ok(RecordFile {
            sure: RecordThread::with(sure)?,
            quick: RecordThread::with(connect(path, "NORMAL")?)?,
            reader: RecordThread::with(connect(path, "NORMAL")?)?,
            clock,
        })
    }

    fn writer(&self, kind: RecordKind) -> &RecordThread {
        match kind.sync {
            RecordSync::AtOnce => &self.sure,
            RecordSync::Later => &self.quick,
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        kind: RecordKind,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let write = move |records: &mut RecordConnection| {
            // One that begins as a reader fails if another one has written meanwhile.
            let begun = records.conn.transaction_with_behavior(TransactionBehavior::Immediate);
            let txn = begun.map_err(before_commit)?;
            let number = number_of(&txn, &mut records.kinds, kind).map_err(before_commit)?;
            let done = caught(|| work(&txn, number)).map_err(before_commit)?;
            txn.commit().map_err(at_commit)?;
            Ok(done)
        };
        self.writer(kind).run(write).await
    }

    /// Runs `work` with the number of a kind; `None` if nothing of it was ever written.
    async fn read<T: Send + 'static>(
        &self,
        kind: RecordKind,
        work: impl FnOnce(&Connection, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let read = move |records: &mut RecordConnection| {
            let found =
                find_number(&records.conn, &mut records.kinds, kind).map_err(before_commit)?;
            found
                .map(|number| caught(|| work(&records.conn, number)))
                .transpose()
                .map_err(before_commit)
        };
        self.reader.run(read).await
    }
}

#[async_trait]
impl Tables for RecordFile {
    async fn get(&self, part: &RecordPart, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let RecordPart { kind, name } = part.clone();
        let (key, now) = (key.to_vec(), (self.clock)());
        let found = self.read(kind, move |conn, kind| value_of(conn, kind, &name, &key, now));
        Ok(found.await?.flatten())
    }

    async fn scan(&self, part: &RecordPart, range: RecordRange) -> Result<Vec<RecordRow>> {
        let RecordPart { kind, name } = part.clone();
        let now = (self.clock)();
        let found = self.read(kind, move |conn, kind| {
            let order = if range.descending { "DESC" } else { "ASC" };
            let sql = format!(
                "SELECT key, value FROM record WHERE kind = ?1 AND part = ?2 AND key >= ?3 \
                 AND key < ?4 AND (until IS NULL OR until > ?5) ORDER BY key {order} LIMIT ?6"
            );
            let until = range.until.unwrap_or_else(|| vec![AFTER_ALL_KEYS]);
            let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
            let values = params![kind, name, range.from, until, now, limit];
            let row =
                |row: &rusqlite::Row<'_>| Ok(RecordRow { key: row.get(0)?, value: row.get(1)? });
            conn.prepare_cached(&sql)?.query_map(values, row)?.collect()
        });
        Ok(found.await?.unwrap_or_default())
    }

    async fn put(&self, part: &RecordPart, rows: Vec<RecordPut>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let RecordPart { kind, name } = part.clone();
        let now = (self.clock)();
        let put = move |txn: &Transaction<'_>, kind| {
            rows.into_iter().try_for_each(|row| put_one(txn, kind, &name, row, now))
        };
        self.write(kind, put).await
    }

    async fn replace(
        &self,
        part: &RecordPart,
        seen: Option<&[u8]>,
        next: RecordPut,
    ) -> Result<bool> {
        let RecordPart { kind, name } = part.clone();
        let (seen, now) = (seen.map(<[u8]>::to_vec), (self.clock)());
        let replace = move |txn: &Transaction<'_>, kind| {
            let is_seen = value_of(txn, kind, &name, &next.key, now)? == seen;
            if is_seen {
                put_one(txn, kind, &name, next, now)?;
            }
            Ok(is_seen)
        };
        self.write(kind, replace).await
    }

    async fn drop_below(&self, part: &RecordPart, key: Option<&[u8]>) -> Result<()> {
        let RecordPart { kind, name } = part.clone();
        let until = key.map_or_else(|| vec![AFTER_ALL_KEYS], <[u8]>::to_vec);
        let drop = move |txn: &Transaction<'_>, kind| {
            let sql = "DELETE FROM record WHERE kind = ?1 AND part = ?2 AND key < ?3";
            txn.prepare_cached(sql)?.execute(params![kind, name, until]).map(|_| ())
        };
        self.write(kind, drop).await
    }

    async fn forget_expired(&self) -> Result<bool> {
        let now = (self.clock)();
        let forget = move |records: &mut RecordConnection| {
            let sql = "DELETE FROM record WHERE (kind, part, key) IN (SELECT kind, part, key \
                       FROM record WHERE until <= ?1 LIMIT ?2)";
            let forgotten = records.conn.prepare_cached(sql).and_then(|mut statement| {
                statement.execute(params![now, FORGOTTEN_TOGETHER as i64])
            });
            Ok(forgotten.map_err(at_commit)? == FORGOTTEN_TOGETHER)
        };
        self.quick.run(forget).await
    }
}

struct RecordConnection {
    conn: Connection,
    kinds: HashMap<&'static str, i64>,
}

/// A connection, and the one thread that uses it.
struct RecordThread {
    connection: Arc<Mutex<RecordConnection>>,
    thread: Option<Runtime>,
}

impl RecordThread {
    fn with(conn: Connection) -> Result<RecordThread, OpenError> {
        let mut thread = Builder::new_current_thread();
        let thread = thread.thread_name("records").max_blocking_threads(1).build();
        let folder = || RecordFile::NAME.to_owned();
        let thread = thread.map_err(|source| OpenError::File { folder: folder(), source })?;
        let connection = Arc::new(Mutex::new(RecordConnection { conn, kinds: HashMap::new() }));
        Ok(RecordThread { connection, thread: Some(thread) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut RecordConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(thread) = &self.thread else { return Err(ending()) };
        let connection = Arc::clone(&self.connection);
        let work = move || work(&mut connection.lock());
        thread.spawn_blocking(work).await.unwrap_or_else(|_| Err(ending()))
    }
}

impl Drop for RecordThread {
    /// Waits for nothing, so that it may happen within a runtime.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.shutdown_background();
        }
    }
}

fn ending() -> HotError {
    HotError::Unknown("the process ends".into())
}

fn connect(path: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // A new log cuts the file of the old one: what an erasure has overwritten is gone, and Litestream, back from being
    // away, does not go on in a log that it has not read (see `checkpointer`).
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA secure_delete = ON; \
         PRAGMA journal_size_limit = 0;"
    ))?;
    Ok(conn)
}

/// Makes the tables in a new file. Several processes may open it at once.
fn prepare(conn: &Connection, path: &Path) -> Result<(), OpenError> {
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
        _ => Err(OpenError::Foreign(path.display().to_string())),
    }
}

/// The number of a kind, which is given to it with its first row.
fn number_of(
    txn: &Transaction<'_>,
    kinds: &mut HashMap<&'static str, i64>,
    kind: RecordKind,
) -> rusqlite::Result<i64> {
    if let Some(number) = find_number(txn, kinds, kind)? {
        return Ok(number);
    }
    // Not remembered before it is committed.
    let sql = "INSERT INTO record_kind (name) VALUES (?1) RETURNING number";
    txn.query_row(sql, [kind.name], |row| row.get(0))
}

fn find_number(
    conn: &Connection,
    kinds: &mut HashMap<&'static str, i64>,
    kind: RecordKind,
) -> rusqlite::Result<Option<i64>> {
    if let Some(number) = kinds.get(kind.name) {
        return Ok(Some(*number));
    }
    let sql = "SELECT number FROM record_kind WHERE name = ?1";
    let found = conn.prepare_cached(sql)?.query_row([kind.name], |row| row.get(0)).optional()?;
    if let Some(number) = found {
        kinds.insert(kind.name, number);
    }
    Ok(found)
}

fn value_of(
    conn: &Connection,
    kind: i64,
    part: &[u8],
    key: &[u8],
    now: i64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT value FROM record WHERE kind = ?1 AND part = ?2 AND key = ?3 \
               AND (until IS NULL OR until > ?4)";
    let value = |row: &rusqlite::Row<'_>| row.get(0);
    conn.prepare_cached(sql)?.query_row(params![kind, part, key, now], value).optional()
}

fn put_one(
    txn: &Transaction<'_>,
    kind: i64,
    part: &[u8],
    row: RecordPut,
    now: i64,
) -> rusqlite::Result<()> {
    let RecordPut { key, value, keep } = row;
    let Some(value) = value else {
        let sql = "DELETE FROM record WHERE kind = ?1 AND part = ?2 AND key = ?3";
        return txn.prepare_cached(sql)?.execute(params![kind, part, key]).map(|_| ());
    };
    let millis = |keep: Duration| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let until = keep.map(|keep| now.saturating_add(millis(keep)));
    let sql = "INSERT OR REPLACE INTO record (kind, part, key, value, until) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    txn.prepare_cached(sql)?.execute(params![kind, part, key, value, until]).map(|_| ())
}
