//! A live copy into a second cluster, stopped and resumed while callers ask.

mod source;

use std::sync::Arc;
use std::time::Duration;

use hot::inventory::{CopyError, compare, copy};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use self::source::ClusterSource;
use super::SimulatedWorld;
use super::machine::{SimulatedMachine, SimulatedSite};
use super::slots::some_machine;
use super::stops::ProcessStop;
use crate::steps::orders::steps_of;
use simulated_cluster::rng::Rng;

/// Longest pause between two passes.
const PAUSE_MS: u64 = 10_000;

/// How long the process that writes is frozen.
const PAUSE: Duration = Duration::from_millis(PAUSE_MS);

/// A pass is stopped after at most this time.
const PASS_MS: u64 = 4_000;

/// A stop of the process that writes comes within so many writes: a pass makes hundreds.
const STEPS_AHEAD: u64 = 120;

/// Stops of the last passes at most.
const STOPS_MAX: u64 = 6;

/// How often the last passes are tried.
const PASSES_MAX: usize = 20;

/// The second cluster, and the process that copies into it.
pub(crate) struct CopyTarget {
    site: SimulatedSite,
    machine: Mutex<Option<Arc<SimulatedMachine>>>,
}

impl CopyTarget {
    pub(crate) fn new(site: SimulatedSite) -> CopyTarget {
        CopyTarget { site, machine: Mutex::default() }
    }

    /// The process on the target, started if there is none.
    async fn machine(&self) -> Option<Arc<SimulatedMachine>> {
        let mut machine = self.machine.lock().await;
        if machine.as_ref().is_none_or(|it| it.life.is_dead()) {
            *machine = self.site.start("copy".to_owned(), 0).await;
        }
        machine.clone()
    }

    /// Ends the process on the target.
    pub(crate) async fn end(&self) {
        *self.machine.lock().await = None;
    }
}

/// Copies again and again, and is stopped in the middle. Never ends.
pub(crate) async fn copies(world: Arc<SimulatedWorld>, target: Arc<CopyTarget>, mut rng: Rng) {
    let mut of_stops = rng.fork("stops");
    loop {
        sleep(Duration::from_millis(rng.between(1, PAUSE_MS))).await;
        let (_, from) = some_machine(&world.slots, &mut rng).await;
        let Some(to) = target.machine().await else { continue };
        if of_stops.chance(world.plan.faults.stopped_at_step) {
            let stop =
                if of_stops.chance(700) { ProcessStop::Kill } else { ProcessStop::Freeze(PAUSE) };
            stops_soon(&to, &mut of_stops, stop);
        }
        let limit = Duration::from_millis(rng.between(1, PASS_MS));
        let source = ClusterSource(Arc::clone(&from));
        let pass = timeout(limit, copy(&source, to.hot.as_ref(), |_, _| {}));
        match from.life.alive(pass).await {
            Some(Ok(Ok(_))) => world.trace.reached("a pass of a copy ended"),
            // What a stopped pass had sent may arrive while the next one runs.
            Some(Ok(Err(CopyError::Refused(_)))) => world.trace.reached("a copy was refused"),
            Some(Ok(Err(CopyError::Store(_)))) => world.trace.reached("a pass of a copy failed"),
            Some(Err(_)) | None => world.trace.reached("a pass of a copy was stopped"),
        }
    }
}

/// Copies the rest from a source on which nobody works, and compares both.
pub(crate) async fn ends(
    world: &SimulatedWorld,
    target: &CopyTarget,
    from: &Arc<SimulatedMachine>,
) {
    let mut rng = world.plan.rng("stops of the last passes");
    let is_stopped = world.plan.faults.stopped_at_step > 0;
    let mut stops = if is_stopped { rng.below(STOPS_MAX + 1) } else { 0 };
    let source = ClusterSource(Arc::clone(from));
    let (mut last, mut passes) = (String::new(), 0);
    for _ in 0..PASSES_MAX {
        let Some(to) = target.machine().await else { break };
        to.life.disarm();
        if stops > 0 {
            stops -= 1;
            stops_soon(&to, &mut rng, ProcessStop::Kill);
        }
        // A pass that was stopped is ended, and a whole one follows.
        match to.life.alive(copy(&source, to.hot.as_ref(), |_, _| {})).await {
            Some(Ok(_)) => passes += 1,
            Some(Err(error)) => last = error.to_string(),
            None => passes = 0,
        }
        if passes == 2 {
            break;
        }
    }
    let Some(to) = target.machine().await else {
        return world.find("copy: the target cannot be opened");
    };
    to.life.disarm();
    if passes < 2 {
        return world.find(format!("copy: it does not end: {last}"));
    }
    match compare(&source, to.hot.as_ref(), |_, _| {}).await {
        Ok(all) => {
            for differs in all.iter().filter(|it| !it.is_same()) {
                world.find(format!("copy: both clusters differ: {differs:?}"));
            }
        }
        Err(error) => world.find(format!("copy: both clusters cannot be compared: {error}")),
    }
}

/// Stops the process that writes at one of its next steps.
fn stops_soon(to: &SimulatedMachine, rng: &mut Rng, stop: ProcessStop) {
    let (passes, after) = (rng.below(STEPS_AHEAD), rng.chance(500));
    let step = *rng.pick(&steps_of("copy: "));
    match rng.chance(500) {
        true => to.life.stop_at(passes, after, stop),
        false => to.life.stop_at_step(step, after, stop),
    }
}
