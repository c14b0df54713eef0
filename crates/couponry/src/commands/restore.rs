//! `couponry restore`: turns a backup into the data again, together with the cold tier of today.

mod question;
mod reconcile;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use cold::{BucketPatience, ColdStore};
use compactor::{CompactError, StoreMismatch, check_pairing};
use coupon::calendar::format_instant;
use engine::{Clock, RestoredErasures, SystemClock};
use hot::audit::{AuditEntry, AuditEvent, AuditKind, given};
use hot::{ColdMark, HotStore, Reconciled};
use hot_sqlite::backup::{CompanionFile, make_ready, put_back, put_back_cold};
use hot_sqlite::{FILE_NAME, RecordFile};

use crate::commands::backup::COLD;
use crate::cql::Waiting;
use crate::failure::{CliError, Ended, Result};
use crate::keys::Keys;
use crate::output::thousands;
use crate::settings::{Cold, Settings};
use crate::{compaction, files, open, output, serve};

/// Restore a backup
///
/// Stop every `serve` process before you run this.
///
/// Restores one store: for a space, give --space NAME and its folder spaces/NAME of the backup.
///
/// Says when the backup was made and what is lost, and asks whether to go on: a script needs --yes. Then puts the
/// backup into the data folder and compares it with the cold tier. If a coupon was archived after the backup, the
/// archived version replaces the version of the backup, so that a redemption in the cold tier cannot be repeated.
/// Changes after the backup that were not archived are lost. Skips 17 billion serials of each expiry day, so codes that
/// were minted after the backup are not minted again, unless more were minted for one day.
///
/// With --adopt, does the same with the store that another tool has put into the data folder: Litestream, or a
/// snapshot of a disk. Put the folder `keys` there first. Says when the newest event of the store was, and asks.
///
/// Ends every session and one-time link of the console, and names the people who may sign in. Begins the erasures again
/// that were begun after the backup: `serve` finishes them.
///
/// Without DIR and --adopt, does only the comparison, and ends sessions and links. Use this for a hot store that
/// you restored in another way, such as a snapshot of a cluster. It compares the coupons that were archived later than one day
/// before the last archiving that the store knows of. This is enough if all tables of the snapshot
/// were taken within one day, and `compact` has not run since you restored them. Otherwise use
/// --everything. If the command is interrupted, run it again.
#[derive(Args)]
#[command(group(ArgGroup::new("copy").args(["folder", "adopt"])), after_help = "\
Exit codes: 0 restored; 1 failed; 2 usage error; 3 some archived coupons belong to campaigns that
the backup does not have: couponry cannot find them until you restore a later backup.

Examples:
  couponry restore /backup/couponry-2026-12-01 --data ./couponry-data
  couponry restore /backup/couponry-2026-12-01 --replace --yes
  couponry restore --adopt
  couponry restore
  couponry restore --everything")]
pub(crate) struct RestoreArgs {
    /// Folder that `couponry backup` created
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Restore the store that another tool has put into the data folder
    #[arg(long)]
    adopt: bool,
    /// Replace existing data: move it to the folder replaced-INSTANT in the data folder
    #[arg(long, requires = "folder")]
    replace: bool,
    /// Restore without a question
    #[arg(long, requires = "copy")]
    yes: bool,
    /// Compare the whole cold tier, which takes longer
    #[arg(long)]
    everything: bool,
}

impl RestoreArgs {
    /// Whether the store is a copy that shows one moment, and was made ready.
    fn is_one_moment(&self) -> bool {
        self.folder.is_some() || self.adopt
    }
}

