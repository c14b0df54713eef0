//! What runs beside the callers: compactors and imports.

use std::sync::Arc;
use std::time::Duration;

use compactor::{ClosedPolicy, CompactError, CompactionReport, CompactionSettings, Compactor};
use coupon::campaign::ImportCounts;
use hot::clock::observe_clock;
use hot::{HotError, HotStore, ImportLine, ImportOutcome, Imports, Partitions, Witness};
use tokio::time::sleep;

use super::SimulatedWorld;
use super::calls::ask;
use super::machine::SimulatedMachine;
use super::scene::AGAIN_AFTER;
use super::slots::some_machine;
use super::stops::ProcessStop;
use crate::check::history::{RecordedAnswer, RecordedRequest};
use simulated_cluster::rng::Rng;

/// A write to the bucket at which a process is stopped comes within so many: most compactions make
/// fewer.
const BUCKET_STEPS_AHEAD: u64 = 24;

/// How often an import is begun again.
const IMPORTS_MAX: usize = 12;

/// Lines of one call of an import: few, so that it is interrupted between two.
const LINES: usize = 5;

/// Small numbers, so that coupons are archived and merged after minutes.
const SETTINGS: CompactionSettings = CompactionSettings {
    closed_enough: 2,
    closed_wait_days: 1,
    closed_archive_commit_max: 7,
    partition_files_max: 2,
    keep_archived_days: None,
};

/// One run of a compactor, as `serve` makes it.
pub(crate) async fn compacted(
    machine: &SimulatedMachine,
    wanted: ClosedPolicy,
) -> Result<CompactionReport, CompactError> {
    // An operator says that the clock is right: between two bursts nobody looks at it for weeks.
    let record = observe_clock(machine.hot.as_ref(), || machine.now(), Witness::Confirmed).await?;
    let closed = if record.jumped_at.is_some() { ClosedPolicy::OnlyFinish } else { wanted };
    compactor(machine).run(machine.now(), closed).await
}

/// A compactor of a process.
pub(crate) fn compactor(machine: &SimulatedMachine) -> Compactor {
    let hot = Arc::clone(&machine.hot) as Arc<dyn Partitions>;
    Compactor::new(hot, Arc::clone(&machine.cold), SETTINGS, Arc::new(|_| {}))
}

/// What of a run must never happen, whatever is broken.
pub(crate) fn damage(ended: &Result<CompactionReport, CompactError>) -> Vec<String> {
    let errors: Vec<&CompactError> = match ended {
        Ok(report) => {
            report.failed.iter().map(|(_, error)| error).chain(&report.not_indexed).collect()
        }
        Err(error) => vec![error],
    };
    let is_damage = |error: &&&CompactError| match error {
        CompactError::Hot(error) => matches!(error, HotError::Damaged(_)),
        CompactError::Cold(error) => matches!(error, cold::ColdError::Damaged { .. }),
        CompactError::StoreMismatch(_)
        | CompactError::ArchivedMarkerAlone { .. }
        | CompactError::NotAsWritten { .. } => true,
        CompactError::Conflict { .. } | CompactError::NoProgress { .. } => false,
    };
    errors.iter().filter(is_damage).map(|error| format!("compactor: {error}")).collect()
}

/// Compacts from time to time. Never ends.
pub(crate) async fn compacts(world: Arc<SimulatedWorld>, mut rng: Rng) {
    let mut stops = rng.fork("stops at the bucket");
    loop {
        sleep(Duration::from_millis(rng.between(100, world.plan.jobs.compacts_ms))).await;
        let (_, machine) = some_machine(&world.slots, &mut rng).await;
        let wanted =
            *rng.pick(&[ClosedPolicy::Now, ClosedPolicy::WhenWorthwhile, ClosedPolicy::OnlyFinish]);
        let name = machine.life.process.name();
        world.trace.say(name, format!("compacts {wanted:?}"));
        stops_at_bucket(&world, &machine, &mut stops);
        let ended = machine.life.alive(compacted(&machine, wanted)).await;
        let Some(ended) = ended else {
            world.trace.reached("killed while it compacted");
            continue;
        };
        match &ended {
            Ok(report) => {
                for partition in &report.partitions {
                    world.trace.reached(format!("compacted {:?}", partition.pass));
                }
                for (work, error) in &report.failed {
                    world
                        .trace
                        .say(name, format!("{:?} of {} failed: {error}", work.pass, work.day));
                }
            }
            Err(error) => {
                world.trace.reached("a compaction failed");
                world.trace.say(name, format!("the compaction failed: {error}"));
            }
        }
        for finding in damage(&ended) {
            world.find(finding);
        }
    }
}

