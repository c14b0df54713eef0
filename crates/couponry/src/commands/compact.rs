//! `couponry compact`: finished coupons from hot to cold.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use compactor::{Closed, PartitionReport, Pass, Progress as Step, Report, Work as Planned};
use engine::Engine;

use crate::clock::{self, Trust};
use crate::compaction::{self, Alone};
use crate::failure::{CliError, Ended};
use crate::open::{self, Purpose};
use crate::output::{self, Side, thousands};
use crate::progress::{Progress, Work};
use crate::settings::Settings;

/// Move finished coupons to the cold tier
///
/// Two kinds are finished: what was redeemed and can no longer be cancelled, or is void (moved
/// when 100,000 of one expiry day wait, or one has waited 30 days); and every coupon of a day whose
/// time is over, which is the day's end and the longer of the campaigns' cancel_days and
/// extend_days. They stay readable as before, by every call.
///
/// Each run also removes the files that no commit of the last 7 days has.
///
/// A clock that has jumped by more than two days, or back, seals and archives nothing until it has
/// stood for 24 hours; a bucket's or a cluster's clock that agrees makes up for that.
///
/// Runs beside `serve`, which does the same by itself every --compact-every. Stopped anywhere, it
/// goes on where it was with the next run: nothing is removed before it was written, synced and
/// read back.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 all done, 1 failed, 2 wrong call, 3 some days could not be moved or indexed, or the clock
has jumped and only unfinished work was done.

Examples:
  couponry compact --dry-run
  couponry compact --closed-now
  couponry compact --cold s3://shop-coupons/cold --vacuum")]
pub(crate) struct CompactArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Move redeemed and void coupons at once, however few there are
    #[arg(long)]
    closed_now: bool,
    /// Seal and archive by this machine's clock although it has jumped: it is right, and the store
    /// was switched off, or was used with a wrong clock before
    #[arg(long, conflicts_with = "dry_run")]
    clock_is_right: bool,
    /// Also remove the log entries of the cold tables that are older than 30 days and that a
    /// checkpoint says all of; nobody can go back to the versions before it then
    #[arg(long, conflicts_with = "dry_run")]
    vacuum: bool,
}

pub(crate) async fn run(settings: &Settings, ask: &CompactArgs) -> Result<Ended, CliError> {
    let closed = if ask.closed_now { Closed::Now } else { Closed::WhenWorthwhile };
    if ask.dry_run {
        let work = async |engine: &Arc<Engine>| {
            let compactor = compaction::compactor(engine, Arc::new(|_| {}));
            let clock = clock::would_observe(settings, engine).await?;
            let closed = match clock.warning() {
                None => closed,
                Some(warning) => {
                    output::note(&warning);
                    Closed::OnlyFinish
                }
            };
            let works =
                compactor.plan(engine.now(), closed).await.map_err(compaction::cli_error)?;
            planned(&works)
        };
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
    // Not before: whoever had the lock may have put another store there.
    let trust = if ask.clock_is_right { Trust::GivenByOperator } else { Trust::Compared };
    open::with(settings, Purpose::Write, async |engine| {
        let (closed, warning) =
            clock::allowed(settings, engine, engine.cold(), closed, trust).await?;
        let ended = compacted(engine, closed, ask.vacuum && warning.is_none()).await?;
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

async fn compacted(engine: &Engine, closed: Closed, vacuum: bool) -> Result<Ended, CliError> {
    let progress = Arc::new(Progress::new(Work::Compact, None, false));
    let told = Arc::clone(&progress);
    let compactor = compaction::compactor(
        engine,
        Arc::new(move |step| match step {
            Step::Begins(_) | Step::Committed { .. } => {}
            Step::Copied { rows, total } | Step::Removed { rows, total } => told.set(rows, total),
            Step::Indexed { rows } => told.set(rows, rows),
        }),
    );
    let begun = Instant::now();
    let report = progress.during(compactor.run(engine.now(), closed)).await;
    let vacuumed = match (&report, vacuum) {
        (Ok(_), true) => Some(progress.during(compactor.vacuum(engine.now())).await),
        _ => None,
    };
    drop((compactor, progress));
    let ended = said(&report.map_err(compaction::cli_error)?, begun)?;
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

fn planned(works: &[Planned]) -> Result<Ended, CliError> {
    if works.is_empty() {
        output::say("nothing to do: no day is over, and too few closed coupons wait")?;
        return Ok(Ended::Done);
    }
    let mut rows = vec![["DAY", "WHAT", "CLOSED"].map(String::from).to_vec()];
    rows.extend(works.iter().map(|work| {
        vec![work.day.to_string(), would(work.pass).to_owned(), thousands(work.waiting)]
    }));
    output::say(output::table(&[Side::Left, Side::Left, Side::Right], &rows).trim_end())?;
    Ok(Ended::Done)
}

fn would(pass: Pass) -> &'static str {
    match pass {
        Pass::Finish => "finish what an earlier run has begun",
        Pass::Closed => "move closed coupons",
        Pass::Expired => "seal it, move all of it",
    }
}

fn said(report: &Report, begun: Instant) -> Result<Ended, CliError> {
    let seconds = begun.elapsed().as_secs_f64();
    if !report.partitions.is_empty() {
        output::say(table(&report.partitions).trim_end())?;
    }
    for (work, error) in &report.failed {
        output::note(&format!("{}: {error}", work.day));
    }
    if let Some(error) = &report.not_indexed {
        output::note(&format!("the holder index is not complete: {error}"));
    }
    if report.partitions.is_empty() && !report.failed.is_empty() {
        let sentence = "no day could be moved; nothing was removed from hot before it was in cold";
        return Err(CliError::new(sentence).and("run it again; `couponry doctor` looks at both"));
    }
    let sum = |of: fn(&PartitionReport) -> u64| report.partitions.iter().map(of).sum::<u64>();
    let (copied, bytes) = (sum(|it| it.copied), sum(|it| it.bytes));
    let each = if copied > 0 { bytes as f64 / copied as f64 } else { 0.0 };
    output::say(&format!(
        "{} coupons moved to cold, {} bytes ({each:.1} a coupon), in {seconds:.1} s; {} files \
         swept away",
        thousands(copied),
        thousands(bytes),
        thousands(report.swept.files),
    ))?;
    let is_all = report.failed.is_empty() && report.not_indexed.is_none();
    Ok(if is_all { Ended::Done } else { Ended::Partly })
}

fn table(partitions: &[PartitionReport]) -> String {
    let heads = ["DAY", "PASS", "COPIED", "BYTES", "REMOVED"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    rows.extend(partitions.iter().map(|partition| {
        let pass = match partition.pass {
            Pass::Finish => "finish",
            Pass::Closed => "closed",
            Pass::Expired => "expired",
        };
        vec![
            partition.day.to_string(),
            pass.to_owned(),
            thousands(partition.copied),
            thousands(partition.bytes),
            thousands(partition.removed),
        ]
    }));
    output::table(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right], &rows)
}
