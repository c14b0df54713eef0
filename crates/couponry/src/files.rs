//! Files and folders: reading, copying, syncing, and keeping others from reading them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use engine::Failure;
use hot_sqlite::backup::parent;
use rustix::fs::Mode;
use tokio::io::AsyncRead;

use crate::failure::{CliError, Result};

/// The folder of the data folder that belongs to the hot store and is copied with it.
pub(crate) const KEYS: &str = "keys";

/// The bits of a mode that let others than the owner open something.
pub(crate) const OTHERS: u32 = 0o077;

/// What earlier releases may have made for everybody: the finished coupons, and the locks, which
/// anybody could have held for ever.
const ONCE_OPEN: [&str; 3] = ["cold", "serve.lock", "compact.lock"];

pub(crate) type Source = Box<dyn AsyncRead + Unpin + Send>;

/// Opens a file to read it, `-` for standard input; its length, if it is known.
pub(crate) async fn readable(path: &Path) -> Result<(Source, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let file = tokio::fs::File::open(path).await.map_err(CliError::cannot("read", path))?;
    let about = file.metadata().await.map_err(CliError::cannot("read", path))?;
    if about.is_dir() {
        return Err(CliError::new(format!("cannot read {}: it is a folder", path.display())));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// Why the lines of a file cannot be read.
pub(crate) fn unreadable(path: &Path, failure: Failure) -> CliError {
    let name = path.display();
    match failure {
        Failure::BrokenOff(why) => CliError::new(format!("cannot read {name}: {why}")),
        other => CliError::new(format!("{name}: {}", CliError::from(other))),
    }
}

pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Opens a lock file that only its owner can open, and makes it if it is not there.
pub(crate) fn lock_file(path: &Path) -> Result<File> {
    let mut open = OpenOptions::new();
    let file = open.create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    file.map_err(CliError::cannot("lock", path))
}

/// Gives what was written as `staged` its name: a crash leaves what had that name before, or all of the new.
pub(crate) fn publish(staged: &File, part: &Path, path: &Path) -> io::Result<()> {
    staged.sync_all()?;
    fs::rename(part, path)?;
    sync_names_in(parent(path))
}

/// The whole path, for whoever is in another folder than they think.
pub(crate) fn whole(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// From now on only their owner can open the files and folders that this process makes, whatever
/// its caller allows. The libraries that write stores and archives name no mode.
pub(crate) fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes what earlier releases made in a data folder from those whom nobody named. A group that an
/// administrator let in stays.
pub(crate) fn close_to_strangers(data: &Path) {
    for path in ONCE_OPEN.map(|name| data.join(name)) {
        let Ok(about) = path.symlink_metadata() else { continue };
        let mode = about.permissions().mode();
        // A link leads to what an administrator has made.
        if about.is_symlink() || mode & 0o007 == 0 {
            continue;
        }
        let closed = fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS));
        let path = path.display();
        match closed {
            Ok(()) => tracing::warn!(%path, "others could open this; now its owner alone can"),
            Err(error) => tracing::warn!(%path, %error, "others can open this"),
        }
    }
}

/// Makes a folder, and those above it, that only their owner can open. Their names survive a crash.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.and_then(|()| sync_names_above(folder)).map_err(CliError::cannot("make", folder))
}

/// Syncs the folders above a folder. It is not known which of them are new: a process may have been
/// killed after it made one.
fn sync_names_above(folder: &Path) -> io::Result<()> {
    fs::canonicalize(folder)?.ancestors().skip(1).try_for_each(sync_names_in)
}

/// Syncs the names in a folder that another process may have made, as far as this one can: it cannot
/// sync a folder that it may not read, and not every file system can sync one.
pub(crate) fn sync_names_in(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    match File::open(folder).and_then(|it| it.sync_all()) {
        Err(error)
            if matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).map_err(CliError::cannot("remove", folder))
}