pub(crate) async fn run(settings: &Settings, args: &RestoreArgs) -> Result<Ended> {
    let data = &settings.data.value;
    may_restore(settings, args)?;
    let _only = serve::only_one(data)?;
    // A compaction would continue with the store that is moved aside.
    let Some(_lock) = compaction::lock_if_free(settings)? else {
        let folder = data.display();
        return Err(CliError::new(format!("a compaction works on {folder}: wait until it ends")));
    };
    if data.join(FILE_NAME).exists() && !hot_sqlite::was_opened(data) {
        // The question opens it, and then nothing else tells it from a store of ours.
        begin_restore(data)?;
    }
    if let Some(from) = &args.folder {
        question::must_be_wanted(settings, from, args.yes).await?;
        // First: a store without its cold tier is refused, so a restore that is killed here is run again.
        put_back_archive(settings, from).await?;
        begin_restore(data)?;
        // What is half moved then, the folder of the copy says.
        put_back_store(data, from).inspect_err(|_| drop(end_restore(data)))?;
    }
    if args.adopt {
        must_have_keys(data)?;
        question::must_be_adopted(settings, args.yes).await?;
        // Each try skips serials.
        must_open_codes(settings).await?;
        begin_restore(data)?;
        make_ready(&data.join(FILE_NAME)).map_err(CliError::of)?;
    }
    let cold = open::cold(settings, BucketPatience::Work)?;
    let keys = Keys::load(data)?;
    let attempt = async || open::store(settings, &keys, &cold).await;
    let (store, cluster) = open::patiently(settings, Waiting::Command, attempt).await?;
    open::must_have_every_key(store.as_ref(), &keys).await?;
    let ended = brought_together(store.as_ref(), &cold, &keys, args).await;
    if let Some(cluster) = cluster {
        cluster.flush().await;
    }
    if ended.is_ok() {
        end_restore(data)?;
    }
    ended
}

fn may_restore(settings: &Settings, args: &RestoreArgs) -> Result<()> {
    let data = &settings.data.value;
    let Some(from) = &args.folder else {
        return may_begin(settings, args.adopt);
    };
    settings.must_be_sqlite(
        "a backup folder contains no cluster: restore the snapshot of the cluster, then run \
         `couponry restore` without DIR",
    )?;
    if !from.join(FILE_NAME).exists() {
        return Err(CliError::new(format!(
            "there is no {FILE_NAME} in {}: name a folder that `couponry backup` created",
            from.display()
        )));
    }
    if hot_sqlite::was_opened(from) {
        return Err(CliError::new(format!("{} is a data folder and no backup", from.display()))
            .and("copy all of it, with hot.db-wal, to the place of --data, and run `couponry restore --adopt`"));
    }
    must_have_keys(from)?;
    if data.join(FILE_NAME).exists() && !args.replace {
        return Err(CliError::new(format!(
            "there is data in {}: --replace moves it aside, or name another --data",
            data.display()
        )));
    }
    files::private_folder(data)
}

/// Whether the store that is there may be restored, also once more after an interruption.
fn may_begin(settings: &Settings, adopt: bool) -> Result<()> {
    let data = &settings.data.value;
    if adopt {
        settings.must_be_sqlite("a cluster has no file to adopt: run `couponry restore` alone")?;
    }
    // Then the store in the folder is not the one that was to be restored.
    if data.join(open::RESTORING).exists() {
        open::must_not_be_half_restored(data)?;
    }
    open::must_have_a_store(settings)
}

/// The folder of a store, or of a backup. Without them `serve` would make new ones, which open no code of this store.
fn must_have_keys(folder: &Path) -> Result<()> {
    let keys = folder.join(files::KEYS);
    match keys.is_dir() {
        true => Ok(()),
        false => Err(CliError::new(format!(
            "there are no keys in {}: copy the folder `keys` of the lost machine there, from a backup \
             or where you keep secrets, and run this again",
            keys.display()
        ))),
    }
}

/// # Errors
/// A batch has codes of a key that is not there.
async fn must_open_codes(settings: &Settings) -> Result<()> {
    let keys = Keys::load(&settings.data.value)?;
    let store = open::sqlite(settings, &keys, &open::cold(settings, BucketPatience::Caller)?)?;
    Ok(open::must_have_every_key(&store, &keys).await?)
}

/// From now on until [`end_restore`] only a restore opens the store.
fn begin_restore(data: &Path) -> Result<()> {
    files::lock_file(&data.join(open::UNFINISHED))?;
    files::sync_names_in(data).map_err(CliError::cannot("sync", data))
}

fn end_restore(data: &Path) -> Result<()> {
    let path = data.join(open::UNFINISHED);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(CliError::cannot("delete", &path)(error))
        }
        Ok(()) | Err(_) => files::sync_names_in(data).map_err(CliError::cannot("sync", data)),
    }
}

