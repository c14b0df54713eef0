//! Backups: a copy of the whole store that is made while it is in use, and a copy that becomes a
//! store; the folder of a backup, and what is in it beside the store.

mod folder;
mod restore;
mod shared;
mod tables;

use std::error::Error;
use std::fs::File;
use std::path::Path;

use hot::HotError;

pub use self::folder::{BackupDraft, delete, parent};
pub use self::restore::{CompanionFile, engine_faults, make_ready, newest_event, put_back};
pub use self::shared::{copy_file, copy_folder};
pub use self::tables::{ColdFolder, put_back_cold};
use crate::private_files::{create_private, sync_folder};
use crate::record_file::RecordFile;
use crate::schema::{FILE_NAME, open_reader};
use crate::{Result, SqliteHot};

impl SqliteHot {
    /// Copies the whole store, as it is at one moment after the call, to a new file at `to`. Others
    /// may read and write meanwhile. The copy is durable before this returns.
    ///
    /// # Errors
    /// `Unavailable`; a file at `to` is whole then, and perhaps not durable.
    pub async fn back_up(&self, to: &Path) -> Result<()> {
        self.copy_file(FILE_NAME, to).await
    }

    /// The same for the records of the store. Copied after it, they lack no event that it has.
    pub async fn back_up_records(&self, to: &Path) -> Result<()> {
        self.copy_file(RecordFile::NAME, to).await
    }

    async fn copy_file(&self, name: &str, to: &Path) -> Result<()> {
        let (from, to) = (self.folder.join(name), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || copy(&from, &to)).await;
        copied.unwrap_or_else(|panic| Err(Box::new(panic))).map_err(HotError::Unavailable)
    }
}

/// Copies `from`, as it is in one read transaction, to `to`, which must not exist. Others read and
/// write meanwhile, but the log cannot restart before the copy has ended.
fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let part = to.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let conn = open_reader(from)?;
    conn.pragma_update(None, "query_only", false)?;
    // SQLite writes into an empty file that exists.
    create_private(&part)?;
    conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    // Its bytes are durable before it has its name, and the name before this returns.
    File::open(&part)?.sync_all()?;
    std::fs::rename(&part, to)?;
    Ok(sync_folder(parent(to))?)
}
