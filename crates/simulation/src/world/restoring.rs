//! A snapshot of the cluster, restored beside the cold tier of the end, as `couponry restore` does.

use std::collections::BTreeMap;

use cold::ArchivedSince;
use compactor::{CompactError, StoreMismatch, check_pairing};
use hot::feed::{FeedRead, FeedStart};
use hot::{ColdMark, HotStore, Partitions, Reconciled};

use super::SimulatedWorld;
use super::machine::{SimulatedMachine, SimulatedSite};
use super::readers;
use super::stops::ProcessStop;
use super::verifying;
use crate::steps::orders::steps_of;
use simulated_cluster::cql::ReplicaData;

/// Stops of a restore at most, each at one of its next writes.
const STOPS_MAX: u64 = 3;

/// Writes of a small restore.
const STEPS_AHEAD: u64 = 16;

/// Restores a snapshot into an empty cluster, and checks both tiers. An operator repeats a restore
/// that was killed.
pub(crate) async fn restores(world: &SimulatedWorld, site: &SimulatedSite, snapshot: &ReplicaData) {
    site.load(snapshot);
    let mut rng = world.plan.rng("stops of a restore");
    let is_stopped = world.plan.faults.stopped_at_step > 0;
    let mut stops = if is_stopped { rng.below(STOPS_MAX + 1) } else { 0 };
    let aims = steps_of("restore");
    let (machine, ended) = loop {
        let Some(machine) = site.start("restore".to_owned(), 0).await else {
            return world.find("restore: the restored cluster cannot be opened");
        };
        if stops > 0 {
            stops -= 1;
            let (passes, after) = (rng.below(STEPS_AHEAD), rng.chance(500));
            let step = *rng.pick(&aims);
            match rng.chance(500) {
                true => machine.life.stop_at(passes, after, ProcessStop::Kill),
                false => machine.life.stop_at_step(step, after, ProcessStop::Kill),
            }
        }
        match machine.life.alive(restored(&machine)).await {
            Some(ended) => break (machine, ended),
            None => world.trace.reached("a restore was killed"),
        }
    };
    machine.life.disarm();
    match ended {
        Ok(reconciled) => {
            if reconciled.reconciled > 0 {
                world.trace.reached("a restore replaced coupons by archived ones");
            }
            for finding in verifying::verified(&machine).await {
                world.find(format!("restore: {finding}"));
            }
            feed(world, &machine).await;
        }
        Err(error) => world.find(format!("restore: {error}")),
    }
    machine.flush().await;
}

/// A reader of the store that was lost goes on, or is told from where to.
async fn feed(world: &SimulatedWorld, machine: &SimulatedMachine) {
    for reader in &world.readers {
        let Some(mut cursor) = reader.cursor() else { continue };
        for _ in 0..2 {
            match readers::read(machine, FeedStart::After(cursor.clone()), 10).await {
                Ok(FeedRead::Page(_)) => break,
                Ok(FeedRead::Gone { go_on, .. }) => {
                    world.trace.reached("restore: a cursor of the feed is from before it");
                    cursor = go_on;
                }
                other => return world.find(format!("restore: the feed: {other:?}")),
            }
        }
    }
}

/// What the command does.
async fn restored(machine: &SimulatedMachine) -> Result<Reconciled, CompactError> {
    let (hot, cold) = (machine.hot.as_ref(), machine.cold.as_ref());
    let behind = match check_pairing(hot, cold).await {
        Ok(()) => None,
        Err(CompactError::StoreMismatch(StoreMismatch::HotOlder { found, .. })) => Some(found),
        Err(error) => return Err(error),
    };
    hot.begin_feed_epoch().await?;
    hot.pass_over_serials().await?;
    let mut all = Reconciled::default();
    if cold.version().await?.is_some() {
        let mut archived = cold.archived(ArchivedSince::ArchiveCommits(BTreeMap::new())).await?;
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
