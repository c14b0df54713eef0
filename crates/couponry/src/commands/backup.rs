//! `couponry backup`: copies the hot store and the keys as they are at one moment.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use cold::Patience;
use hot_sqlite::FILE_NAME;

use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::output::{self, thousands};
use crate::progress::{Progress, Work};
use crate::settings::{Hot, Settings};
use crate::{files, open};

/// Copy the hot store and the keys to a new folder
///
/// You can run this while `serve` is running. The copy has everything that was acknowledged before
/// this command started. The folder gets its name when it is complete.
///
/// Keep the backup in a safe place. Anyone with the keys can make valid codes. If you lose the keys,
/// all codes stop working.
///
/// The backup contains the webhooks with their secrets, if there are any.
///
/// The backup does not contain the finished coupons of the cold tier. Copy that folder after the
/// backup, or mirror it all the time; its files never change, except the small files
/// `_delta_log/_last_checkpoint`. `couponry restore` needs both.
///
/// This command cannot back up a cluster: use `nodetool snapshot` on every node, and copy the folder
/// `keys` and the cold tier.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 copied, 1 failed, 2 usage error.

Example:
  couponry backup /backup/couponry-$(date +%F)")]
pub(crate) struct BackupArgs {
    /// Folder to create; it must not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) async fn run(settings: &Settings, args: &BackupArgs) -> Result<Ended, CliError> {
    match settings.hot.value {
        Hot::Sqlite => {}
        Hot::Cql(_) => {
            return Err(CliError::usage(
                "this command cannot back up a cluster: take a snapshot on every node (nodetool \
                 snapshot), and copy the folder `keys` and the cold tier",
            ));
        }
    }
    let data = &settings.data.value;
    open::must_be_there(settings)?;
    let to = &args.folder;
    if to.exists() {
        return Err(CliError::new(format!("{} is there already: name a new folder", to.display())));
    }
    let part = output::with_part(to);
    if part.exists() {
        if !is_unfinished(&part) {
            let what = "is no unfinished backup: move it away, or name another folder";
            return Err(CliError::new(format!("{} {what}", part.display())));
        }
        files::remove_folder(&part)?;
    }
    files::private_folder(&part)?;
    let keys = Keys::load(data)?;
    let store = open::sqlite(settings, &keys, &open::cold(settings, Patience::Work)?)?;
    let progress = Progress::new(Work::BackUp, None, false);
    progress.during(store.back_up(&part.join(FILE_NAME))).await?;
    drop(progress);
    // The file may be copied to a folder that others can open.
    files::make_private(&part.join(FILE_NAME))?;
    // After the store: a cursor of a webhook behind its last event says so when it is restored.
    copy_webhooks(data, &part)?;
    // After the store, so that the copy has the key of every batch in it.
    for folder in files::BESIDE_THE_STORE {
        files::copy_folder(&data.join(folder), &part.join(folder))?;
    }
    // The names of these folders too, before the backup has its own.
    files::sync_folder(&part)?;
    publish(&part, to)?;
    let bytes = to.join(FILE_NAME).metadata().map_or(0, |about| about.len());
    output::done(&format!(
        "{}: the hot store ({} bytes) and the keys; the cold tier in {} is not in it",
        to.display(),
        thousands(bytes),
        settings.cold.value
    ))
}

/// Copies the file of webhooks, if there is one.
fn copy_webhooks(data: &Path, part: &Path) -> Result<(), CliError> {
    let (file, copy) = (data.join(files::WEBHOOKS), part.join(files::WEBHOOKS));
    webhooks::backup(&file, &copy).map(drop).map_err(CliError::of)
}

/// Whether a folder has only what a killed backup leaves behind.
fn is_unfinished(part: &Path) -> bool {
    let is_ours = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let beside = files::BESIDE_THE_STORE.iter().any(|folder| name == *folder);
        beside
            || [&b"hot."[..], b"webhooks."].iter().any(|it| name.as_encoded_bytes().starts_with(it))
    };
    fs::read_dir(part).is_ok_and(|entries| entries.flatten().all(is_ours))
}

/// Gives the complete backup its name, durably.
fn publish(part: &Path, to: &Path) -> Result<(), CliError> {
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::rename(part, to)
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(CliError::cannot("make", to))
}
