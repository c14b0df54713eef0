//! The schema of the file: opens, makes, upgrades and checks it. Every connection gets its pragmas
//! here.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rusqlite::{Result as SqlResult, config::DbConfig};

use crate::private_files::{create_private, sync_folder};
use crate::txn::Txn;

pub const FILE_NAME: &str = "hot.db";

const SCHEMA: &str = include_str!("../../../schema/hot.sql");

/// One step from a version of the schema to the next. Its transaction also raises the version.
type SchemaStep = fn(&Connection) -> SqlResult<()>;

/// The steps by which this release upgrades the stores of earlier ones: the first from version 1 to
/// version 2, and so on. Release 0.1.0 begins with version 1.
const STEPS: &[SchemaStep] = &[];

/// The version of this release. An older release refuses a higher one.
pub(crate) const SCHEMA_VERSION: i64 = version_after(STEPS);

/// This release, by which a store says who has written it.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

const fn version_after(steps: &[SchemaStep]) -> i64 {
    1 + steps.len() as i64
}

/// Marks the file as ours (`PRAGMA application_id`): "cpry".
const APPLICATION_ID: i64 = 0x6370_7279;

/// For other programs, such as a backup tool: our own processes use the fair file lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements that a connection keeps: all of ours.
const STATEMENTS_KEPT: usize = 128;

/// The VFS of `wal_vfs.c`.
const WAL_VFS: &str = "couponry-wal";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the hot store in {folder}: {source}")]
    File { folder: String, source: std::io::Error },
    #[error("cannot open the hot store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error(
        "the hot store has schema version {found}, this release knows {SCHEMA_VERSION}: \
         it needs couponry {needs} or later"
    )]
    Newer {
        found: i64,
        /// The release that wrote it.
        needs: String,
    },
    #[error("{0} is an SQLite file of another program")]
    Foreign(String),
}

/// The store, if it need not be made or upgraded. It takes no lock, so that a process that is
/// frozen in the middle of a write does not stop other processes from reading.
pub(crate) fn open_current(
    path: &Path,
    joins_wal_writes: bool,
) -> Result<Option<Connection>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let conn = connect(path, joins_wal_writes)?;
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let is_current = id == APPLICATION_ID && version(&conn)? == SCHEMA_VERSION && mode == "wal";
    Ok(is_current.then_some(conn))
}

/// The store, made or upgraded if it has to be. No other process may write meanwhile.
pub(crate) fn open_or_make(path: &Path, joins_wal_writes: bool) -> Result<Connection, OpenError> {
    let conn = connect(path, joins_wal_writes)?;
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && tables > 0 {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    if tables == 0 {
        // It must be set before the first table. It lets free pages go back to the disk.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    conn.pragma_update(None, "journal_mode", "WAL")?;
    migrate(&conn, path, STEPS)?;
    // To take back an order of several coupons, SQLite keeps the pages that it changes. A container may have no folder
    // for a temporary file. An upgrade before this sorts whole tables, and does so in files.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

fn connect(path: &Path, joins_wal_writes: bool) -> Result<Connection, OpenError> {
    create_private(path)
        .map_err(|source| OpenError::File { folder: path.display().to_string(), source })?;
    let flags = OpenFlags::default();
    let conn = match joins_wal_writes {
        true => Connection::open_with_flags_and_vfs(path, flags, WAL_VFS)?,
        false => Connection::open_with_flags(path, flags)?,
    };
    configure(&conn)?;
    Ok(conn)
}

/// Whether the store in `folder` needs no upgrade. Reads its version and nothing else.
///
/// # Errors
/// [`OpenError`], also if there is no store.
pub fn is_current(folder: &Path) -> Result<bool, OpenError> {
    let conn = open_reader(&folder.join(FILE_NAME))?;
    Ok(version(&conn)? >= SCHEMA_VERSION)
}

/// The schema version of the store now. A process of a newer release may raise it at any time.
pub(crate) fn version(conn: &Connection) -> SqlResult<i64> {
    conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))
}

pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    configure(&conn)?;
    // A reader may have to build the index of the WAL, so the file is not opened read-only.
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// SQLite's own check of pages, indexes and constraints: at most 20 faults.
pub(crate) fn integrity(txn: &Txn<'_>) -> SqlResult<Vec<String>> {
    let said: Vec<String> = txn.all("PRAGMA integrity_check(20)", [], |row| row.get(0))?;
    Ok(said.into_iter().filter(|said| said != "ok").collect())
}

fn configure(conn: &Connection) -> SqlResult<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // The plan of a statement does not depend on the values that are bound to it. Without this,
    // SQLite plans every statement on a table with partial indexes again for each bound value,
    // since a value might make such an index usable. That was a fifth of a redeem and a quarter of
    // a look-up.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // NORMAL would not sync each commit of a WAL, and an answer promises a durable one. The VFS relies on it, too.
    conn.pragma_update(None, "synchronous", "FULL")?;
    // What was deleted is gone from the file, too.
    conn.pragma_update(None, "secure_delete", true)?;
    // The checkpointer makes checkpoints; a commit never does (see `checkpointer`).
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "mmap_size", 0)
}

/// Creates the tables, or runs those of `steps` that the store has not had. It keeps a copy of the
/// store first, so that every upgrade can be undone.
fn migrate(conn: &Connection, path: &Path, steps: &[SchemaStep]) -> Result<(), OpenError> {
    let newest = version_after(steps);
    let found = version(conn)?;
    if found == 0 {
        return in_transaction(conn, |conn| match version(conn)? {
            0 => create(conn, newest),
            _ => Ok(()),
        });
    }
    if found > newest {
        let sql = "SELECT value FROM setting WHERE name = 'written_by'";
        let needs = conn.query_row(sql, [], |row| row.get(0))?;
        return Err(OpenError::Newer { found, needs });
    }
    if found < newest {
        keep_copy(conn, path, found)?;
    }
    for (made, step) in (2_i64..).zip(steps).filter(|(made, _)| *made > found) {
        in_transaction(conn, |conn| {
            step(conn)?;
            conn.execute("UPDATE setting SET value = ?1 WHERE name = 'written_by'", [RELEASE])?;
            conn.pragma_update(None, "user_version", made)
        })?;
    }
    Ok(())
}

pub(crate) fn in_transaction(
    conn: &Connection,
    body: impl FnOnce(&Connection) -> SqlResult<()>,
) -> Result<(), OpenError> {
    let txn = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    body(&txn)?;
    Ok(txn.commit()?)
}

fn create(conn: &Connection, version: i64) -> SqlResult<()> {
    conn.execute_batch(SCHEMA)?;
    conn.execute("INSERT INTO setting (name, value) VALUES ('written_by', ?1)", [RELEASE])?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", version)
}

/// Writes `hot.db.schema-1` and so on next to the store. If there is such a copy already, it or its
/// upgrade was not finished, and the new copy replaces it.
fn keep_copy(conn: &Connection, path: &Path, version: i64) -> Result<(), OpenError> {
    let copy = path.with_file_name(format!("{}.schema-{version}", FILE_NAME));
    let failed = |source| OpenError::File { folder: copy.display().to_string(), source };
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    // SQLite writes into an empty file that exists.
    create_private(&copy).map_err(failed)?;
    if let Err(error) = conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()]) {
        // Half a copy is useless, and it may have filled the disk.
        let _ = std::fs::remove_file(&copy);
        return Err(error.into());
    }
    let folder = copy.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    sync_folder(&copy).and_then(|()| sync_folder(folder)).map_err(failed)
}

#[cfg(test)]
mod tests;
