//! Copies of folders. Files that never change once they have their names are shared by hard links.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::private_files::sync_folder;

/// The paths of all files below `folder`, from there, in order. None if there is no such folder.
pub(super) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(within) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&within)) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = within.join(entry.file_name());
            if entry.file_type()?.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a folder durably, with all that is in it; only its owner can read the copy. Does nothing
/// if there is no such folder.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    match from.exists() {
        true => each(&files_below(from)?, from, to, |_, from, to| copy_file(from, to)),
        false => Ok(()),
    }
}

/// Puts each of `files`, whose names are below `from`, below `to`, durably and in this order: by a
/// hard link to the file itself, or to the one of the `earlier` copy, or else as a copy that only
/// its owner can read. Skips what is not there any more. The files must be durable.
pub(super) fn share(
    files: &[PathBuf],
    from: &Path,
    earlier: Option<&Path>,
    to: &Path,
) -> io::Result<()> {
    each(files, from, to, |file, from, to| {
        let earlier = earlier.map(|it| it.join(file)).filter(|it| is_same(it, from));
        let is_shared = fs::hard_link(from, to).is_ok()
            || earlier.is_some_and(|it| fs::hard_link(it, to).is_ok());
        if is_shared || !from.exists() { Ok(()) } else { copy_file(from, to) }
    })
}

fn each(
    files: &[PathBuf],
    from: &Path,
    to: &Path,
    copy: impl Fn(&Path, &Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut folders = BTreeSet::from([Path::new("")]);
    make(to)?;
    for file in files {
        let within = file.parent().unwrap_or(Path::new(""));
        if folders.insert(within) {
            folders.extend(within.ancestors());
            make(&to.join(within))?;
        }
        copy(file, &from.join(file), &to.join(file))?;
    }
    // The deepest first: a folder that has its name has its files.
    folders.into_iter().rev().try_for_each(|folder| sync_folder(&to.join(folder)))
}

/// Makes a folder that only its owner can open.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(about(folder))
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).map_err(about(to))
}

/// Names the file in an I/O error.
fn about(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The bytes that [`share`] needs on the file system of the folder `to`.
pub(super) fn new_bytes(
    files: &[PathBuf],
    from: &Path,
    earlier: Option<&Path>,
    to: &Path,
) -> io::Result<u64> {
    // Tried, and not concluded from the device: two mounts of one file system, as systemd makes them
    // for a service, have no links between them.
    let can_link = |folder: &Path| {
        let there = files.iter().map(|file| folder.join(file)).find(|file| file.exists());
        let probe = to.join("link");
        there.is_some_and(|file| {
            fs::hard_link(file, &probe).and_then(|()| fs::remove_file(&probe)).is_ok()
        })
    };
    if can_link(from) {
        return Ok(0);
    }
    let earlier = earlier.filter(|folder| can_link(folder));
    let mut bytes = 0;
    for file in files {
        let from = from.join(file);
        if earlier.is_some_and(|it| is_same(&it.join(file), &from)) {
            continue;
        }
        bytes += match fs::metadata(&from) {
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            about => about?.len(),
        };
    }
    Ok(bytes)
}

/// Names differ if contents do. A copy on a full disk may be shorter.
fn is_same(one: &Path, other: &Path) -> bool {
    let len = |path: &Path| fs::metadata(path).map(|about| about.len()).ok();
    len(one).is_some_and(|bytes| len(other) == Some(bytes))
}

/// Copies one file durably; only the owner of the copy can read it.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from).map_err(about(from))?;
    let mut open = OpenOptions::new();
    let file = open.write(true).create(true).truncate(true).mode(0o600).open(to);
    let copy = |mut file: File| {
        io::copy(&mut source, &mut file)?;
        file.sync_all()
    };
    file.and_then(copy).map_err(about(to))
}
