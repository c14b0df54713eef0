//! Writing a file and giving it its name: the only place that syncs files and folders.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::PutMode;
use parking_lot::Mutex;
use uuid::Uuid;

/// The folder in which objects are written before they have their names.
pub(super) const STAGING: &str = ".staging";

/// A file without its final name. Dropping it deletes the staged copy.
#[derive(Debug)]
pub(super) struct StagedFile {
    root: PathBuf,
    staged: PathBuf,
    pub(super) named: PathBuf,
    kept: Arc<Mutex<HashSet<PathBuf>>>,
}

impl StagedFile {
    pub(super) fn new(
        root: &FilePath,
        named: PathBuf,
        kept: &Arc<Mutex<HashSet<PathBuf>>>,
    ) -> StagedFile {
        // `LocalFileSystem` does not list names that end in `#` and digits.
        let name = format!("{}#1", Uuid::new_v4());
        let staged = root.join(STAGING).join(name);
        StagedFile { root: root.to_owned(), staged, named, kept: Arc::clone(kept) }
    }

    pub(super) fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        match options.open(&self.staged) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Does not create the parents; see [`super::LocalFolder`].
                match fs::create_dir(self.root.join(STAGING)) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                options.open(&self.staged)
            }
            opened => opened,
        }
    }

    /// Gives a synced file its name, and syncs the folders that contain the name.
    pub(super) fn publish(&self, mode: &PutMode) -> io::Result<()> {
        let folder = self.named.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        match mode {
            PutMode::Overwrite => fs::rename(&self.staged, &self.named)?,
            // A link fails if the name exists; a rename would replace another writer's commit.
            PutMode::Create | PutMode::Update(_) => fs::hard_link(&self.staged, &self.named)?,
        }
        // The bytes are synced already; without this, a crash after the answer loses the name.
        sync_folder(folder)?;
        keep(&self.root, &self.kept, folder)
    }
}

/// Syncs the name of `folder`, and of each of its parents below `root` that may be new.
pub(super) fn keep(
    root: &FilePath,
    kept: &Mutex<HashSet<PathBuf>>,
    folder: &FilePath,
) -> io::Result<()> {
    let chain = || folder.ancestors().take_while(|above| *above != root);
    for folder in chain() {
        if kept.lock().contains(folder) {
            return Ok(());
        }
        sync_folder(folder.parent().unwrap_or(root))?;
    }
    // Only now, and all at once: another writer must not rely on a path that is synced in part.
    kept.lock().extend(chain().map(FilePath::to_owned));
    Ok(())
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // If this fails, a sweep deletes the file a day later.
        let _ = fs::remove_file(&self.staged);
    }
}

pub(super) fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
