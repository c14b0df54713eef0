//! `couponry backup`: copies both tiers and the keys, so that they fit together.

use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cold::{BucketPatience, ColdStore};
use command_line::{CommandProgress, WorkKind};
use compactor::check_pairing;
use coupon::calendar::format_instant;
use engine::{Clock, Engine, PAGE_MAX, SystemClock};
use hot::{HotStore, Partitions};
use hot_sqlite::backup::{BackupDraft, ColdFolder, copy_file, copy_folder, delete, parent};
use hot_sqlite::{FILE_NAME, RecordFile};
use serde::{Deserialize, Serialize};

use crate::failure::{CliError, Ended, Result};
use crate::keys::Keys;
use crate::output::{self, Out, thousands};
use crate::settings::{Cold, SETTINGS_FILE, SPACES, Settings};
use crate::{files, open};

/// The cold tier in the folder of a backup.
pub(crate) const COLD: &str = "cold";

const LABEL: &str = "backup.toml";

/// Copy both tiers and the keys to a new folder
///
/// You can run this while `serve` and `compact` are running. The copy has everything that was
/// acknowledged before this command started. The folder gets its name when it is complete. Checks
/// first that the disk has room, and leaves --free-min-mib of it free.
///
/// Keep the backup in a safe place. Anyone with the keys can make valid codes. If you lose the keys,
/// all codes stop working.
///
/// The backup contains the webhooks with their secrets, if there are any, and the spaces of the data folder, each
/// in spaces/NAME.
///
/// The archived coupons in the folder `cold` never change. If it is on the same disk, the backup has them as hard links,
/// which take no space. On another disk it shares them with the earlier backups in the same folder. So copy backups to
/// another machine, with a tool that keeps hard links (`rsync -aH`). A cold tier in a bucket is not
/// copied: let the bucket keep versions or a replica.
///
/// This command cannot back up a cluster: use `nodetool snapshot` on every node, and copy the folder
/// `keys` and the cold tier.
#[derive(Args)]
#[command(after_help = help_ending!("0 copied, 1 failed, 2 usage error, 3 a space or a cold tier could not be copied",
    "couponry backup /backup/couponry-$(date +%F)",
    "couponry backup /backup/couponry-$(date +%FT%H%M) --keep 12"))]
pub(crate) struct BackupArgs {
    /// Folder to create; it must not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Then delete the oldest backups of this store in the same folder, and keep N with the new one
    ///
    /// Deletes nothing if a space or a cold tier could not be copied.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
}

/// A store that is copied, and its folder in the backup.
struct Part {
    within: PathBuf,
    settings: Settings,
    /// `None` if its cold tier is in a bucket.
    archived: Option<ColdFolder>,
}

pub(crate) async fn run(settings: &Settings, args: &BackupArgs) -> Result<Ended> {
    settings.must_be_sqlite(
        "this command cannot back up a cluster: take a snapshot on every node (nodetool snapshot), \
         and copy the folder `keys` and the cold tier",
    )?;
    open::must_be_there(settings)?;
    let to = &args.folder;
    if to.exists() {
        return Err(CliError::new(format!("{} is there already: name a new folder", to.display())));
    }
    files::private_folder(parent(to))?;
    let draft = BackupDraft::begin(to).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::new(format!(
            "{} is no unfinished backup, or another process makes it: move it away, or name \
             another folder",
            to.with_added_extension("part").display()
        )),
        _ => CliError::cannot("make", to)(error),
    })?;
    let (mut said, mut missing) = (Vec::new(), Vec::new());
    let earlier = earlier(settings, to);
    let parts = parts(settings, earlier.first(), &mut missing);
    must_have_room(&parts, draft.folder())?;
    for part in parts {
        let folder = draft.folder().join(&part.within);
        let name = part.settings.space.value.clone();
        match (copy(part, &folder, &mut missing).await, name) {
            (Ok(what), _) => said.push(what),
            (Err(error), Some(name)) if settings.space.value.is_none() => {
                files::remove_folder(&folder)?;
                missing.push(format!("the space {name} is NOT in it: {error}"));
            }
            (Err(error), _) => return Err(error),
        }
    }
    draft.publish().map_err(CliError::cannot("make", to))?;
    output::say(&format!("{}: {}", to.display(), said.join("; ")))?;
    missing.iter().for_each(|sentence| output::note(sentence));
    if !missing.is_empty() {
        return Ok(Ended::Partly);
    }
    let kept = args.keep.map_or(usize::MAX, |keep| keep as usize - 1);
    for old in earlier.iter().skip(kept) {
        delete(old).map_err(CliError::cannot("delete", old))?;
    }
    Ok(Ended::Done)
}

