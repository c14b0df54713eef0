//! Files of the data folder as a whole: copied, synced, readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::failure::CliError;

/// Folders in DATA that belong to the hot store and are copied with it.
pub(crate) const BESIDE_THE_STORE: [&str; 2] = ["keys", "notices"];

/// Makes a folder for its owner alone, and those above it.
pub(crate) fn private_folder(folder: &Path) -> Result<(), CliError> {
    let cannot = format!("cannot make {}", folder.display());
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(CliError::because(cannot))
}

/// Leaves a file to its owner alone.
pub(crate) fn make_private(file: &Path) -> Result<(), CliError> {
    let cannot = format!("cannot set the mode of {}", file.display());
    fs::set_permissions(file, Permissions::from_mode(0o600)).map_err(CliError::because(cannot))
}

/// Copies one file, durably, and for its owner alone.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), CliError> {
    let copy = || -> io::Result<()> {
        let mut open = OpenOptions::new();
        let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(to)?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.sync_all()
    };
    let cannot = format!("cannot copy {} to {}", from.display(), to.display());
    copy().map_err(CliError::because(cannot))
}

/// Copies the files of a folder and of the folders in it; of one that is not there nothing.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<(), CliError> {
    let cannot = || CliError::because(format!("cannot read {}", from.display()));
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(cannot())?,
    };
    private_folder(to)?;
    for entry in entries {
        let entry = entry.map_err(cannot())?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().map_err(cannot())?.is_dir() {
            true => copy_folder(&from, &to)?,
            false => copy_file(&from, &to)?,
        }
    }
    sync_folder(to)
}

/// What has a name in the folder keeps it.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CliError> {
    let cannot = format!("cannot sync {}", folder.display());
    File::open(folder).and_then(|it| it.sync_all()).map_err(CliError::because(cannot))
}
