//! `couponry compact`: moves finished coupons from hot to cold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use command_line::{CommandProgress, WorkKind};
use compactor::{
    ClosedPolicy, CompactionPass, CompactionProgress as Step, CompactionReport, DeletedReport,
    DuePass, PartitionReport, ProgressWatch,
};
use engine::{CompactionRun, Engine, OtherRuns};
use hot::Witness;

use crate::clock;
use crate::compaction::{self, Noted};
use crate::failure::{CliError, Ended, Result};
use crate::open::{self, Opened, Purpose};
use crate::output::{self, Left, Right, thousands};
use crate::settings::{Hot, Settings};

/// Move finished coupons to the cold tier
///
/// Two kinds of coupons are finished. Closed coupons are void, or were redeemed and can no longer
/// be cancelled. They move if 100,000 of one expiry day wait, or if one has waited 30 days.
/// Expired coupons move after their expiry day has ended, and after it the longer of cancel_days
/// and extend_days of its campaigns. Every call still finds coupons that moved.
///
/// Also deletes files of the cold tier that no commit of the last 7 days uses. With the setting keep_archived it deletes
/// the coupons of old expiry days for ever, from both tiers; --dry-run says how many.
///
/// If the clock jumps ahead by more than two days, or goes back, compact moves nothing until the new time has lasted 24
/// hours. It moves coupons at once if the clock of an S3 bucket or a cluster confirms the new time.
///
/// You can run this while `serve` is running. With SQLite `serve` does the same every --compact-every (1h by default).
/// On a cluster it does so only if --compact-every is set. If compact is interrupted, run it again and it continues. It
/// deletes nothing from hot before the coupons are written to cold, synced and read back.
#[derive(Args)]
#[command(after_help = help_ending!(
    "0 all done; 1 failed; 2 usage error; 3 some days could not be moved or indexed, or the
clock has jumped, so that only unfinished work was done",
    "couponry compact --dry-run",
    "couponry compact --closed-now",
    "couponry compact --cold s3://shop-coupons/cold --vacuum"))]
pub(crate) struct CompactArgs {
    /// Print what compact would do, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Move all closed coupons now, even if only a few wait
    #[arg(long)]
    closed_now: bool,
    /// Trust the clock of this machine although it has jumped. Use this only if the clock is right
    /// now, and the store was switched off or used with a wrong clock before
    #[arg(long, conflicts_with = "dry_run")]
    clock_is_right: bool,
    /// Also delete log entries of the cold tables that are older than 30 days and that a checkpoint
    /// contains. After that, nobody can read the versions of the tables before that checkpoint
    #[arg(long, conflicts_with = "dry_run")]
    vacuum: bool,
}

pub(crate) async fn run(settings: &Settings, args: &CompactArgs) -> Result<Ended> {
    let closed = if args.closed_now { ClosedPolicy::Now } else { ClosedPolicy::WhenWorthwhile };
    if args.dry_run {
        let work = async |opened: &Opened| dry_run(settings, opened.engine(), closed).await;
        return open::with(settings, Purpose::Read, work).await;
    }
    open::must_be_there(settings)?;
    let _lock = match compaction::lock_if_free(settings)? {
        Some(lock) => lock,
        None => {
            output::note("another compaction is running: this one waits for it");
            compaction::lock(settings).await?
        }
    };
    // After the lock: the process that had it may have put another store there.
    let witness = if args.clock_is_right { Witness::Confirmed } else { Witness::Alone };
    open::with(settings, Purpose::Write, async |opened| {
        let engine = opened.engine();
        let (closed, warning) = clock::allowed(engine, engine.cold(), closed, witness).await?;
        let others = match settings.hot.value {
            Hot::Sqlite => OtherRuns::AreOver,
            // Whoever gives the command wants this one; both do no harm.
            Hot::Cql(_) => OtherRuns::GoOn,
        };
        let vacuum = args.vacuum && warning.is_none();
        let ended = compacted(settings, engine, closed, vacuum, others).await?;
        match warning {
            None => Ok(ended),
            Some(warning) => {
                output::note(&warning);
                Ok(Ended::Partly)
            }
        }
    })
    .await
}

async fn dry_run(settings: &Settings, engine: &Engine, closed: ClosedPolicy) -> Result<Ended> {
    let compactor = compaction::compactor(settings, engine, engine.cold(), Arc::new(|_| {}))?;
    let clock = clock::would_observe(engine).await?;
    let closed = match clock.warning() {
        None => closed,
        Some(warning) => {
            output::note(&warning);
            ClosedPolicy::OnlyFinish
        }
    };
    let works = compactor.plan(engine.now(), closed).await.map_err(compaction::cli_error)?;
    let deleted = match closed {
        ClosedPolicy::OnlyFinish => DeletedReport::default(),
        _ => compactor.would_delete(engine.now()).await.map_err(compaction::cli_error)?,
    };
    if deleted.days > 0 {
        output::say(&format!(
            "{} coupons of {} expiry days would be deleted for ever: keep_archived",
            thousands(deleted.coupons),
            thousands(deleted.days)
        ))?;
    }
    planned(&works)
}

