//! A copy of the whole store, made while it is in use.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use super::schema::open_reader;

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
    conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    File::open(&part)?.sync_all()?;
    std::fs::rename(&part, to)?;
    match to.parent() {
        Some(folder) => Ok(File::open(folder)?.sync_all()?),
        None => Ok(()),
    }
}
