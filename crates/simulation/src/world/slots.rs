//! The processes of a seed by their numbers: at any time each of them runs, or does not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::machine::{SimulatedMachine, SimulatedSite};
use super::stops::ProcessStop;
use simulated_cluster::rng::Rng;

/// Longest time until somebody starts a process again that was killed.
const DOWN_MS: u64 = 20_000;

/// Pause of somebody who finds no process that runs.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// One process, which is started again and again.
pub(crate) struct ProcessSlot {
    pub(crate) number: usize,
    /// By how much its clock is ahead at its next start.
    clock_ms: i64,
    machine: watch::Sender<Option<Arc<SimulatedMachine>>>,
}

impl ProcessSlot {
    pub(crate) fn new(number: usize, clock_ms: i64) -> ProcessSlot {
        ProcessSlot { number, clock_ms, machine: watch::Sender::new(None) }
    }

    /// The process, if it runs.
    pub(crate) fn machine(&self) -> Option<Arc<SimulatedMachine>> {
        self.machine.borrow().clone().filter(|machine| !machine.life.is_dead())
    }

    /// Starts it unless it runs.
    pub(crate) async fn start(&self, site: &SimulatedSite) -> bool {
        if self.machine().is_some() {
            return true;
        }
        let started = site.start(format!("process {}", self.number), self.clock_ms).await;
        let runs = started.is_some();
        self.machine.send_replace(started);
        runs
    }

    /// Starts it again whenever it was killed. Never ends.
    pub(crate) async fn supervise(&self, site: &SimulatedSite, mut rng: Rng) {
        loop {
            match self.machine() {
                Some(machine) => machine.life.died().await,
                None => {
                    sleep(Duration::from_millis(rng.between(1, DOWN_MS))).await;
                    self.start(site).await;
                }
            }
        }
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(&self) {
        if let Some(machine) = self.machine() {
            machine.life.disarm();
            if !machine.flush().await {
                machine.life.lost_memory();
            }
            machine.life.exit();
        }
        self.machine.send_replace(None);
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        if let Some(machine) = self.machine() {
            machine.life.lost_memory();
            machine.life.stop(ProcessStop::Kill);
        }
        self.machine.send_replace(None);
    }
}

/// Some process that runs. Waits until there is one.
pub(crate) async fn some_machine(
    slots: &[ProcessSlot],
    rng: &mut Rng,
) -> (usize, Arc<SimulatedMachine>) {
    loop {
        if let Some(found) = running_machine(slots, rng) {
            return found;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Some process that runs now.
pub(crate) fn running_machine(
    slots: &[ProcessSlot],
    rng: &mut Rng,
) -> Option<(usize, Arc<SimulatedMachine>)> {
    let running = |slot: &ProcessSlot| slot.machine().map(|machine| (slot.number, machine));
    let all: Vec<_> = slots.iter().filter_map(running).collect();
    (!all.is_empty()).then(|| rng.pick(&all).clone())
}
