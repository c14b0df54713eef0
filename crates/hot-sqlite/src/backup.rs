//! A copy of the whole store, made while it is in use.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use super::archiving::{BEGUN, COMMITTED};
use super::reconcile;
use super::schema::{OpenError, create_private, open_or_make, open_reader};
use super::txn::{Seen, Txn};

/// Makes the copy at `path`, which nobody has open, the beginning of a new history, before it gets
/// the name of a store: codes minted since it was made are passed over, and of the cold tier it
/// knows no more than it has seen committed. A version that had only been begun when it was made
/// may have been committed since with what this copy does not know of.
///
/// # Errors
/// [`OpenError`]; then it is as it was.
pub fn make_ready(path: &Path) -> Result<(), OpenError> {
    let conn = open_or_make(path)?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let changed = reconcile::pass_over_serials(&Txn::new(&conn, &Seen::default())).and_then(|()| {
        conn.execute("DELETE FROM setting WHERE name = ?1", [BEGUN])?;
        conn.execute(
            "INSERT INTO setting (name, value) SELECT ?1, value FROM setting WHERE name = ?2",
            [BEGUN, COMMITTED],
        )
    });
    conn.execute_batch(if changed.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    changed?;
    // Closing carries the log over and removes it.
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// One snapshot of `from`, written to `to`, which must not exist. Others read and write meanwhile;
/// only the log cannot be begun anew before it has ended.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let part = to.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let conn = open_reader(from)?;
    conn.pragma_update(None, "query_only", false)?;
    // SQLite writes into an empty file that is there.
    create_private(&part)?;
    conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    File::open(&part)?.sync_all()?;
    std::fs::rename(&part, to)?;
    match to.parent() {
        Some(folder) => Ok(File::open(folder)?.sync_all()?),
        None => Ok(()),
    }
}
