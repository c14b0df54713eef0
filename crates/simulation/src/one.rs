//! One seed in this process.

use std::panic;
use std::sync::Mutex;

use xxhash_rust::xxh3::Xxh3;

use crate::process::SeedRun;
use crate::report::SeedVerdict;
use crate::world::{self, SeedPlan};
use crate::{check, system};
use simulated_cluster::trace::{Trace, TraceLine};

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs one seed and checks it. Call it once in a process: from then on, the clock of this thread
/// is that of the seed.
///
/// # Panics
/// If the runtime cannot be made.
pub fn run_one(run: &SeedRun) -> SeedVerdict {
    // A task that panics is a violation, and tokio keeps it to itself.
    panic::set_hook(Box::new(|panicked| {
        eprintln!("{panicked}");
        if let Ok(mut panics) = PANICS.lock() {
            panics.push(format!("panicked: {panicked}"));
        }
    }));
    let mut verdict = system::begin(run.seed).block_on(play(run));
    if let Ok(panics) = PANICS.lock() {
        verdict.violations.extend(panics.iter().cloned());
    }
    verdict
}

async fn play(run: &SeedRun) -> SeedVerdict {
    let trace = Trace::new(run.lines);
    let plan = SeedPlan::draw(run.seed, run.operations, run.engine());
    let outcome = world::run(&plan, &trace, run.until, run.plant.as_deref()).await;
    let violations = check::check(&outcome.known, &outcome.calls, &outcome.end);
    let lines = trace.lines();
    SeedVerdict {
        seed: run.seed,
        operations: outcome.operations,
        faults: trace.faults().values().sum(),
        violations: violations.iter().map(ToString::to_string).collect(),
        reached: trace.states(),
        plan: plan.to_string(),
        digest: digest(&lines),
        lines,
    }
}

fn digest(lines: &[TraceLine]) -> u64 {
    let mut hash = Xxh3::new();
    for TraceLine { at_ms, who, what } in lines {
        hash.update(&at_ms.to_le_bytes());
        hash.update(who.as_bytes());
        hash.update(what.as_bytes());
    }
    hash.digest()
}
