//! A snapshot of the cluster, restored beside the cold tier of the end, as `couponry restore` does.

use std::collections::BTreeMap;

use cold::Since;
use compactor::{CompactError, StoreMismatch, check_pairing};
use hot::{ColdMark, Partitions, Reconciled};

use super::World;
use super::ending;
use super::machine::{Machine, Site};
use crate::cql::Data;

/// Restores a snapshot into an empty cluster, and checks both tiers.
pub(crate) async fn restores(world: &World, site: &Site, snapshot: &Data) {
    site.load(snapshot);
    let Some(machine) = site.start("restore".to_owned(), 0).await else {
        return world.find("restore: the restored cluster cannot be opened");
    };
    match restored(&machine).await {
        Ok(reconciled) => {
            if reconciled.reconciled > 0 {
                world.trace.reached("a restore replaced coupons by archived ones");
            }
            for finding in ending::verified(&machine).await {
                world.find(format!("restore: {finding}"));
            }
        }
        Err(error) => world.find(format!("restore: {error}")),
    }
    machine.flush().await;
}

/// What the command does.
async fn restored(machine: &Machine) -> Result<Reconciled, CompactError> {
    let (hot, cold) = (machine.hot.as_ref(), machine.cold.as_ref());
    let behind = match check_pairing(hot, cold).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => Some(found),
        Err(error) => return Err(error),
    };
    hot.pass_over_serials().await?;
    let mut all = Reconciled::default();
    if cold.version().await?.is_some() {
        let mut archived = cold.archived(Since::ArchiveCommits(BTreeMap::new())).await?;
        while let Some((day, coupons)) = archived.next().await? {
            let here = hot.reconcile(day, coupons).await?;
            all.reconciled += here.reconciled;
            all.known += here.known;
            all.strangers += here.strangers;
        }
    }
    if let Some(found) = behind {
        hot.raise_cold_mark(ColdMark { begun: Some(found), committed: Some(found) }).await?;
    }
    Ok(all)
}
