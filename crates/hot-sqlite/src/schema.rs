//! Opening the file: settings, the schema and its version.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// What a new store is made of.
pub(super) const SCHEMA: &str = include_str!("../../../schema/hot.sql");

/// What a release that changes the schema adds to it: the first step upgrades a store of version 1 to
/// version 2, and so on. Version 1 is the schema of the first release.
const STEPS: &[&str] = &[];

/// The version of this release. An older release refuses a higher one.
pub(super) const SCHEMA_VERSION: i64 = version_after(STEPS);

const fn version_after(steps: &[&str]) -> i64 {
    1 + steps.len() as i64
}

/// Marks the file as ours (`PRAGMA application_id`): "cpry".
const APPLICATION_ID: i64 = 0x6370_7279;

/// Earlier releases can corrupt a WAL when one connection writes and another checkpoints.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// For outsiders such as a backup tool; our own processes queue in the fair file lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept by a connection: all there are.
const STATEMENTS_KEPT: usize = 128;

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file cannot be used.
    #[error("cannot open the hot store in {folder}: {source}")]
    File {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("cannot open the hot store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by a newer release.
    #[error(
        "the hot store has schema version {found}, this release knows {SCHEMA_VERSION}: \
         it needs couponry {needs} or later"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The release that wrote it.
        needs: String,
    },
    /// The file is some other program's.
    #[error("{0} is an SQLite file of another program")]
    Foreign(String),
    /// The SQLite that was built in is too old.
    #[error("SQLite {0} can lose commits; 3.51.3 or later is needed")]
    OldSqlite(&'static str),
}

/// The store, if it needs to be neither made nor upgraded. Takes no lock: a process that is frozen
/// in the middle of a write keeps nobody from reading.
pub(super) fn open_current(path: &Path) -> Result<Option<Connection>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let conn = connect(path)?;
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let is_current = number("application_id")? == APPLICATION_ID
        && number("user_version")? == SCHEMA_VERSION
        && mode == "wal";
    Ok(is_current.then_some(conn))
}

/// The store, made or upgraded where it has to be. Nobody else may write meanwhile.
pub(super) fn open_or_make(path: &Path) -> Result<Connection, OpenError> {
    let conn = connect(path)?;
    let id: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && tables > 0 {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    if tables == 0 {
        // Only before the first table: what the compactor removes goes back to the disk.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    conn.pragma_update(None, "journal_mode", "WAL")?;
    migrate(&conn, path, STEPS)?;
    Ok(conn)
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(OpenError::OldSqlite(rusqlite::version()));
    }
    create_private(path)
        .map_err(|source| OpenError::File { folder: path.display().to_string(), source })?;
    let conn = Connection::open(path)?;
    settle(&conn)?;
    Ok(conn)
}

/// Whether the store in `folder` needs no upgrade. Reads its version and nothing else.
///
/// # Errors
/// [`OpenError`], also where there is no store.
pub fn is_current(folder: &Path) -> Result<bool, OpenError> {
    let conn = open_reader(&folder.join(super::FILE_NAME))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version >= SCHEMA_VERSION)
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settle(&conn)?;
    // A reader may have to build the index of the WAL, so the file is not opened read-only.
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// What a file of the store may be: read and written by its owner alone. It names users, their orders
/// and hashes of passwords.
const MODE: u32 = 0o600;

/// Makes an empty file that nobody else may read, if there is none. One that is there is not opened:
/// closing any descriptor of a database drops every lock that SQLite has on it.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().create_new(true).write(true).mode(MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Takes from the files of a store what others may do with them, if they may; one line in the log says
/// so. What cannot be changed is logged, too: a file may be another user's, or lie on a disk that is
/// mounted read-only.
pub(super) fn tighten(folder: &Path) {
    let (mut tightened, mut failed) = (Vec::new(), Vec::new());
    for name in ["hot.db", "hot.db-wal", "hot.db-shm", "hot.turn", "hot.write"] {
        let path = folder.join(name);
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode();
        if mode & 0o077 == 0 {
            continue;
        }
        match std::fs::set_permissions(&path, Permissions::from_mode(mode & 0o7700)) {
            Ok(()) => tightened.push(format!("{name} ({:o})", mode & 0o777)),
            Err(error) => failed.push(format!("{name} ({:o}): {error}", mode & 0o777)),
        }
    }
    let folder = folder.display();
    if !tightened.is_empty() {
        let files = tightened.join(", ");
        tracing::warn!("others could read files in {folder}, now their owner alone may: {files}");
    }
    if !failed.is_empty() {
        let files = failed.join(", ");
        tracing::warn!("others may read files in {folder}: {files}");
    }
}

fn settle(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // The plan of a statement does not depend on what is bound to it. Without this, SQLite plans
    // every statement on a table with partial indexes anew whenever a value is bound: one might
    // make such an index usable. That was a fifth of a redeem and a quarter of a look-up.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "synchronous", "FULL")?;
    // The checkpointer checkpoints; a commit never does (see `checkpointer`).
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "mmap_size", 0)
}

/// Creates the tables, or runs those of `steps` that the store has not had. Keeps a copy of the store
/// first: every upgrade can be undone.
fn migrate(conn: &Connection, path: &Path, steps: &[&str]) -> Result<(), OpenError> {
    let version = || conn.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let newest = version_after(steps);
    let found = version()?;
    if (1..newest).contains(&found) {
        keep_copy(conn, path, found)?;
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let result = match version()? {
        0 => create(conn).map_err(OpenError::from),
        found if found > newest => Err(OpenError::Newer { found, needs: written_by(conn)? }),
        found => upgrade(conn, steps, found).map_err(OpenError::from),
    };
    conn.execute_batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    result
}

fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)?;
    conn.execute(
        "INSERT INTO setting (name, value) VALUES ('written_by', ?1)",
        [env!("CARGO_PKG_VERSION")],
    )?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Writes `hot.db.schema-1` and so on beside the store. A copy that exists already was not finished, or
/// its upgrade was not.
fn keep_copy(conn: &Connection, path: &Path, version: i64) -> Result<(), OpenError> {
    let copy = path.with_file_name(format!("{}.schema-{version}", super::FILE_NAME));
    let failed = |source| OpenError::File { folder: copy.display().to_string(), source };
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    // SQLite writes into an empty file that is there.
    create_private(&copy).map_err(failed)?;
    if let Err(error) = conn.execute("VACUUM INTO ?1", [copy.to_string_lossy()]) {
        // Half a copy is of no use, and the disk may be full of it.
        let _ = std::fs::remove_file(&copy);
        return Err(error.into());
    }
    let sync = |path: &Path| std::fs::File::open(path).and_then(|it| it.sync_all());
    let folder = copy.parent().filter(|folder| *folder != Path::new(""));
    sync(&copy).and_then(|()| sync(folder.unwrap_or(Path::new(".")))).map_err(failed)
}

/// From version `found`, which may be the newest one: another process was faster.
fn upgrade(conn: &Connection, steps: &[&str], found: i64) -> rusqlite::Result<()> {
    let missing = usize::try_from(found - 1).ok().and_then(|done| steps.get(done..));
    let Some(missing @ [_, ..]) = missing else { return Ok(()) };
    missing.iter().try_for_each(|step| conn.execute_batch(step))?;
    conn.execute(
        "UPDATE setting SET value = ?1 WHERE name = 'written_by'",
        [env!("CARGO_PKG_VERSION")],
    )?;
    conn.pragma_update(None, "user_version", version_after(steps))
}

fn written_by(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT value FROM setting WHERE name = 'written_by'", [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