async fn compacted(
    settings: &Settings,
    engine: &Engine,
    closed: ClosedPolicy,
    vacuum: bool,
    others: OtherRuns,
) -> Result<Ended> {
    let progress = Arc::new(CommandProgress::new(WorkKind::Compact, None, false));
    let shown = Arc::clone(&progress);
    let watch: ProgressWatch = Arc::new(move |step| match step {
        Step::Begins(_) | Step::Committed { .. } => {}
        Step::Copied { rows, total } | Step::Removed { rows, total } => shown.set(rows, total),
        Step::Indexed { rows } => shown.set(rows, rows),
    });
    let run = CompactionRun::new(&open::caller().to_string(), &compaction::host(), engine.now());
    compaction::begin(engine, &run, others).await?;
    let begun = Instant::now();
    let noted = Noted::new(run, watch);
    let work = compaction::run_once(settings, engine, engine.cold(), closed, noted.watch());
    let report = progress.during(noted.during(engine, work)).await;
    let vacuumed = match (&report, vacuum) {
        (Ok(_), true) => {
            let nobody: ProgressWatch = Arc::new(|_| {});
            let compactor = compaction::compactor(settings, engine, engine.cold(), nobody)?;
            Some(progress.during(compactor.vacuum(engine.now())).await)
        }
        _ => None,
    };
    drop(progress);
    let ended = reported(&report?, begun.elapsed())?;
    if let Some(vacuumed) = vacuumed {
        let swept = vacuumed.map_err(compaction::cli_error)?;
        output::say(&format!(
            "{} objects of the logs removed, {} bytes",
            thousands(swept.files),
            thousands(swept.bytes)
        ))?;
    }
    Ok(ended)
}

fn planned(works: &[DuePass]) -> Result<Ended> {
    if works.is_empty() {
        return output::done(
            "nothing to do: no day can be sealed, and too few closed coupons wait",
        );
    }
    let row = |work: &DuePass| {
        [work.day.to_string(), would(work.pass).to_owned(), thousands(work.waiting)]
    };
    let heads = [("DAY", Left), ("WHAT", Left), ("CLOSED", Right)];
    output::done(&output::table(heads, works.iter().map(row)))
}

fn would(pass: CompactionPass) -> &'static str {
    match pass {
        CompactionPass::Finish => "finish an earlier run",
        CompactionPass::Closed => "move closed coupons",
        CompactionPass::Expired => "seal it, move all of it",
    }
}

/// # Errors
/// No day could be moved.
fn reported(report: &CompactionReport, elapsed: Duration) -> Result<Ended> {
    if !report.partitions.is_empty() {
        output::say(&table(&report.partitions))?;
    }
    for (work, error) in &report.failed {
        output::note(&format!("{}: {error}", work.day));
    }
    if let Some(error) = &report.not_erased {
        output::note(&format!("erased people are still in the cold tier: {error}"));
    }
    if let Some(error) = &report.not_deleted {
        output::note(&format!("old expiry days are not deleted: {error}"));
    }
    if let Some(error) = &report.not_indexed {
        output::note(&format!("the holder index is not complete: {error}"));
    }
    if report.partitions.is_empty() && !report.failed.is_empty() {
        let sentence = "no day could be moved; nothing was removed from hot before it was in cold";
        return Err(
            CliError::new(sentence).and("run it again; `couponry doctor` checks both tiers")
        );
    }
    let (copied, bytes) = (report.copied(), report.bytes());
    let each = if copied > 0 { bytes as f64 / copied as f64 } else { 0.0 };
    output::say(&format!(
        "{} coupons moved to cold, {} bytes ({each:.1} for each), in {:.1} s; removed {} old files",
        thousands(copied),
        thousands(bytes),
        elapsed.as_secs_f64(),
        thousands(report.swept.files),
    ))?;
    if report.erased.files > 0 {
        let files = thousands(report.erased.files);
        output::say(&format!("{files} files written again without the names of erased people"))?;
    }
    if report.deleted.days > 0 {
        output::say(&format!(
            "{} coupons of {} expiry days deleted for ever: keep_archived",
            thousands(report.deleted.coupons),
            thousands(report.deleted.days)
        ))?;
    }
    let not_done = [&report.not_erased, &report.not_deleted, &report.not_indexed];
    let is_all = report.failed.is_empty() && not_done.iter().all(|it| it.is_none());
    Ok(if is_all { Ended::Done } else { Ended::Partly })
}

fn table(partitions: &[PartitionReport]) -> String {
    let row = |partition: &PartitionReport| {
        let pass = match partition.pass {
            CompactionPass::Finish => "finish",
            CompactionPass::Closed => "closed",
            CompactionPass::Expired => "expired",
        };
        let [copied, bytes, removed] =
            [partition.copied, partition.bytes, partition.removed].map(thousands);
        [partition.day.to_string(), pass.to_owned(), copied, bytes, removed]
    };
    let heads =
        [("DAY", Left), ("PASS", Left), ("COPIED", Right), ("BYTES", Right), ("REMOVED", Right)];
    output::table(heads, partitions.iter().map(row))
}
