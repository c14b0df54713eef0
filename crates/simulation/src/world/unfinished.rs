//! Compactions after the last call that are stopped at one of their steps. Most partitions are
//! sealed and moved only then.

use std::sync::Arc;
use std::time::Duration;

use compactor::ClosedPolicy;
use futures::future::join;

use super::machine::SimulatedMachine;
use super::stops::ProcessStop;
use super::{SimulatedWorld, jobs};
use crate::steps::orders::steps_of;
use simulated_cluster::rng::Rng;

/// Permille of the seeds that stop processes at steps.
const STOPPED: u32 = 700;

/// Pairs of compactors at most.
const PAIRS_MAX: u64 = 4;

/// Steps at which one process may be stopped: it is at the first of them that it makes.
const AIMS: usize = 2;

/// Longest freeze: the other process ends meanwhile.
const FREEZE_MS: u64 = 20_000;

/// Lets some pairs of processes compact, each one stopped at a step. The next ones, and at last the
/// last process, finish what they have begun.
pub(crate) async fn compacts(world: &SimulatedWorld) {
    let faults = &world.plan.faults;
    let mut rng = world.plan.rng("unfinished compactions");
    if faults.stopped_at_step + faults.stopped_at_bucket == 0 || !rng.chance(STOPPED) {
        return;
    }
    let aims = steps_of("move to cold");
    for _ in 0..rng.between(1, PAIRS_MAX) {
        let one = starts(world, &aims, &mut rng).await;
        let other = starts(world, &aims, &mut rng).await;
        join(compacted(world, one), compacted(world, other)).await;
    }
}

/// A process that will be stopped.
async fn starts(
    world: &SimulatedWorld,
    aims: &[&'static str],
    rng: &mut Rng,
) -> Option<Arc<SimulatedMachine>> {
    let machine = world.site.start("an unfinished compaction".to_owned(), 0).await?;
    for _ in 0..AIMS {
        let long = Duration::from_millis(rng.between(1, FREEZE_MS));
        let stop = if rng.chance(600) { ProcessStop::Kill } else { ProcessStop::Freeze(long) };
        let step = *rng.pick(aims);
        machine.life.stop_at_step(step, rng.chance(500), stop);
    }
    Some(machine)
}

/// What one of them says may be that the other was faster. It must never be damage.
async fn compacted(world: &SimulatedWorld, machine: Option<Arc<SimulatedMachine>>) {
    let Some(machine) = machine else { return };
    let ended = machine.life.alive(jobs::compacted(&machine, ClosedPolicy::Now)).await;
    machine.life.disarm();
    let Some(ended) = ended else {
        return world.trace.reached("killed while it compacted at the end");
    };
    for finding in jobs::damage(&ended) {
        world.find(finding);
    }
    machine.flush().await;
    machine.life.exit();
}
