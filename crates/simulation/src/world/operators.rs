//! Operators who mint, pause, raise limits and extend campaigns while callers ask.

use std::sync::Arc;
use std::time::Duration;

use coupon::ids::BatchId;
use hot::{Batches, CampaignPatch, Campaigns, MintOrder, Named};
use tokio::time::sleep;

use super::SimulatedWorld;
use super::machine::{SimulatedMachine, keys};
use super::slots::some_machine;
use simulated_cluster::rng::Rng;

/// Longest pause of an operator.
const PAUSE_MS: u64 = 15_000;

/// Batches that one seed mints on top, at most.
const MINTS_MAX: u32 = 20;

/// An order to mint that is repeated until it is answered.
struct PendingMint {
    nth: usize,
    order: MintOrder,
}

/// Mints, pauses, raises limits and extends campaigns. Never ends.
pub(crate) async fn administers(world: Arc<SimulatedWorld>, burst: usize, mut rng: Rng) {
    let (mut number, mut pending) = (0, None);
    loop {
        sleep(Duration::from_millis(rng.between(500, PAUSE_MS))).await;
        let (_, machine) = some_machine(&world.slots, &mut rng).await;
        let nth = usize::try_from(rng.below(world.scene.stocked.len() as u64)).unwrap_or(0);
        if rng.chance(500) {
            changes(&world, &machine, nth, &mut rng).await;
            continue;
        }
        let next = match pending.take() {
            Some(order) => order,
            None if number < MINTS_MAX => {
                number += 1;
                match ordered(&world, nth, format!("more{burst}-{number}"), rng.between(1, 4)) {
                    Some(order) => order,
                    None => continue,
                }
            }
            None => continue,
        };
        let act = machine.act();
        let mint = machine.hot.mint(world.scene.id(next.nth), next.order.clone(), &act);
        match machine.life.alive(mint).await {
            Some(Ok(Named::Created(batch) | Named::Same(batch))) => {
                world.scene.minted(next.nth, &batch);
                world.scene.told_of(next.nth, &batch.id, world.trace.at_ms());
            }
            Some(Ok(Named::Refused(_))) => {}
            Some(Err(_)) | None => pending = Some(next),
        }
    }
}

fn ordered(world: &SimulatedWorld, nth: usize, name: String, count: u64) -> Option<PendingMint> {
    let id: BatchId = name.parse().ok()?;
    let key = keys().last()?.id();
    world.scene.mints(nth, &id, count);
    Some(PendingMint { nth, order: MintOrder { id, count, key } })
}

async fn changes(world: &SimulatedWorld, machine: &SimulatedMachine, nth: usize, rng: &mut Rng) {
    let pauses = rng.chance(300);
    let paused = CampaignPatch { paused: Some(pauses), ..CampaignPatch::default() };
    let patch = match rng.below(4) {
        0 => paused,
        // Some are not later than the present end, or come too late.
        3 => {
            let days = u16::try_from(rng.between(1, 9)).unwrap_or(1);
            let expires_at = world.scene.stocked[nth].campaign.expires_at.plus_days(days);
            CampaignPatch { expires_at: Some(expires_at), ..CampaignPatch::default() }
        }
        1 => {
            let batches = world.scene.batches();
            if batches.is_empty() {
                return;
            }
            let (of, batch) = rng.pick(&batches);
            world.scene.changes(*of);
            let act = machine.act();
            let paused = machine.hot.pause_batch(world.scene.id(*of), batch, pauses, &act);
            let _ = machine.life.alive(paused).await;
            return;
        }
        _ => match world.scene.stocked[nth].campaign.per_user_limit {
            None => paused,
            Some(limit) => {
                let limit = limit + u16::from(rng.chance(500));
                world.scene.raises(nth, limit);
                CampaignPatch { per_user_limit: Some(Some(limit)), ..CampaignPatch::default() }
            }
        },
    };
    world.scene.changes(nth);
    let act = machine.act();
    let patched = machine.hot.patch_campaign(world.scene.id(nth), patch, &act);
    let _ = machine.life.alive(patched).await;
}
