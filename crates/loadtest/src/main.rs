//! `couponry-load`: puts load on any server with couponry's API, over HTTP.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use loadtest::limit::{self, Limit};
use loadtest::plot;
use loadtest::ready::{CAMPAIGN, Ready};
use loadtest::report::Report;
use loadtest::run::{Plan, run};
use loadtest::scenario::{Ground, Scenario};
use loadtest::schedule::Schedule;
use loadtest::wire::ServerAddress;

type Failure = Box<dyn Error>;

/// Stock of the campaign that is issued from, where nothing else is asked for: more than any run
/// can take, since a campaign costs nothing by its size.
const STOCK_DEFAULT: u64 = 1_000_000_000;

/// Stock of the campaign whose coupons are redeemed, where they are issued from it.
const MINTED_MAX: u64 = 1_000_000_000;

/// Put a load on a server with couponry's API, and measure it
///
/// Requests are sent on a schedule, whatever the server does, and each is timed from the moment
/// at which it was due. Every answer is checked: a coupon that is redeemed twice, or given to two
/// users, fails the run.
///
/// It imports coupons of its own into the campaign `load` first, issued to users of its own. Use
/// a server that is not in production: what it redeems stays redeemed.
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
struct Arguments {
    /// What is asked of it
    scenario: Scenario,
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
    /// A shop's token, for the load itself; the admin's where it is left out
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    shop_token: Option<String>,
    /// Requests a second
    #[arg(long, value_name = "N", default_value_t = 1_000.0)]
    rate: f64,
    /// Each connection asks again as soon as it was answered, instead of a rate
    #[arg(long, conflicts_with_all = ["rate", "find_limit"])]
    closed: bool,
    /// Search the highest rate, from --rate on, at which p99 stays below so many milliseconds
    #[arg(long, value_name = "MS")]
    find_limit: Option<f64>,
    /// How long it is measured, in seconds; for each step of --find-limit. [default: 20; 5 for a
    /// step; 3600 for soak]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Seconds before that are not counted
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    warm_up: f64,
    /// Connections that are kept open
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Threads of the sender
    #[arg(long, value_name = "N", default_value_t = 1)]
    senders: usize,
    /// How long an answer is waited for, in seconds
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    patience: f64,
    /// Coupons that are made for the run, issued to users
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    coupons: u64,
    /// Number of the first of them; those of an earlier run on the same server are used up
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Issue the coupons of the run from the campaign instead of importing them: codes of the
    /// server's own
    #[arg(long)]
    minted: bool,
    /// The coupons are there already: from an earlier run, or loaded in another way
    #[arg(long)]
    prepared: bool,
    /// Of those prepared, so many were used by earlier runs
    #[arg(long, value_name = "N", default_value_t = 0, requires = "prepared")]
    used: u64,
    /// Stock of the campaign that is issued from; smaller to see it sold out
    #[arg(long, value_name = "N", default_value_t = STOCK_DEFAULT)]
    stock: u64,
    /// Take any answer for right: for a server that is no coupon store
    #[arg(long)]
    unchecked: bool,
    /// Write what was found to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw it into this file, as SVG: over time, or against the rate for --find-limit
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
fn done(arguments: &Arguments) -> Result<bool, Failure> {
    let ground = made_ready(arguments)?;
    let Some(ground) = ground else { return Ok(true) };
    let plan = plan(arguments, ground);
    let caption = format!("{} connections", arguments.connections);
    if let Some(bound) = arguments.find_limit {
        let limit = limit::find(&plan, arguments.rate, bound, |step| {
            let Report { latency, per_second, .. } = &step.report;
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

/// Makes the coupons and the campaign; nothing is left to do after an import.
fn made_ready(arguments: &Arguments) -> Result<Option<Ground>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (first, end) = (arguments.first, arguments.first + arguments.coupons.max(1));
    let campaign = format!("rush-{}", now_ms());
    let is_import = arguments.scenario == Scenario::Import;
    let needs_coupons = !matches!(arguments.scenario, Scenario::IssueRush);
    let issues = !matches!(arguments.scenario, Scenario::LookUp | Scenario::Redeem);
    let mut codes = None;
    let imported = runtime.block_on(async {
        let mut ready = Ready::new(arguments.url.clone(), &arguments.token);
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
        Ok::<_, Failure>(Some(imported))
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
    Ok(Some(Ground {
        coupons: first..end,
        codes,
        turns: arguments.used.min(end - first)..end - first,
        campaign,
        stock: arguments.stock,
        first_user: 0,
        token: arguments.shop_token.clone().unwrap_or_else(|| arguments.token.clone()),
        checked: !arguments.unchecked,
    }))
}

fn plan(arguments: &Arguments, ground: Ground) -> Plan {
    let default = match (arguments.scenario, arguments.find_limit) {
        (_, Some(_)) => 5.0,
        (Scenario::Soak, None) => 3_600.0,
        _ => 20.0,
    };
    let warm_up = Duration::from_secs_f64(arguments.warm_up.max(0.0));
    let seconds = arguments.seconds.unwrap_or(default).max(0.1);
    let time = warm_up + Duration::from_secs_f64(seconds);
    let schedule = match (arguments.closed, arguments.scenario) {
        (true, _) => None,
        (false, Scenario::Spike) => Some(Schedule::spike(arguments.rate, time)),
        (false, _) => Some(Schedule::steady(arguments.rate, time)),
    };
    let time = schedule.as_ref().map_or(time, Schedule::end);
    Plan {
        target: arguments.url.clone(),
        scenario: arguments.scenario,
        ground,
        schedule,
        time,
        warm_up,
        connections: arguments.connections.max(1),
        senders: arguments.senders.max(1),
        patience: Duration::from_secs_f64(arguments.patience.max(0.1)),
    }
}

fn said(limit: &Limit) {
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
    arguments: &Arguments,
    found: &impl serde::Serialize,
    picture: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
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

/// Milliseconds since 1970: a name that no earlier run has used.
fn now_ms() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_millis()
}
