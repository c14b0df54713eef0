//! `couponry verify`: reads both tiers and checks what must be true of them.

mod report;

use std::collections::BTreeSet;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use command_line::{CommandProgress, WorkKind};
use compactor::{CompactError, check_pairing};
use coupon::calendar::{Date, Zone};
use coupon::time::Day;
use engine::Engine;
use verify::{
    Finding, FindingKind, PlaceStatement, RepairMode, Verifier, VerifyError, VerifyOptions,
    VerifyReport,
};

use self::report::Printer;
use crate::failure::{CliError, Ended, Result};
use crate::keys::Keys;
use crate::open::{self, Purpose};
use crate::output;
use crate::settings::Settings;

/// Verify both tiers
///
/// Checks that every coupon exists once; that its state follows from its events; that every row and every file is where
/// it belongs; and that archived markers, claims, directory, index rows, the side table and the counts agree with the
/// coupons. Prints each finding: its name, the coupon, the two places that disagree, and what is safe to do. Counts
/// what a killed process may leave behind as a note.
///
/// Reads all of both tiers, and some of it several times: to compare two tables, and to look again
/// at what seems wrong before it reports it. Its memory does not grow with the number of coupons.
/// `serve` and `compact` may run at the same time.
///
/// --partition reads the coupons of one expiry day and nothing else, so that several machines can share a large store.
/// Everything else is read by a run without it: the directory, claims, index rows, counts and serials.
///
/// --repair sets right what follows from the coupons: index rows, and with SQLite the counts,
/// unless they are higher than the number of coupons, since a lost coupon may be the cause. It
/// never changes a coupon, an event, a claim or a file.
#[derive(Args)]
#[command(after_help = help_ending!("0 nothing found, 1 could not finish, 2 usage error, 3 something was found",
    "couponry verify",
    "couponry verify --format jsonl > findings.jsonl",
    "couponry verify --jobs 4",
    "couponry verify --partition 2031-12-30 --partition 2031-12-31",
    "couponry verify --repair"))]
pub(crate) struct VerifyArgs {
    /// Format of the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write missing index rows, remove index rows of no coupon, and correct counts
    #[arg(long)]
    repair: bool,
    /// With --repair: also correct counts that are higher than the number of coupons. Do so only
    /// after a backup has shown that no coupon is lost
    #[arg(long, requires = "repair")]
    lower_counts: bool,
    /// Only the coupons of this expiry day (UTC); may be given more than once
    #[arg(long = "partition", value_name = "DAY", value_parser = day, conflicts_with = "lower_counts")]
    partitions: Vec<Day>,
    /// Expiry days that are read at the same time. Each takes a thread, and memory for a chunk of rows
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=JOBS_MAX))]
    jobs: usize,
}

const JOBS_MAX: u64 = 64;

fn day(text: &str) -> Result<Day, String> {
    let date = text.parse::<Date>().map_err(|why| why.to_string())?;
    Ok(Day::expiry_day_of(date.end(&Zone::utc())))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object a line, the summary last
    Jsonl,
}

pub(crate) async fn run(settings: &Settings, args: &VerifyArgs) -> Result<Ended> {
    let purpose = if args.repair { Purpose::Write } else { Purpose::Read };
    open::with(settings, purpose, async |opened| {
        verified(opened.engine(), &opened.keys, args).await
    })
    .await
}

async fn verified(engine: &Engine, keys: &Keys, args: &VerifyArgs) -> Result<Ended> {
    let begun = Instant::now();
    let mut printer = Printer::new(args.format);
    let repair = if args.repair { RepairMode::Derived } else { RepairMode::Nothing };
    let (lower_counts, jobs) = (args.lower_counts, args.jobs);
    let days: BTreeSet<Day> = args.partitions.iter().copied().collect();
    let partitions = (!days.is_empty()).then(|| days.clone());
    let options =
        VerifyOptions { repair, lower_counts, partitions, jobs, ..VerifyOptions::default() };
    let report = checked(engine, keys, options, |finding| printer.finding(finding)).await?;
    printer.end(&report, &days, begun.elapsed())?;
    Ok(if report.found() == 0 { Ended::Done } else { Ended::Partly })
}

/// Verifies both tiers, if they belong together, and reports each finding to `tell`. `doctor` does the same.
pub(crate) async fn checked(
    engine: &Engine,
    keys: &Keys,
    options: VerifyOptions,
    mut tell: impl FnMut(&Finding) + Send,
) -> Result<VerifyReport> {
    match check_pairing(engine.hot(), engine.cold()).await {
        // The verifier itself says more about a cold tier that cannot be read.
        Ok(()) | Err(CompactError::Cold(cold::ColdError::Damaged { .. })) => {}
        Err(CompactError::StoreMismatch(mismatch)) => {
            tell(&apart(&mismatch.to_string()));
            let mut report = VerifyReport::default();
            report.findings.insert(FindingKind::StoresApart, 1);
            return Ok(report);
        }
        Err(error) => return Err(CliError::of(error)),
    }
    let codes = keys.ring().current();
    let progress = CommandProgress::new(WorkKind::Verify, None, output::is_terminal());
    let verifier = Verifier::new(
        engine.hot(),
        engine.cold(),
        &codes,
        engine.now(),
        options,
        Box::new(tell),
        Box::new(|now: verify::VerifyProgress| {
            progress.set(now.findings, now.looked_at);
            progress.now(now.step.as_str());
        }),
    );
    progress.during(verifier.run()).await.map_err(cli_error)
}

fn apart(mismatch: &str) -> Finding {
    Finding {
        kind: FindingKind::StoresApart,
        about: "both tiers".to_owned(),
        one: PlaceStatement::new("hot and cold", mismatch),
        other: PlaceStatement::new("nothing else", "was looked at"),
    }
}

fn cli_error(error: VerifyError) -> CliError {
    match error {
        VerifyError::Hot(error) => error.into(),
        VerifyError::Cold(error) => CliError::of(error).and("run it again"),
    }
}
