//! `couponry compact`: moves finished coupons from hot to cold.

mod report;

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use compactor::{Closed, Progress as Step};
use engine::Engine;

use crate::clock::{self, Trust};
use crate::compaction::{self, Alone};
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output::{self, thousands};
use crate::progress::{Progress, Work};
use crate::settings::Settings;

/// Move finished coupons to the cold tier
///
/// Two kinds of coupons are finished. Closed coupons are void, or were redeemed and can no longer
/// be cancelled; they move when 100,000 of one expiry day wait, or one has waited 30 days. Expired
/// coupons move when their expiry day and the longer of cancel_days and extend_days of the
/// campaigns are over. Every call still finds coupons that moved.
///
/// Each run also removes files that no commit of the last 7 days uses.
///
/// A clock that has jumped by more than two days, or back, seals and archives nothing until the new
/// time has held for 24 hours, or until the clock of a bucket or a cluster confirms it.
///
/// `serve` may run; it does the same by itself every --compact-every. An interrupted run continues
/// with the next one: nothing is removed from hot before it is written to cold, synced and read
/// back.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 all done; 1 failed; 2 usage error; 3 some days could not be moved or indexed, or only
unfinished work was done since the clock has jumped.

Examples:
  couponry compact --dry-run
  couponry compact --closed-now
  couponry compact --cold s3://shop-coupons/cold --vacuum")]
pub(crate) struct CompactArgs {
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Move closed coupons now, however few there are
    #[arg(long)]
    closed_now: bool,
    /// Trust the clock of this machine although it has jumped. Do so only if it is right, and the
    /// store was switched off or used with a wrong clock before
    #[arg(long, conflicts_with = "dry_run")]
    clock_is_right: bool,
    /// Also remove log entries of the cold tables that are older than 30 days and that a checkpoint
    /// contains; nobody can read the versions before it then
    #[arg(long, conflicts_with = "dry_run")]
    vacuum: bool,
}

pub(crate) async fn run(settings: &Settings, args: &CompactArgs) -> Result<Ended, CliError> {
    let closed = if args.closed_now { Closed::Now } else { Closed::WhenWorthwhile };
    if args.dry_run {
        let work = async |engine: &Arc<Engine>| dry_run(settings, engine, closed).await;
        return open::with(settings, Purpose::Read, work).await;
    }
    open::must_be_there(settings)?;
    let _alone = match Alone::try_take(settings)? {
        Some(alone) => alone,
        None => {
            output::note("another compaction is running: this one waits for it");
            Alone::take(settings).await?
        }
    };
    // After the lock: the process that had it may have put another store there.
    let trust = if args.clock_is_right { Trust::GivenByOperator } else { Trust::Compared };
    open::with(settings, Purpose::Write, async |engine| {
        let (closed, warning) =
            clock::allowed(settings, engine, engine.cold(), closed, trust).await?;
        let ended = compacted(engine, closed, args.vacuum && warning.is_none()).await?;
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

async fn dry_run(settings: &Settings, engine: &Engine, closed: Closed) -> Result<Ended, CliError> {
    let compactor = compaction::compactor(engine, engine.cold(), Arc::new(|_| {}));
    let clock = clock::would_observe(settings, engine).await?;
    let closed = match clock.warning() {
        None => closed,
        Some(warning) => {
            output::note(&warning);
            Closed::OnlyFinish
        }
    };
    let works = compactor.plan(engine.now(), closed).await.map_err(compaction::cli_error)?;
    report::planned(&works)
}

async fn compacted(engine: &Engine, closed: Closed, vacuum: bool) -> Result<Ended, CliError> {
    let progress = Arc::new(Progress::new(Work::Compact, None, false));
    let shown = Arc::clone(&progress);
    let compactor = compaction::compactor(
        engine,
        engine.cold(),
        Arc::new(move |step| match step {
            Step::Begins(_) | Step::Committed { .. } => {}
            Step::Copied { rows, total } | Step::Removed { rows, total } => shown.set(rows, total),
            Step::Indexed { rows } => shown.set(rows, rows),
        }),
    );
    let begun = Instant::now();
    let report = progress.during(compactor.run(engine.now(), closed)).await;
    let vacuumed = match (&report, vacuum) {
        (Ok(_), true) => Some(progress.during(compactor.vacuum(engine.now())).await),
        _ => None,
    };
    drop((compactor, progress));
    let ended = report::done(&report.map_err(compaction::cli_error)?, begun.elapsed())?;
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
