//! `couponry restore`: a backup becomes the data again, together with the cold tier of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cold::{ColdError, ColdStore, Patience, Since};
use compactor::{CompactError, StoreMismatch, check_pairing};
use coupon::calendar::format_instant;
use engine::{Clock, ColdArchive, SystemClock};
use hot::{ColdMark, HotStore, Partitions, Reconciled};
use hot_sqlite::{FILE_NAME, make_ready};

use crate::cluster::{self, NotOpen, Waiting};
use crate::compaction::{self, Alone};
use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::output::{self, thousands};
use crate::progress::{Progress, Work};
use crate::settings::{Hot, Settings};
use crate::{files, open, serve};

/// How far apart the tables of a snapshot may have been taken that was put back by other means.
const SNAPSHOT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Files of a hot store: what SQLite keeps beside it goes with it.
const STORE_FILES: [&str; 3] = [FILE_NAME, "hot.db-wal", "hot.db-shm"];

/// Put a backup in the place of the data
///
/// Then compares it with the cold tier: what was archived after the backup was made takes the place
/// of what the backup says of the same coupons, so that no archived redemption can be spent again.
/// Codes minted after the backup are never minted again. `serve` must not run meanwhile.
///
/// Without DIR only the second step is done, for a hot store that was put back by other means. It
/// compares what was archived since a day before the last archiving that the store knows of: that is
/// enough where all tables of the snapshot were taken within a day, and nothing was compacted since
/// they were put back. --everything compares all of the cold tier. Stopped half way, it is run again.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 restored, 1 failed, 2 wrong call, 3 some archived coupons are of campaigns that the
backup does not have: they cannot be found until it is restored from a later one.

Examples:
  couponry restore /backup/couponry-2026-12-01 --data ./couponry-data
  couponry restore
  couponry restore --everything")]
pub(crate) struct RestoreArgs {
    /// The folder that `couponry backup` made
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Move data that is there aside, to DATA/replaced-INSTANT
    #[arg(long, requires = "folder")]
    replace: bool,
    /// Compare all of the cold tier, however long that takes
    #[arg(long)]
    everything: bool,
}

pub(crate) async fn run(settings: &Settings, ask: &RestoreArgs) -> Result<Ended, CliError> {
    let data = &settings.data.value;
    if let (Hot::Cluster(_), Some(_)) = (&settings.hot.value, &ask.folder) {
        return Err(CliError::wrong_call(
            "a backup folder has no cluster in it: put the cluster's own snapshot back, then run \
             `couponry restore` without DIR",
        ));
    }
    if let Some(from) = &ask.folder {
        if !from.join(FILE_NAME).exists() {
            let found = format!("there is no {FILE_NAME} in {}", from.display());
            return Err(CliError::new(format!(
                "{found}: name a folder that `couponry backup` made"
            )));
        }
        if data.join(FILE_NAME).exists() && !ask.replace {
            return Err(CliError::new(format!(
                "there is data in {}: --replace moves it aside, or name another --data",
                data.display()
            )));
        }
        files::private_folder(data)?;
    }
    if ask.folder.is_none() {
        open::must_be_there(settings)?;
    }
    let _only = serve::only_one(data)?;
    // Nor a compaction: it would go on with the store that is moved aside.
    let Some(_alone) = Alone::try_take(settings)? else {
        let folder = data.display();
        return Err(CliError::new(format!(
            "a compaction works on {folder}: wait until it has ended"
        )));
    };
    if let Some(from) = &ask.folder {
        put_back(data, from)?;
    }
    match &settings.hot.value {
        Hot::Sqlite => {
            let cold = open::cold(settings, Patience::Work)?;
            let store = open::sqlite(settings, &Keys::load(data)?, &cold)?;
            brought_together(&store, &cold, ask).await
        }
        Hot::Cluster(target) => {
            let cold = open::cold(settings, Patience::Work)?;
            let keys = Keys::load(data)?;
            let attempt = async || {
                let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
                cluster::connect(settings, target, keys.code_keys(), archive).await
            };
            let cluster = cluster::patiently(target, Waiting::Command, attempt).await?;
            let ended = brought_together(cluster.store.as_ref(), &cold, ask).await;
            cluster.flush().await;
            ended
        }
    }
}

/// The hot store learns of everything in the cold tier.
async fn brought_together(
    store: &dyn HotStore,
    cold: &ColdStore,
    ask: &RestoreArgs,
) -> Result<Ended, CliError> {
    open::must_not_have_moved(store).await.map_err(NotOpen::cli_error)?;
    let behind = match check_pairing(store, cold).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => Some(found),
        Err(error) => return Err(compaction::cli_error(error)),
    };
    if ask.folder.is_none() {
        // Put back by other means: codes were minted that it knows nothing of, archived or not.
        store.pass_over_serials().await?;
    }
    let reconciled = match cold.version().await.map_err(away)? {
        Some(_) => reconcile(store, cold, since(store, cold, ask).await?).await?,
        None => Reconciled::default(),
    };
    if let Some(found) = behind {
        store.raise_cold_mark(ColdMark { begun: Some(found), committed: Some(found) }).await?;
    }
    said(&reconciled)
}

