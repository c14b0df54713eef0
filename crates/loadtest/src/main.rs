//! `couponry-load`: puts load on any server with couponry's API, over HTTP.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use loadtest::limit::{self, LimitSearch};
use loadtest::plan::RunPlan;
use loadtest::plot;
use loadtest::ready::{CAMPAIGN, ServerPreparation};
use loadtest::report::LoadReport;
use loadtest::run::run;
use loadtest::scenario::{LoadScenario, RunGround};
use loadtest::schedule::RateSchedule;
use loadtest::stock::UserOrder;
use loadtest::wire::ServerAddress;

type LoadError = Box<dyn Error>;

/// Default stock of the campaign that is issued from: more than any run can issue, because the size
/// of a campaign costs nothing.
const STOCK_DEFAULT: u64 = 1_000_000_000;

/// Stock of the campaign whose coupons are redeemed, with `--minted`.
const MINTED_MAX: u64 = 1_000_000_000;

/// Put a load on a server with couponry's API, and measure it
///
/// Sends requests on a schedule, whatever the server does, and times each from the instant at
/// which it was due. Checks every answer: a coupon that is redeemed twice, or issued to two users,
/// fails the run.
///
/// Imports its own coupons into the campaign `load` first, issued to its own users. Use a server
/// that is not in production: the coupons that it redeems stay redeemed.
#[derive(Parser)]
#[command(
    name = "couponry-load",
    version,
    after_help = "\
Exit codes: 0 done, 1 failed (also by a wrong answer), 2 usage error.

