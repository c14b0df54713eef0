//! Files that only their owner may read: the only place that makes them and sets their permissions.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Files of the store have the names of users, their orders and the hashes of their passwords.
const MODE: u32 = 0o600;

/// Makes an empty file that only its owner may read, if there is no such file. Does not open a file
/// that exists: closing any descriptor of a database drops every lock that SQLite has on it.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().create_new(true).write(true).mode(MODE).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // This file system cannot sync a folder.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// Takes the permissions of other users from the files of a store. Logs what it has changed, and
/// what it cannot change: a file may be another user's, or on a disk that is mounted read-only.
pub(crate) fn tighten(folder: &Path) {
    let (mut tightened, mut failed) = (Vec::new(), Vec::new());
    for name in ["hot.db", "hot.db-wal", "hot.db-shm", "hot.turn", "hot.write"] {
        let path = folder.join(name);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode();
        if mode & 0o077 == 0 {
            continue;
        }
        match fs::set_permissions(&path, Permissions::from_mode(mode & 0o7700)) {
            Ok(()) => tightened.push(format!("{name} ({:o})", mode & 0o777)),
            Err(error) => failed.push(format!("{name} ({:o}): {error}", mode & 0o777)),
        }
    }
    let folder = folder.display();
    for (said, files) in
        [("could read files, now their owner alone may", tightened), ("may read files", failed)]
    {
        if !files.is_empty() {
            tracing::warn!("in {folder} others {said}: {}", files.join(", "));
        }
    }
}