/// The store of the settings, and if that is the main one, the spaces.
fn parts(settings: &Settings, earlier: Option<&PathBuf>, missing: &mut Vec<String>) -> Vec<Part> {
    let part = |within: PathBuf, settings: Settings| {
        let archived = match &settings.cold.value {
            Cold::Folder(folder) => {
                let earlier = earlier.map(|it| it.join(&within).join(COLD));
                Some(ColdFolder { folder: folder.clone(), earlier })
            }
            Cold::Bucket(_) => None,
        };
        Part { within, settings, archived }
    };
    let mut parts = vec![part(PathBuf::new(), settings.clone())];
    let has_spaces = settings.space.value.is_none();
    for name in has_spaces.then(|| settings.spaces_there()).into_iter().flatten() {
        match settings.of_space(&name) {
            Ok(space) => parts.push(part(Path::new(SPACES).join(name.as_str()), space)),
            Err(error) => missing.push(format!("the space {name} is NOT in it: {error}")),
        }
    }
    parts
}

/// The complete backups of this store that are in the same folder, the newest first.
fn earlier(settings: &Settings, to: &Path) -> Vec<PathBuf> {
    let store = Label::store(settings);
    let entries = fs::read_dir(parent(to)).into_iter().flatten().flatten();
    let of_store = |folder: PathBuf| {
        let label = Label::read(&folder).ok().flatten().filter(|it| it.store == store)?;
        let is_whole = folder.extension().is_none_or(|it| it != "part");
        (is_whole && folder.join(FILE_NAME).is_file()).then_some((label.at, folder))
    };
    let mut found: Vec<_> = entries.filter_map(|entry| of_store(entry.path())).collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// # Errors
/// With the backup, the disk of its folder would have less space than a store leaves free.
fn must_have_room(parts: &[Part], to: &Path) -> Result<()> {
    let mut need = 0;
    for Part { settings, archived, .. } in parts {
        let size = |name| settings.data.value.join(name).metadata().map_or(0, |about| about.len());
        need += [FILE_NAME, "hot.db-wal", RecordFile::NAME].map(size).iter().sum::<u64>();
        // A cold tier that cannot be read is named when it is copied.
        need += archived.as_ref().and_then(|it| it.new_bytes(to).ok()).unwrap_or_default();
    }
    need += parts[0].settings.free_min_mib.value << 20;
    let free = files::free_bytes(to).map_err(CliError::cannot("look at", to))?;
    if free >= need {
        return Ok(());
    }
    let mib = |bytes: u64| thousands(bytes.div_ceil(1 << 20));
    Err(CliError::new(format!(
        "the disk of {} has {} MiB free, and needs {} with this backup: free {} MiB more, such as by \
         deleting old backups, or name a folder on another disk",
        parent(to).display(),
        thousands(free >> 20),
        mib(need),
        mib(need - free)
    )))
}

/// Copies one store. Returns what it has copied, and adds what is `missing`.
async fn copy(part: Part, to: &Path, missing: &mut Vec<String>) -> Result<String> {
    let Part { settings, archived, .. } = part;
    let data = &settings.data.value;
    files::private_folder(to)?;
    let keys = Keys::load(data)?;
    let cold = open::cold(&settings, BucketPatience::Work)?;
    let store = Arc::new(open::sqlite(&settings, &keys, &cold)?);
    let hot = Arc::clone(&store) as Arc<dyn HotStore>;
    let engine = open::engine_over(hot, Arc::clone(&cold), &keys).await?;
    // Before the store is copied, so that the copy has all that is counted.
    Label::of(&settings, &engine).await?.write(to)?;
    let progress = CommandProgress::new(WorkKind::BackUp, None, false);
    progress.during(store.back_up(&to.join(FILE_NAME))).await?;
    // After the store: a cursor of a webhook behind its last event says so when it is restored.
    progress.during(store.back_up_records(&to.join(RecordFile::NAME))).await?;
    // After the store, so that the copy has the key of every batch in it.
    let keys = data.join(files::KEYS);
    copy_folder(&keys, &to.join(files::KEYS)).map_err(CliError::cannot("copy", &keys))?;
    if settings.space.value.is_some() && data.join(SETTINGS_FILE).is_file() {
        copy_file(&data.join(SETTINGS_FILE), &to.join(SETTINGS_FILE)).map_err(CliError::of)?;
    }
    let copied = progress.during(copy_cold(store.as_ref(), &cold, archived, to)).await;
    let copied = copied.or_else(|error| {
        let folder = to.join(COLD);
        missing.push(format!("the cold tier in {} is NOT in it: {error}", settings.cold.value));
        if folder.exists() {
            files::remove_folder(&folder).map(|()| String::new())
        } else {
            Ok(String::new())
        }
    })?;
    File::open(to).and_then(|it| it.sync_all()).map_err(CliError::cannot("sync", to))?;
    let bytes = to.join(FILE_NAME).metadata().map_or(0, |about| about.len());
    let space = settings.space.value.as_ref();
    let space = space.map(|name| format!(" of the space {name}")).unwrap_or_default();
    Ok(format!("the hot store{space} ({} bytes), the keys{copied}", thousands(bytes)))
}

/// Copies the cold tier of `store` into the folder of a backup that has the store. Returns what to say of it.
async fn copy_cold(
    store: &dyn Partitions,
    cold: &ColdStore,
    source: Option<ColdFolder>,
    to: &Path,
) -> Result<String> {
    let Some(source) = source else {
        return Ok(format!("; the cold tier is not in it: {} is a bucket", cold.location()));
    };
    // The folder of a disk that is not mounted looks like that of a store that has archived nothing.
    check_pairing(store, cold).await.map_err(CliError::of)?;
    if cold.version().await.map_err(CliError::of)?.is_none() {
        return Ok("; nothing is archived yet".to_owned());
    }
    let to = to.join(COLD);
    let copied = tokio::task::spawn_blocking(move || source.copy(&to)).await;
    copied.map_err(CliError::of)?.map_err(CliError::of)?;
    Ok(", the cold tier".to_owned())
}

/// What a backup says of itself, so that `restore` can say it before anything is lost: which store it is, and how much
/// it had at one moment.
#[derive(Serialize, Deserialize)]
pub(crate) struct Label {
    /// The whole path of its data folder.
    store: String,
    at: String,
    campaigns: u64,
    issued: u64,
    redeemed: u64,
}

impl Label {
    pub(crate) async fn of(settings: &Settings, engine: &Engine) -> Result<Label> {
        let (store, at) = (Label::store(settings), format_instant(SystemClock.now()));
        let mut label = Label { store, at, campaigns: 0, issued: 0, redeemed: 0 };
        let mut after = None;
        loop {
            let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(label) };
            after = Some(last.campaign.id.clone());
            label.campaigns += page.len() as u64;
            for (counts, _) in page.iter().filter_map(|view| view.counts.as_ref()) {
                label.issued += counts.issued;
                label.redeemed += counts.redeemed;
            }
        }
    }

    pub(crate) fn counts(&self) -> String {
        let Label { campaigns, issued, redeemed, .. } = self;
        let [campaigns, issued, redeemed] = [*campaigns, *issued, *redeemed].map(thousands);
        format!("campaigns {campaigns}, issued coupons {issued}, redeemed {redeemed}")
    }

    /// How a label names the store of the settings.
    fn store(settings: &Settings) -> String {
        files::whole(&settings.data.value)
    }

    /// Writes it durably into the folder of a backup.
    fn write(&self, folder: &Path) -> Result<()> {
        let mut out = Out::file(&folder.join(LABEL))?;
        out.put(&toml::to_string(self).map_err(CliError::of)?)?;
        out.finish()
    }

    /// The label in the folder of a backup; `None` if an earlier release made it.
    pub(crate) fn read(folder: &Path) -> Result<Option<Label>> {
        let path = folder.join(LABEL);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(CliError::cannot("read", &path))?,
        };
        let label = toml::from_str(&text).map(Some);
        label.map_err(|error| CliError::new(format!("{}: {}", path.display(), error.message())))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.counts())
    }
}