/// Moves the old data aside. Until this ends, no command opens the data folder: see [`open::RESTORING`].
fn put_back_store(data: &Path, from: &Path) -> Result<()> {
    let aside = data.join(format!("replaced-{}", format_instant(SystemClock.now())));
    let beside = CompanionFile { folder: files::KEYS, database: RecordFile::NAME };
    put_back(from, data, &data.join(open::RESTORING), &aside, beside).map_err(CliError::of)
}

/// A cold tier that is there stays: it may have what was archived after the backup.
async fn put_back_archive(settings: &Settings, from: &Path) -> Result<()> {
    let Cold::Folder(folder) = &settings.cold.value else { return Ok(()) };
    let copy = from.join(COLD);
    let here = open::cold(settings, BucketPatience::Work)?.version().await.map_err(CliError::of)?;
    if !copy.exists() || here.is_some() {
        return Ok(());
    }
    files::private_folder(folder)?;
    put_back_cold(&copy, folder).map_err(CliError::cannot("restore the cold tier to", folder))?;
    output::note(&format!("{} has the cold tier of the backup", folder.display()));
    Ok(())
}

/// Ends the sessions and links of before, some of which had ended since the backup, and says who may
/// sign in: somebody may have been removed since.
async fn end_access(store: &dyn HotStore) -> Result<()> {
    let people = engine::end_restored_access(store, SystemClock.now()).await?;
    if !people.is_empty() {
        let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
        output::note(&format!(
            "all sessions and links of the console are ended; these people may sign in, with the \
             passwords of this store: {}",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Begins the erasures anew that began after the backup.
async fn erase_again(store: &dyn HotStore, cold: &ColdStore, keys: &Keys) -> Result<()> {
    let keys = keys.ring().current();
    let RestoredErasures { begun, finished, unknown } =
        engine::erase_restored(store, cold, &keys).await?;
    if begun > 0 {
        let begun = thousands(begun as u64);
        output::note(&format!(
            "`serve` erases people again who were erased after the backup: {begun}"
        ));
    }
    if finished > 0 {
        let finished = thousands(finished as u64);
        output::note(&format!("people erased after the backup of whom it has nothing: {finished}"));
    }
    if !unknown.is_empty() {
        let ids = unknown.join(", ");
        output::note(&format!(
            "ask again for these erasures, which had not reached the cold tier: {ids}"
        ));
    }
    Ok(())
}

/// Brings the hot store to the state of the cold tier.
async fn brought_together(
    store: &dyn HotStore,
    cold: &ColdStore,
    keys: &Keys,
    args: &RestoreArgs,
) -> Result<Ended> {
    open::must_not_have_moved(store).await?;
    // Before anybody can read the feed: its readers may have seen what the backup does not have.
    store.begin_feed_epoch().await?;
    end_access(store).await?;
    if let Some(audit) = store.audit() {
        let from = args.folder.iter().map(|from| given("backup", from.display())).collect();
        let event = AuditEvent::of_store(AuditKind::StoreRestored, from);
        audit.record(AuditEntry { act: open::act(), event }).await?;
    }
    let behind = match check_pairing(store, cold).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => Some(found),
        Err(error) => return Err(compaction::cli_error(error)),
    };
    if !args.is_one_moment() {
        // The store was restored by other means and may not know the last codes that were minted, archived or not.
        store.pass_over_serials().await?;
    }
    engine::know_erasures(store, cold).await?;
    let reconciled = match cold.version().await.map_err(CliError::of)? {
        Some(_) => {
            reconcile::finish_side_table(store, cold).await?;
            let since = reconcile::since(store, cold, args).await?;
            reconcile::run(store, cold, since).await?
        }
        None => Reconciled::default(),
    };
    erase_again(store, cold, keys).await?;
    // Last: until then `serve` refuses this store, so an interrupted restore is run again.
    if let Some(found) = behind {
        store.raise_cold_mark(ColdMark { begun: Some(found), committed: Some(found) }).await?;
    }
    reconcile::report(&reconciled)
}
