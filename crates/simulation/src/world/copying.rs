//! A live copy into a second cluster, stopped and resumed while callers ask.

use std::sync::Arc;
use std::time::Duration;

use hot::inventory::{CopyError, compare, copy};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::World;
use super::machine::{Machine, Site};
use super::slots::some_machine;
use crate::rng::Rng;

/// Longest pause between two passes.
const PAUSE_MS: u64 = 10_000;

/// A pass is stopped after at most this time.
const PASS_MS: u64 = 4_000;

/// How often the last passes are tried.
const PASSES_MAX: usize = 20;

/// The second cluster, and the process that copies into it.
pub(crate) struct Target {
    site: Site,
    machine: Mutex<Option<Arc<Machine>>>,
}

impl Target {
    pub(crate) fn new(site: Site) -> Target {
        Target { site, machine: Mutex::default() }
    }

    /// The process on the target, started if there is none.
    async fn machine(&self) -> Option<Arc<Machine>> {
        let mut machine = self.machine.lock().await;
        if machine.is_none() {
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
pub(crate) async fn copies(world: Arc<World>, target: Arc<Target>, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.between(1, PAUSE_MS))).await;
        let (_, from) = some_machine(&world.slots, &mut rng).await;
        let Some(to) = target.machine().await else { continue };
        let limit = Duration::from_millis(rng.between(1, PASS_MS));
        let pass = timeout(limit, copy(from.hot.as_ref(), to.hot.as_ref(), |_, _| {}));
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
pub(crate) async fn ends(world: &World, target: &Target, from: &Machine) {
    let Some(to) = target.machine().await else {
        return world.find("copy: the target cannot be opened");
    };
    let mut last = String::new();
    // The pass that was stopped is ended, and a whole one follows.
    let mut passes = 0;
    for _ in 0..PASSES_MAX {
        match copy(from.hot.as_ref(), to.hot.as_ref(), |_, _| {}).await {
            Ok(_) => passes += 1,
            Err(error) => last = error.to_string(),
        }
        if passes == 2 {
            break;
        }
    }
    if passes < 2 {
        return world.find(format!("copy: it does not end: {last}"));
    }
    match compare(from.hot.as_ref(), to.hot.as_ref(), |_, _| {}).await {
        Ok(all) => {
            for differs in all.iter().filter(|it| !it.is_same()) {
                world.find(format!("copy: both clusters differ: {differs:?}"));
            }
        }
        Err(error) => world.find(format!("copy: both clusters cannot be compared: {error}")),
    }
}