/// The copy beside the data first, made ready as a whole; then the old data aside and the copy in
/// its place, the store last. In between nothing opens the folder (see [`open::RESTORING`]).
fn put_back(data: &Path, from: &Path) -> Result<(), CliError> {
    let staging = data.join(open::RESTORING);
    if staging.exists() {
        let cannot = format!("cannot remove {}", staging.display());
        fs::remove_dir_all(&staging).map_err(CliError::because(cannot))?;
    }
    files::private_folder(&staging)?;
    for folder in files::BESIDE_THE_STORE {
        files::copy_folder(&from.join(folder), &staging.join(folder))?;
    }
    let store = staging.join(FILE_NAME);
    files::copy_file(&from.join(FILE_NAME), &store)?;
    make_ready(&store).map_err(|error| CliError::new(error.to_string()))?;
    files::sync_folder(&staging)?;
    files::sync_folder(data)?;
    let aside = data.join(format!("replaced-{}", format_instant(SystemClock.now())));
    let old = STORE_FILES.iter().rev().chain(&files::BESIDE_THE_STORE);
    for name in old.filter(|name| data.join(name).exists()) {
        files::private_folder(&aside)?;
        renamed(&data.join(name), &aside.join(name))?;
    }
    let new = files::BESIDE_THE_STORE.iter().chain(&[FILE_NAME]);
    for name in new.filter(|name| staging.join(name).exists()) {
        renamed(&staging.join(name), &data.join(name))?;
    }
    files::sync_folder(data)?;
    let cannot = format!("cannot remove {}", staging.display());
    fs::remove_dir_all(&staging).map_err(CliError::because(cannot))
}

fn renamed(from: &Path, to: &Path) -> Result<(), CliError> {
    let cannot = format!("cannot move {} to {}", from.display(), to.display());
    fs::rename(from, to).map_err(CliError::because(cannot))
}

/// Behind what the store certainly knows.
async fn since(
    store: &dyn Partitions,
    cold: &ColdStore,
    ask: &RestoreArgs,
) -> Result<Since, CliError> {
    let everything = Since::ArchiveCommits(BTreeMap::new());
    if ask.everything {
        return Ok(everything);
    }
    // A backup of ours is of one moment: what it says that it has moved it has. A snapshot that was
    // put back by other means may have its tables of different moments.
    if ask.folder.is_some() {
        return Ok(Since::ArchiveCommits(store.archive_commits().await?.into_iter().collect()));
    }
    let Some(known) = store.cold_mark().await?.committed else { return Ok(everything) };
    let before = cold.version_before(known, SNAPSHOT_MAX).await.map_err(away)?;
    Ok(before.map_or(everything, Since::Version))
}

fn away(error: ColdError) -> CliError {
    CliError::new(error.to_string())
}

/// What came to cold takes the place of what the store says of it.
async fn reconcile(
    store: &dyn Partitions,
    cold: &ColdStore,
    since: Since,
) -> Result<Reconciled, CliError> {
    let progress = Progress::new(Work::Reconcile, None, false);
    progress
        .during(async {
            let mut all = Reconciled::default();
            let mut archived = cold.archived(since).await.map_err(away)?;
            while let Some((day, coupons)) = archived.next().await.map_err(away)? {
                let here = store.reconcile(day, coupons).await?;
                all.reconciled += here.reconciled;
                all.known += here.known;
                all.strangers += here.strangers;
                let seen = all.reconciled + all.known + all.strangers;
                progress.set(all.reconciled, seen);
            }
            Ok(all)
        })
        .await
}

fn said(reconciled: &Reconciled) -> Result<Ended, CliError> {
    if *reconciled == Reconciled::default() {
        output::say("the hot store knows of everything in the cold tier")?;
        return Ok(Ended::Done);
    }
    output::say(&format!(
        "{} archived coupons took the place of older ones, {} were known",
        thousands(reconciled.reconciled),
        thousands(reconciled.known)
    ))?;
    match reconciled.strangers {
        0 => Ok(Ended::Done),
        strangers => {
            output::note(&format!(
                "{} archived coupons are of campaigns made after the backup: their history stays \
                 in the cold tier, but their codes cannot be found here",
                thousands(strangers)
            ));
            Ok(Ended::Partly)
        }
    }
}
