//! The folder of a backup, from its first file to its end.
//!
//! Invariant: a folder without the ending `.part` is a complete backup. A backup that is being made,
//! and one that is being deleted, is in a folder with that ending, which has the file [`MARK`]. Its
//! process holds a lock on that file, so the next backup deletes what a killed process left behind,
//! and nothing else.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::private_files::{create_private, sync_folder};

const MARK: &str = "unfinished";

/// A backup that is being made. Dropped before it is published, it is deleted.
#[derive(Debug)]
pub struct BackupDraft {
    folder: PathBuf,
    to: PathBuf,
    is_published: bool,
    _lock: File,
}

impl BackupDraft {
    /// Begins the backup `to`, in a folder that exists. Deletes what killed backups and deletions
    /// have left in that folder.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if another process is making the same backup, or if the folder
    /// `to.part` is no unfinished backup.
    pub fn begin(to: &Path) -> io::Result<BackupDraft> {
        sweep(parent(to))?;
        let folder = to.with_added_extension("part");
        DirBuilder::new().mode(0o700).create(&folder)?;
        let mark = folder.join(MARK);
        create_private(&mark)?;
        let lock = File::options().write(true).open(mark)?;
        // A file system without locks: what is killed there stays until somebody deletes it.
        let _ = lock.try_lock();
        Ok(BackupDraft { folder, to: to.to_owned(), is_published: false, _lock: lock })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives the backup its name, durably. What is below its folder must be durable.
    pub fn publish(mut self) -> io::Result<()> {
        // Before the name: a folder without `.part` is a complete backup.
        sync_folder(&self.folder)?;
        fs::rename(&self.folder, &self.to)?;
        self.is_published = true;
        // Before the mark goes: a folder with neither mark nor name would stay for ever.
        sync_folder(parent(&self.to))?;
        fs::remove_file(self.to.join(MARK))?;
        sync_folder(&self.to)
    }
}

impl Drop for BackupDraft {
    fn drop(&mut self) {
        if !self.is_published {
            // If this fails, the next backup deletes it.
            let _ = remove(&self.folder);
        }
    }
}

/// Deletes a complete backup. A kill leaves nothing that looks like one.
///
/// # Errors
/// On an I/O error; the next backup deletes the rest.
pub fn delete(backup: &Path) -> io::Result<()> {
    // The mark first: a sweep deletes only folders that have it.
    create_private(&backup.join(MARK))?;
    let part = backup.with_added_extension("part");
    fs::rename(backup, &part)?;
    // Durable before anything goes: half a backup must not come back under its full name.
    sync_folder(parent(backup))?;
    remove(&part)
}

fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // An empty one was killed before it had its mark. A folder that is not empty stays.
        if path.extension() != Some(OsStr::new("part")) || fs::remove_dir(&path).is_ok() {
            continue;
        }
        let Ok(lock) = File::options().write(true).open(path.join(MARK)) else { continue };
        if lock.try_lock().is_ok() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes the mark last: without it nobody would remove the rest.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(path)?,
            false if entry.file_name() == MARK => {}
            false => fs::remove_file(path)?,
        }
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