/// Only here: nothing else writes to the bucket.
fn stops_at_bucket(world: &SimulatedWorld, machine: &SimulatedMachine, rng: &mut Rng) {
    let faults = &world.plan.faults;
    if rng.chance(faults.stopped_at_bucket) {
        let long = Duration::from_millis(rng.between(1, faults.freeze_ms));
        let stop = if rng.chance(500) { ProcessStop::Kill } else { ProcessStop::Freeze(long) };
        machine.life.stop_at_bucket(rng.below(BUCKET_STEPS_AHEAD), rng.chance(400), stop);
    }
}

/// Imports the file of each campaign, as long as it takes or calls may begin.
pub(crate) async fn imports(world: Arc<SimulatedWorld>, mut rng: Rng) {
    let mut campaigns: Vec<usize> = (0..world.scene.stocked.len()).collect();
    // Two importers then want the same code for two campaigns.
    if world.plan.offers.iter().any(|offer| offer.common_lines > 0) {
        rng.shuffle(&mut campaigns);
    }
    for nth in campaigns {
        for file in &world.scene.stocked[nth].files {
            if file.is_empty() {
                continue;
            }
            for _ in 0..IMPORTS_MAX {
                sleep(Duration::from_millis(rng.below(2_000))).await;
                let (process, machine) = some_machine(&world.slots, &mut rng).await;
                let once = imported(&world, nth, file, (process, &machine));
                match machine.life.alive(once).await {
                    Some(true) => break,
                    Some(false) => sleep(AGAIN_AFTER).await,
                    None => world.trace.reached("killed while it imported"),
                }
                if !world.recorder.has_room() {
                    return;
                }
            }
        }
    }
}

/// One run of an import; whether every line has an answer.
pub(crate) async fn imported(
    world: &SimulatedWorld,
    nth: usize,
    file: &[ImportLine],
    (process, machine): (usize, &Arc<SimulatedMachine>),
) -> bool {
    let stocked = &world.scene.stocked[nth];
    let (id, batch) = (&stocked.campaign.id, &stocked.batch);
    if file.iter().any(|line| line.code.is_long())
        && machine.hot.announce_long_codes().await.is_err()
    {
        return false;
    }
    if machine.hot.open_import(id, batch, &machine.act()).await.is_err() {
        return false;
    }
    world.scene.opened(nth, batch);
    let mut counts = ImportCounts::default();
    for lines in file.chunks(LINES) {
        let lines = world.erasures.without_erased(lines);
        if lines.is_empty() {
            continue;
        }
        let (campaign, batch) = (id.clone(), batch.clone());
        let asked = RecordedRequest::Import { campaign, batch, lines };
        let Some((at, call)) = ask(&world.recorder, process, machine, asked) else { return false };
        if call.await.is_err() {
            return false;
        }
        let RecordedAnswer::Imported(outcomes) = world.recorder.told(at) else { return false };
        for outcome in outcomes {
            counts.lines += 1;
            match outcome {
                ImportOutcome::Imported => counts.imported += 1,
                ImportOutcome::AlreadyThere => counts.already_there += 1,
                ImportOutcome::CodeTaken | ImportOutcome::Refused(_) => counts.rejected += 1,
            }
        }
    }
    machine.hot.close_import(id, batch, counts, Some(&machine.act())).await.is_ok()
}