Examples:
  TOKEN=$(couponry token --role admin)
  couponry-load redeem --token \"$TOKEN\" --coupons 200000 --rate 2000
  couponry-load issue-rush --token \"$TOKEN\" --stock 100000 --rate 5000 --plot rush.svg
  couponry-load look-up --token \"$TOKEN\" --find-limit 5 --plot limit.svg
  couponry-load import --token \"$TOKEN\" --coupons 1000000"
)]
struct LoadArguments {
    /// The kind of load
    scenario: LoadScenario,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "COUPONRY_URL")]
    url: ServerAddress,
    /// An admin's token: `couponry token --role admin`
    #[arg(
        long,
        value_name = "TOKEN",
        env = "COUPONRY_TOKEN",
        default_value = "",
        hide_env_values = true
    )]
    token: String,
    /// A shop's token for the load itself [default: the admin's token]
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    shop_token: Option<String>,
    /// Requests a second
    #[arg(long, value_name = "N", default_value_t = 1_000.0)]
    rate: f64,
    /// Send the next request of each connection after its answer, instead of at a rate
    #[arg(long, conflicts_with_all = ["rate", "find_limit"])]
    closed: bool,
    /// Search the highest rate, from --rate on, that keeps p99 below this many milliseconds
    #[arg(long, value_name = "MS")]
    find_limit: Option<f64>,
    /// Measure for this many seconds, in each step of --find-limit [default: 20; 5 for a step; 3600
    /// for soak]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Seconds before the measurement, which are not counted
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    warm_up: f64,
    /// Changes in one request, for redeem and issue-rush: more than 1 are sent to /v1/batch, and
    /// --rate counts these requests
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// Open connections
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Threads of the sender
    #[arg(long, value_name = "N", default_value_t = 1)]
    senders: usize,
    /// Wait for an answer for this many seconds
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    patience: f64,
    /// Coupons to make for the run, issued to users
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    coupons: u64,
    /// Number of the first coupon; an earlier run on the same server used up its coupons
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Issue the coupons of the run from the campaign instead of importing them, with minted codes
    #[arg(long)]
    minted: bool,
    /// Use coupons that are there already, from an earlier run or loaded in another way
    #[arg(long)]
    prepared: bool,
    /// How many of the prepared coupons earlier runs used up
    #[arg(long, value_name = "N", default_value_t = 0, requires = "prepared")]
    used: u64,
    /// Stock of the campaign to issue from; a small one to see it sold out
    #[arg(long, value_name = "N", default_value_t = STOCK_DEFAULT)]
    stock: u64,
    /// How the names of users follow each other
    #[arg(long, value_name = "ORDER", value_enum, default_value_t)]
    users: UserOrder,
    /// Accept every answer, for a server that is not couponry
    #[arg(long)]
    unchecked: bool,
    /// Write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the waiting times into this file, as SVG: over time, or against the rate for
    /// --find-limit
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = LoadArguments::parse();
    match done(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("couponry-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every answer was right.
fn done(arguments: &LoadArguments) -> Result<bool, LoadError> {
    if arguments.batch > 1 && !arguments.scenario.is_of_changes() {
        return Err("--batch is for redeem and issue-rush: their requests are changes".into());
    }
    let ground = made_ready(arguments)?;
    let Some(ground) = ground else { return Ok(true) };
    let plan = plan(arguments, ground);
    let caption = format!("{} connections", arguments.connections);
    let caption = match arguments.batch {
        1 => caption,
        batch => format!("{caption}, {batch} in a request"),
    };
    if let Some(bound) = arguments.find_limit {
        let limit = limit::find(&plan, arguments.rate, bound, |step| {
            let LoadReport { latency, per_second, .. } = &step.report;
            let verdict = if step.kept { "kept" } else { "missed" };
            println!(
                "{:>9.0} a second due, {per_second:>9.0} done, p50 {:.2} ms, p99 {:.2} ms: {verdict}",
                step.rate, latency.p50, latency.p99
            );
        })?;
        said(&limit);
        let picture = || plot::against_rate(&limit, &format!("latency against rate, {caption}"));
        written(arguments, &limit, picture)?;
        return Ok(limit.steps.iter().all(|step| step.report.wrong == 0));
    }
    let report = run(&plan)?;
    print!("{report}");
    let caption = match report.rate {
        Some(rate) => format!("{caption}, {rate:.0} requests a second"),
        None => format!("{caption}, closed loop"),
    };
    written(arguments, &report, || plot::over_time(&report, &caption))?;
    Ok(report.wrong == 0)
}

/// Makes the coupons and the campaign. After an import nothing else is to do.
fn made_ready(arguments: &LoadArguments) -> Result<Option<RunGround>, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (first, end) = (arguments.first, arguments.first + arguments.coupons.max(1));
    let campaign = format!("rush-{}", now_ms());
    let is_import = arguments.scenario == LoadScenario::Import;
    let needs_coupons = !matches!(arguments.scenario, LoadScenario::IssueRush);
    let issues = !matches!(arguments.scenario, LoadScenario::LookUp | LoadScenario::Redeem);
    let mut codes = None;
    let imported = runtime.block_on(async {
        let mut ready =
            ServerPreparation::new(arguments.url.clone(), &arguments.token, arguments.users);
        if issues && !is_import && !arguments.unchecked {
            ready.campaign(&campaign, arguments.stock).await?;
        }
        if !needs_coupons || arguments.prepared && !arguments.minted {
            return Ok(None);
        }
        ready.campaign(CAMPAIGN, MINTED_MAX).await?;
        if arguments.minted {
            codes = Some(Arc::new(ready.minted(first, end, arguments.connections as u64).await?));
            return Ok(None);
        }
        let told = |count: u64| {
            eprint!("\r{count} of {} coupons imported", end - first);
            let _unseen = std::io::stderr().flush();
        };
        let imported = ready.coupons(first, end, told).await?;
        eprintln!();
        Ok::<_, LoadError>(Some(imported))
    })?;
    if let Some(imported) = imported {
        println!(
            "{} coupons imported in {:.1} s: {:.0} lines a second",
            imported.lines, imported.seconds, imported.per_second
        );
        if is_import {
            let none = || Err::<String, _>("an import has no picture".into());
            written(arguments, &imported, none)?;
            return Ok(None);
        }
    }
    Ok(Some(RunGround {
        coupons: first..end,
        codes,
        turns: arguments.used.min(end - first)..end - first,
        campaign,
        stock: arguments.stock,
        users: arguments.users,
        first_user: 0,
        token: arguments.shop_token.clone().unwrap_or_else(|| arguments.token.clone()),
        checked: !arguments.unchecked,
    }))
}

fn plan(arguments: &LoadArguments, ground: RunGround) -> RunPlan {
    let default = match (arguments.scenario, arguments.find_limit) {
        (_, Some(_)) => 5.0,
        (LoadScenario::Soak, None) => 3_600.0,
        _ => 20.0,
    };
    let warm_up = Duration::from_secs_f64(arguments.warm_up.max(0.0));
    let seconds = arguments.seconds.unwrap_or(default).max(0.1);
    let time = warm_up + Duration::from_secs_f64(seconds);
    let schedule = match (arguments.closed, arguments.scenario) {
        (true, _) => None,
        (false, LoadScenario::Spike) => Some(RateSchedule::spike(arguments.rate, time)),
        (false, _) => Some(RateSchedule::steady(arguments.rate, time)),
    };
    let time = schedule.as_ref().map_or(time, RateSchedule::end);
    RunPlan {
        target: arguments.url.clone(),
        scenario: arguments.scenario,
        ground,
        batch: arguments.batch.into(),
        schedule,
        time,
        warm_up,
        connections: arguments.connections.max(1),
        senders: arguments.senders.max(1),
        patience: Duration::from_secs_f64(arguments.patience.max(0.1)),
    }
}

fn said(limit: &LimitSearch) {
    match limit.highest() {
        Some(rate) => {
            println!("{rate:.0} requests a second keep p99 below {} ms", limit.bound);
        }
        None => println!("no rate keeps p99 below {} ms", limit.bound),
    }
    for wrong in limit.steps.iter().flat_map(|step| &step.report.wrong_samples) {
        println!("FAILED: {wrong}");
    }
}

fn written(
    arguments: &LoadArguments,
    found: &impl serde::Serialize,
    picture: impl FnOnce() -> Result<String, LoadError>,
) -> Result<(), LoadError> {
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string_pretty(found)? + "\n"))?;
    }
    if let Some(path) = &arguments.plot {
        write(path, &picture()?)?;
    }
    Ok(())
}

/// Milliseconds since 1970, as a name that no earlier run used.
fn now_ms() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_millis()
}
