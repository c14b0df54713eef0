//! One seed in this process.

use std::panic;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::sleep;
use xxhash_rust::xxh3::Xxh3;

use crate::check::{self, SeedEnd};
use crate::process::SeedRun;
use crate::report::SeedVerdict;
use crate::system;
use crate::world::{self, SeedOutcome, SeedPlan};
use simulated_cluster::trace::{Trace, TraceLine};

/// More statements than a seed sends, and more for each of its operations: most send a tenth.
const STATEMENTS_MAX: u64 = 200_000;
const STATEMENTS_EACH: u64 = 2_000;

/// Simulated time between two looks at how many statements there were.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

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
    let outcome = tokio::select! {
        biased;
        outcome = world::run(&plan, &trace, run.until, run.plant.as_deref()) => outcome,
        outcome = makes_no_progress(&trace, run.operations) => outcome,
    };
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

/// What a seed ends with when something in it is repeated without end. Otherwise never returns.
async fn makes_no_progress(trace: &Trace, operations: u64) -> SeedOutcome {
    while trace.statements() < STATEMENTS_MAX + STATEMENTS_EACH * operations {
        sleep(LOOK_AGAIN).await;
    }
    let finding = format!("makes no progress: {} statements were sent", trace.statements());
    let end = SeedEnd { findings: vec![finding], ..SeedEnd::default() };
    SeedOutcome { end, ..SeedOutcome::default() }
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

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_repeated_without_end_ends_a_seed() {
        let trace = Trace::new(false);
        for _ in 1..STATEMENTS_MAX + STATEMENTS_EACH {
            trace.statement();
        }
        let day = Duration::from_secs(86_400);
        assert!(timeout(day, makes_no_progress(&trace, 1)).await.is_err());
        trace.statement();
        let outcome = makes_no_progress(&trace, 1).await;
        assert!(outcome.end.findings[0].starts_with("makes no progress"));
    }
}
