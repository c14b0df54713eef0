//! Puts a backup folder into the data folder, so that a crash at any moment leaves the old data,
//! the new data, or a folder that every command refuses.

use std::fs;
use std::path::Path;

use coupon::calendar::format_instant;
use engine::{Clock, SystemClock};
use hot_sqlite::{FILE_NAME, make_ready};

use crate::failure::CliError;
use crate::{files, open};

/// The files of a hot store: those that SQLite keeps beside it belong to it.
const STORE_FILES: [&str; 3] = [FILE_NAME, "hot.db-wal", "hot.db-shm"];

const WEBHOOK_FILES: [&str; 3] = [files::WEBHOOKS, "webhooks.db-wal", "webhooks.db-shm"];

/// Copies the backup into a folder of its own, then moves the old data aside and the copy into
/// place, the store last. Until it ends, no command opens the data folder: see [`open::RESTORING`].
pub(super) fn put_back(data: &Path, from: &Path) -> Result<(), CliError> {
    let staging = data.join(open::RESTORING);
    if staging.exists() {
        files::remove_folder(&staging)?;
    }
    stage(&staging, from)?;
    files::sync_folder(data)?;
    let aside = data.join(format!("replaced-{}", format_instant(SystemClock.now())));
    let old = STORE_FILES.iter().rev().chain(WEBHOOK_FILES.iter().rev());
    let old = old.chain(&files::BESIDE_THE_STORE);
    for name in old.filter(|name| data.join(name).exists()) {
        files::private_folder(&aside)?;
        rename(&data.join(name), &aside.join(name))?;
    }
    if aside.exists() {
        files::sync_folder(&aside)?;
    }
    let new = files::BESIDE_THE_STORE.iter().chain(&[files::WEBHOOKS, FILE_NAME]);
    for name in new.filter(|name| staging.join(name).exists()) {
        rename(&staging.join(name), &data.join(name))?;
    }
    files::sync_folder(data)?;
    files::remove_folder(&staging)?;
    // If it came back after a crash, every command would refuse the folder.
    files::sync_folder(data)
}

/// Copies the backup to `staging`, and upgrades its store if an earlier release wrote it.
fn stage(staging: &Path, from: &Path) -> Result<(), CliError> {
    files::private_folder(staging)?;
    for folder in files::BESIDE_THE_STORE {
        files::copy_folder(&from.join(folder), &staging.join(folder))?;
    }
    let store = staging.join(FILE_NAME);
    files::copy_file(&from.join(FILE_NAME), &store)?;
    make_ready(&store).map_err(CliError::of)?;
    let webhooks = from.join(files::WEBHOOKS);
    if webhooks.exists() {
        files::copy_file(&webhooks, &staging.join(files::WEBHOOKS))?;
    }
    files::sync_folder(staging)
}

fn rename(from: &Path, to: &Path) -> Result<(), CliError> {
    let cannot = format!("cannot move {} to {}", from.display(), to.display());
    fs::rename(from, to).map_err(CliError::because(cannot))
}
