//! Reconciles a restored hot store from the cold tier: archived coupons replace older ones.

use std::collections::BTreeMap;
use std::time::Duration;

use cold::{ArchivedSince, ColdStore};
use command_line::{CommandProgress, WorkKind};
use hot::{Partitions, Reconciled};

use super::RestoreArgs;
use crate::failure::{CliError, Ended, Result};
use crate::output::{self, thousands};

/// Longest time between the snapshots of two tables of a store that was restored by other means.
const SNAPSHOT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the cold tier that the store may not know.
pub(super) async fn since(
    store: &dyn Partitions,
    cold: &ColdStore,
    args: &RestoreArgs,
) -> Result<ArchivedSince> {
    let everything = ArchivedSince::ArchiveCommits(BTreeMap::new());
    if args.everything {
        return Ok(everything);
    }
    // A copy of one moment has every archive commit that it names. The tables of another snapshot may
    // show different moments.
    if args.is_one_moment() {
        return Ok(ArchivedSince::ArchiveCommits(
            store.archive_commits().await?.into_iter().collect(),
        ));
    }
    let Some(known) = store.cold_mark().await?.committed else { return Ok(everything) };
    let before = cold.version_before(known, SNAPSHOT_MAX).await.map_err(CliError::of)?;
    Ok(before.map_or(everything, ArchivedSince::Version))
}

/// Finishes what compactions were doing, also one that ran during the backup: a row leaves hot only
/// when the side table has it, or its holder would miss it.
pub(super) async fn finish_side_table(store: &dyn Partitions, cold: &ColdStore) -> Result<()> {
    let finished: BTreeMap<_, _> = store.archive_commits().await?.into_iter().collect();
    let mut partitions = cold.partitions().await.map_err(CliError::of)?;
    partitions.retain(|it| finished.get(&it.day).is_none_or(|last| *last < it.archive_commit));
    for it in partitions {
        cold.commit_holders(it.day, it.archive_commit).await.map_err(CliError::of)?;
    }
    Ok(())
}

/// Replaces what the store has of each coupon that was archived `since` then.
pub(super) async fn run(
    store: &dyn Partitions,
    cold: &ColdStore,
    since: ArchivedSince,
) -> Result<Reconciled> {
    let progress = CommandProgress::new(WorkKind::Reconcile, None, false);
    progress
        .during(async {
            let mut all = Reconciled::default();
            let mut archived = cold.archived(since).await.map_err(CliError::of)?;
            while let Some((day, coupons)) = archived.next().await.map_err(CliError::of)? {
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

pub(super) fn report(reconciled: &Reconciled) -> Result<Ended> {
    if *reconciled == Reconciled::default() {
        return output::done("the hot store has everything that is in the cold tier");
    }
    output::say(&format!(
        "{} archived coupons replaced older ones, {} were known",
        thousands(reconciled.reconciled),
        thousands(reconciled.known)
    ))?;
    match reconciled.strangers {
        0 => Ok(Ended::Done),
        strangers => {
            output::note(&format!(
                "{} archived coupons are of campaigns made after the backup: they stay in the cold \
                 tier, but cannot be found here by their codes",
                thousands(strangers)
            ));
            Ok(Ended::Partly)
        }
    }
}
