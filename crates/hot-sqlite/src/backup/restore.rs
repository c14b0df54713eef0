//! Puts a backup into a data folder, so that a crash at any moment leaves the old data, the new data,
//! or a folder with the staging folder in it, which every command refuses.

use std::error::Error;
use std::fs;
use std::path::Path;

use coupon::time::Millis;
use hot::settings::{COLD_BEGUN, COLD_COMMITTED};

use super::shared::{copy_file, copy_folder, make, rename};
use crate::private_files::sync_folder;
use crate::reconcile;
use crate::schema::{FILE_NAME, OpenError, in_transaction, integrity, open_or_make, open_reader};
use crate::txn::{CachedRows, Txn};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What belongs to a store in its data folder, and is in its backups.
#[derive(Clone, Copy, Debug)]
pub struct CompanionFile<'a> {
    pub folder: &'a str,
    /// A database of SQLite, which need not be there.
    pub database: &'a str,
}

/// Prepares the copy at `path` before it becomes a store. No process may have it open.
///
/// It skips the serials of codes that were minted since the copy was made. It also forgets the
/// version of the cold tier that had been begun at that time: the version may have been committed
/// since, with coupons that this copy does not know.
///
/// # Errors
/// [`OpenError`]; the copy is unchanged then.
pub fn make_ready(path: &Path) -> std::result::Result<(), OpenError> {
    let conn = open_or_make(path, false)?;
    in_transaction(&conn, |conn| {
        reconcile::pass_over_serials(&Txn::new(conn, &CachedRows::default()))?;
        conn.execute("DELETE FROM setting WHERE name = ?1", [COLD_BEGUN])?;
        let sql = "INSERT INTO setting (name, value) SELECT ?1, value FROM setting WHERE name = ?2";
        conn.execute(sql, [COLD_BEGUN, COLD_COMMITTED]).map(drop)
    })?;
    // Closing copies the log into the file and removes the log.
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// What SQLite's own check finds wrong with the store at `path`: at most 20 faults. Reads all of it.
///
/// # Errors
/// [`OpenError`]: it is no store.
pub fn engine_faults(path: &Path) -> std::result::Result<Vec<String>, OpenError> {
    let conn = open_reader(path)?;
    let found = integrity(&Txn::new(&conn, &CachedRows::default()));
    Ok(found.unwrap_or_else(|error| vec![error.to_string()]))
}

/// When the newest event of the store at `path` happened; `None` if it keeps none.
///
/// # Errors
/// [`OpenError`], also for a store of an earlier release.
pub fn newest_event(path: &Path) -> std::result::Result<Option<Millis>, OpenError> {
    let newest = "SELECT (SELECT at FROM event ORDER BY number DESC LIMIT 1)";
    let at: Option<i64> = open_reader(path)?.query_row(newest, [], |row| row.get(0))?;
    Ok(at.map(Millis))
}

/// Copies the backup `from` to the folder `staging` in the folder `data`, and upgrades its store if
/// an earlier release wrote it. Then moves the old data to the folder `aside` and the copy into
/// place, the store last.
///
/// # Errors
/// On an I/O error, or if the store cannot be opened. The call may be repeated.
pub fn put_back(
    from: &Path,
    data: &Path,
    staging: &Path,
    aside: &Path,
    beside: CompanionFile<'_>,
) -> Result<()> {
    if staging.exists() {
        fs::remove_dir_all(staging)?;
    }
    stage(from, staging, beside)?;
    // Before the old files move: while the staging folder is there, every command refuses.
    sync_folder(data)?;
    // The files that SQLite keeps beside a database belong to it, and go before it.
    let database = |name| ["-shm", "-wal", ""].map(|end| format!("{name}{end}"));
    let databases = [FILE_NAME, beside.database].map(database);
    let old = databases.iter().flatten().map(String::as_str).chain([beside.folder]);
    for name in old.filter(|name| data.join(name).exists()) {
        make(aside)?;
        rename(&data.join(name), &aside.join(name))?;
    }
    if aside.exists() {
        // The old files are durable aside before new ones take their names.
        sync_folder(aside)?;
    }
    let new = [beside.folder, beside.database, FILE_NAME].into_iter();
    for name in new.filter(|name| staging.join(name).exists()) {
        rename(&staging.join(name), &data.join(name))?;
    }
    sync_folder(data)?;
    fs::remove_dir_all(staging)?;
    // If it came back after a crash, every command would refuse the folder.
    Ok(sync_folder(data)?)
}

fn stage(from: &Path, staging: &Path, beside: CompanionFile<'_>) -> Result<()> {
    make(staging)?;
    copy_folder(&from.join(beside.folder), &staging.join(beside.folder))?;
    copy_file(&from.join(FILE_NAME), &staging.join(FILE_NAME))?;
    make_ready(&staging.join(FILE_NAME))?;
    if from.join(beside.database).exists() {
        copy_file(&from.join(beside.database), &staging.join(beside.database))?;
    }
    Ok(sync_folder(staging)?)
}
