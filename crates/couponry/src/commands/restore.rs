//! `couponry restore`: turns a backup into the data again, together with the cold tier of today.

mod folder;
mod reconcile;

use std::path::PathBuf;

use clap::Args;
use cold::{ColdStore, Patience};
use compactor::{CompactError, StoreMismatch, check_pairing};
use hot::{ColdMark, HotStore, Reconciled};
use hot_sqlite::FILE_NAME;

use crate::cluster::{NotOpen, Waiting};
use crate::compaction::{self, Alone};
use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::settings::{Hot, Settings};
use crate::{files, open, serve};

/// Restore a backup
///
/// Puts the backup into the data folder and compares it with the cold tier. Where a coupon was
/// archived after the backup, the archived one replaces that of the backup, so that no archived
/// redemption can be made again. Codes that were minted after the backup are never minted again.
/// `serve` must not run.
///
/// Without DIR, does only the comparison, for a hot store that you restored by other means.
/// Compares what was archived since a day before the last archiving that the store knows of. That
/// is enough if all tables of the snapshot were taken within a day and nothing was compacted since
/// you put them back; otherwise use --everything. Run it again if it is interrupted.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 restored; 1 failed; 2 usage error; 3 some archived coupons are of campaigns that the
backup does not have: they cannot be found unless you restore a later one.

Examples:
  couponry restore /backup/couponry-2026-12-01 --data ./couponry-data
  couponry restore
  couponry restore --everything")]
pub(crate) struct RestoreArgs {
    /// Folder that `couponry backup` made
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Move existing data aside, to replaced-INSTANT in the data folder
    #[arg(long, requires = "folder")]
    replace: bool,
    /// Compare the whole cold tier, however long that takes
    #[arg(long)]
    everything: bool,
}

pub(crate) async fn run(settings: &Settings, args: &RestoreArgs) -> Result<Ended, CliError> {
    let data = &settings.data.value;
    may_restore(settings, args)?;
    let _only = serve::only_one(data)?;
    // A compaction would continue with the store that is moved aside.
    let Some(_alone) = Alone::try_take(settings)? else {
        let folder = data.display();
        return Err(CliError::new(format!("a compaction works on {folder}: wait until it ends")));
    };
    if let Some(from) = &args.folder {
        folder::put_back(data, from)?;
    }
    let cold = open::cold(settings, Patience::Work)?;
    let keys = Keys::load(data)?;
    let attempt = async || open::store(settings, &keys, &cold).await;
    let (store, hot) = open::patiently(settings, Waiting::Command, attempt).await?;
    let ended = brought_together(store.as_ref(), &cold, args).await;
    hot.flush().await;
    ended
}

/// Refuses what cannot be restored, before anything is changed.
fn may_restore(settings: &Settings, args: &RestoreArgs) -> Result<(), CliError> {
    let data = &settings.data.value;
    let Some(from) = &args.folder else {
        return open::must_be_there(settings);
    };
    match settings.hot.value {
        Hot::Sqlite => {}
        Hot::Cql(_) => {
            return Err(CliError::usage(
                "a backup folder contains no cluster: restore the snapshot of the cluster, then \
                 run `couponry restore` without DIR",
            ));
        }
    }
    if !from.join(FILE_NAME).exists() {
        return Err(CliError::new(format!(
            "there is no {FILE_NAME} in {}: name a folder that `couponry backup` made",
            from.display()
        )));
    }
    if data.join(FILE_NAME).exists() && !args.replace {
        return Err(CliError::new(format!(
            "there is data in {}: --replace moves it aside, or name another --data",
            data.display()
        )));
    }
    files::private_folder(data)
}

/// Brings the hot store to the state of the cold tier.
async fn brought_together(
    store: &dyn HotStore,
    cold: &ColdStore,
    args: &RestoreArgs,
) -> Result<Ended, CliError> {
    open::must_not_have_moved(store).await.map_err(NotOpen::cli_error)?;
    let behind = match check_pairing(store, cold).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => Some(found),
        Err(error) => return Err(compaction::cli_error(error)),
    };
    if args.folder.is_none() {
        // The store was restored by other means and may not know the last codes that were minted,
        // archived or not.
        store.pass_over_serials().await?;
    }
    let reconciled = match cold.version().await.map_err(CliError::of)? {
        Some(_) => {
            let since = reconcile::since(store, cold, args).await?;
            reconcile::run(store, cold, since).await?
        }
        None => Reconciled::default(),
    };
    if let Some(found) = behind {
        store.raise_cold_mark(ColdMark { begun: Some(found), committed: Some(found) }).await?;
    }
    reconcile::report(&reconciled)
}
