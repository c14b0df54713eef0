//! `couponry backup`: copies the hot store and the keys as they are at one moment.

mod label;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cold::Patience;
use command_line::{Progress, Work};
use hot::HotStore;
use hot_sqlite::FILE_NAME;

use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::output::{self, thousands};
use crate::settings::{Hot, SETTINGS_FILE, SPACES, Settings};
use crate::{files, open};

pub(crate) use label::Label;

/// Copy the hot store and the keys to a new folder
///
/// You can run this while `serve` is running. The copy has everything that was acknowledged before
/// this command started. The folder gets its name when it is complete.
///
/// Keep the backup in a safe place. Anyone with the keys can make valid codes. If you lose the keys,
/// all codes stop working.
///
/// The backup contains the webhooks with their secrets, if there are any, and the spaces of the data folder, each
/// in spaces/NAME.
///
/// The backup does not contain the finished coupons of the cold tier. Copy that folder after the
/// backup, or mirror it all the time; its files never change, except the small files
/// `_delta_log/_last_checkpoint`. `couponry restore` needs both.
///
/// This command cannot back up a cluster: use `nodetool snapshot` on every node, and copy the folder
/// `keys` and the cold tier.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 copied, 1 failed, 2 usage error, 3 a space could not be copied.

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
    copy(settings, &part).await?;
    let spaces = copy_spaces(settings, &part).await?;
    // The names of these folders too, before the backup has its own.
    files::sync_folder(&part)?;
    publish(&part, to)?;
    let bytes = to.join(FILE_NAME).metadata().map_or(0, |about| about.len());
    let also = match spaces.copied.is_empty() {
        true => String::new(),
        false => format!("; the same of the spaces {}", spaces.copied.join(", ")),
    };
    output::say(&format!(
        "{}: the hot store ({} bytes) and the keys; the cold tier in {} is not in it{also}",
        to.display(),
        thousands(bytes),
        settings.cold.value
    ))?;
    for (name, why) in &spaces.failed {
        output::note(&format!("the space {name} is NOT in it: {why}"));
    }
    Ok(if spaces.failed.is_empty() { Ended::Done } else { Ended::Partly })
}

async fn copy(settings: &Settings, part: &Path) -> Result<(), CliError> {
    let data = &settings.data.value;
    files::private_folder(part)?;
    let keys = Keys::load(data)?;
    let cold = open::cold(settings, Patience::Work)?;
    let store = Arc::new(open::sqlite(settings, &keys, &cold)?);
    let engine = open::engine_over(Arc::clone(&store) as Arc<dyn HotStore>, cold, &keys);
    // Before the store is copied, so that the copy has all that is counted.
    Label::of(&engine).await?.write(part)?;
    let progress = Progress::new(Work::BackUp, None, false);
    progress.during(store.back_up(&part.join(FILE_NAME))).await?;
    drop(progress);
    // After the store: a cursor of a webhook behind its last event says so when it is restored.
    copy_webhooks(data, part)?;
    // After the store, so that the copy has the key of every batch in it.
    for folder in files::BESIDE_THE_STORE {
        files::copy_folder(&data.join(folder), &part.join(folder))?;
    }
    files::sync_folder(part)
}

#[derive(Default)]
struct Spaces {
    copied: Vec<String>,
    /// With the reason. The others are in the backup.
    failed: Vec<(String, CliError)>,
}

async fn copy_spaces(settings: &Settings, part: &Path) -> Result<Spaces, CliError> {
    let mut spaces = Spaces::default();
    if settings.space.value.is_some() {
        return Ok(spaces);
    }
    for name in settings.spaces_there() {
        let to = part.join(SPACES).join(name.as_str());
        let copied = async {
            let space = settings.placed_in(&name)?;
            copy(&space, &to).await?;
            let own = space.data.value.join(SETTINGS_FILE);
            if own.is_file() {
                files::copy_file(&own, &to.join(SETTINGS_FILE))?;
            }
            files::sync_folder(&to)
        };
        match copied.await {
            Ok(()) => spaces.copied.push(name.to_string()),
            Err(why) => {
                if to.exists() {
                    files::remove_folder(&to)?;
                }
                spaces.failed.push((name.to_string(), why));
            }
        }
    }
    if part.join(SPACES).exists() {
        files::sync_folder(&part.join(SPACES))?;
    }
    Ok(spaces)
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
        let beside = files::BESIDE_THE_STORE.iter().chain(&[SPACES]).any(|folder| name == *folder);
        let ours = ["hot.", "webhooks.", label::FILE];
        beside || ours.iter().any(|it| name.as_encoded_bytes().starts_with(it.as_bytes()))
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
