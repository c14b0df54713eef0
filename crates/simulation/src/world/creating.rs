//! Creates the campaigns of a seed. In some seeds the process that does it is killed, and the next
//! one repeats the same requests.

use std::sync::Arc;

use super::machine::{SimulatedMachine, SimulatedSite};
use super::plan::SeedPlan;
use super::scene::SeedScene;
use super::stops::ProcessStop;

/// Permille of the seeds that stop processes at steps.
const STOPPED: u32 = 500;

/// Kills at most.
const STOPS_MAX: u64 = 3;

/// A kill comes within so many writes: one campaign takes eight.
const STEPS_AHEAD: u64 = 16;

/// Lets `first`, and others after it, create the campaigns; returns the last one.
///
/// # Errors
/// A sentence about what could not be made.
pub(crate) async fn creates(
    plan: &SeedPlan,
    site: &SimulatedSite,
    scene: &SeedScene,
    first: Arc<SimulatedMachine>,
) -> Result<Arc<SimulatedMachine>, String> {
    let mut rng = plan.rng("stops of the creation");
    let mut stops = match plan.faults.stopped_at_step > 0 && rng.chance(STOPPED) {
        true => rng.between(1, STOPS_MAX),
        false => 0,
    };
    let mut machine = first;
    loop {
        if stops > 0 {
            stops -= 1;
            let (passes, after) = (rng.below(STEPS_AHEAD), rng.chance(500));
            machine.life.stop_at(passes, after, ProcessStop::Kill);
        }
        if let Some(made) = machine.life.alive(scene.set_up(&machine)).await {
            made?;
            machine.life.disarm();
            return Ok(machine);
        }
        let next = site.start("the next first process".to_owned(), 0).await;
        machine = next.ok_or("no process can be started")?;
    }
}
