//! couponry beside its peers: one table of ratios, each from runs side by side on one machine.
//!
//! `cargo run --release --package=peers --bin=ratios`, after
//! `cargo build --release --package=couponry --package=peers`. Five rounds; in each every pair is
//! measured once, one after the other, each when the one before has come to rest, so that what the
//! machine does besides meets both. What is kept is the median of the rounds' ratios, with the
//! lowest and the highest.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use loadtest::ready::{CAMPAIGN, Ready};
use loadtest::report::Report;
use loadtest::run::{Plan, run};
use loadtest::scenario::{Ground, Scenario};
use loadtest::schedule::Schedule;
use loadtest::stock;
use loadtest::wire::{self, Connection, ServerAddress};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn Error>;

/// Where the committed figures lie, from the root of the repository.
const REPORT: &str = "benches/report.json";

/// A ratio has moved when it is farther from the committed one than this, and outside of what the
/// rounds of either run have seen.
const MOVED: f64 = 0.1;

/// How long an engine may take to start, with its coupons.
const START_MAX: Duration = Duration::from_secs(900);

/// Coupons of the file whose import is measured.
const IMPORTED: u64 = 100_000;

/// Measure couponry beside its peers and compare with the committed report
#[derive(Parser)]
struct Arguments {
    /// Rounds; each pair is measured once in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Coupons that each store begins with; a round redeems some 20,000 for each second of four
    /// measurements
    #[arg(long, default_value_t = 2_000_000)]
    coupons: u64,
    /// Only the rows whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Keep what was found as the report to compare with
    #[arg(long)]
    write: bool,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    /// At least or at most so much.
    goal: f64,
    is_most: bool,
    median: f64,
    lowest: f64,
    highest: f64,
    /// Medians of both sides, in the unit of the row: for this machine only.
    ours: f64,
    peers: f64,
}

/// A process that serves HTTP; it ends with this value.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(command: &mut Command) -> Result<Served, Failure> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once the address is known; reading on keeps the pipe open.
                let _ = tell.send(line);
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            let line = told.recv_timeout(START_MAX)?;
            if let Some((_, address)) = line.split_once("http://") {
                let address = address.split_whitespace().next().unwrap_or_default();
                return Ok(Served { child, url: format!("http://{address}") });
            }
        }
        Err("it says no address".into())
    }

    fn target(&self) -> Result<ServerAddress, Failure> {
        Ok(self.url.parse()?)
    }

    /// Memory that is resident, in MiB.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A couponry of its own, in a folder.
struct Couponry {
    served: Served,
    /// How long it took until it said where it listens.
    started_in: Duration,
    admin: String,
    shop: String,
}

impl Couponry {
    fn start(folder: &Path) -> Result<Couponry, Failure> {
        let begun = Instant::now();
        let served = Served::start(couponry(folder).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--compact-every",
            "0",
        ]))?;
        let started_in = begun.elapsed();
        let token = |arguments: &[&str]| -> Result<String, Failure> {
            let output = couponry(folder).arg("token").args(arguments).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        let admin = token(&["--role", "admin"])?;
        let shop = token(&["--role", "shop", "--user", "shop"])?;
        Ok(Couponry { served, started_in, admin, shop })
    }
}

fn couponry(folder: &Path) -> Command {
    let mut command = Command::new(beside("couponry"));
    command.env("COUPONRY_DATA", folder);
    command
}

fn peer(arguments: &[&str]) -> Result<Served, Failure> {
    Served::start(Command::new(beside("peer")).args(arguments))
}

/// A binary that was built beside this one.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}

/// A server with coupons, and how many of them were used.
struct Side {
    name: &'static str,
    target: ServerAddress,
    admin: String,
    shop: String,
    used: u64,
    /// Of coupons that were minted.
    codes: Option<Arc<Vec<Box<str>>>>,
}

impl Side {
    fn of_peer(name: &'static str, served: &Served) -> Result<Side, Failure> {
        let (admin, shop) = (String::new(), String::new());
        Ok(Side { name, target: served.target()?, admin, shop, used: 0, codes: None })
    }
}

struct Bench {
    arguments: Arguments,
    runtime: tokio::runtime::Runtime,
    /// By the name of the row: ratios, ours, theirs.
    seen: BTreeMap<String, Vec<(f64, f64)>>,
    goals: BTreeMap<String, (f64, bool)>,
    serial: u64,
}

impl Bench {
    fn wants(&self, row: &str) -> bool {
        self.arguments.only.as_ref().is_none_or(|only| row.contains(only.as_str()))
    }

    fn note(&mut self, row: &str, goal: f64, is_most: bool, ours: f64, peers: f64) {
        println!("{row}: {ours:.1} beside {peers:.1}, ratio {:.2}", ours / peers);
        self.goals.insert(row.to_owned(), (goal, is_most));
        self.seen.entry(row.to_owned()).or_default().push((ours, peers));
    }

    /// One measurement: a closed loop, or a rate.
    fn run(
        &mut self,
        side: &mut Side,
        scenario: Scenario,
        connections: usize,
        rate: Option<f64>,
    ) -> Result<Report, Failure> {
        wait_for_idle();
        let warm_up = Duration::from_secs(1);
        let time = warm_up + Duration::from_secs_f64(self.arguments.seconds);
        let campaign = match scenario {
            Scenario::IssueRush => self.campaign(side)?,
            _ => String::new(),
        };
        let report = run(&Plan {
            target: side.target.clone(),
            scenario,
            ground: Ground {
                coupons: 0..self.arguments.coupons,
                codes: side.codes.clone(),
                turns: side.used..self.arguments.coupons,
                campaign,
                stock: STOCK,
                first_user: 0,
                token: side.shop.clone(),
                checked: side.name != "constant",
            },
            schedule: rate.map(|rate| Schedule::steady(rate, time)),
            time,
            warm_up,
            connections,
            senders: 1,
            patience: Duration::from_secs(30),
        })?;
        if report.wrong > 0 || report.ran_out {
            return Err(format!("{}: {report}", side.name).into());
        }
        if report.failed() > 0 || report.sender.was_the_bottleneck {
            println!("{}: {report}", side.name);
        }
        side.used += report.used.coupons;
        Ok(report)
    }

    fn campaign(&mut self, side: &Side) -> Result<String, Failure> {
        self.serial += 1;
        let name = format!("rush-{}", self.serial);
        let mut ready = Ready::new(side.target.clone(), &side.admin);
        self.runtime.block_on(ready.campaign(&name, STOCK))?;
        Ok(name)
    }

    /// Medians of the rounds, and what has moved since the report was committed.
    fn table(&self) -> BTreeMap<String, Row> {
        let rows = self.seen.iter().map(|(name, pairs)| {
            let ratios: Vec<f64> = pairs.iter().map(|(ours, peers)| ours / peers).collect();
            let (goal, is_most) = self.goals[name];
            let row = Row {
                goal,
                is_most,
                median: median(&ratios),
                lowest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
                highest: ratios.iter().copied().fold(0.0, f64::max),
                ours: median(&pairs.iter().map(|(ours, _)| *ours).collect::<Vec<_>>()),
                peers: median(&pairs.iter().map(|(_, peers)| *peers).collect::<Vec<_>>()),
            };
            (name.clone(), row)
        });
        rows.collect()
    }
}

/// Of a first-come campaign: more than a measurement takes, and a pool of so many codes is made in
/// a few seconds.
const STOCK: u64 = 300_000;

/// Waits until the machine has nothing else to do, but a minute at most: a server that was measured
/// a moment ago may still vacuum, or rewrite its log, and would take from the next one.
fn wait_for_idle() {
    const LOOK: Duration = Duration::from_millis(500);
    const IDLE_SHARE: f64 = 0.9;
    let begun = Instant::now();
    let mut before = processor_ticks();
    while begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(LOOK);
        let now = processor_ticks();
        let (idle, all) = (now.0 - before.0, now.1 - before.1);
        if idle / all.max(1.0) >= IDLE_SHARE {
            return;
        }
        before = now;
    }
    println!("the machine does not come to rest: what follows is of a busy one");
}

/// Of all processors since the machine was started: idle, and all. Waiting for a disk is not idle.
fn processor_ticks() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    (ticks.get(3).copied().unwrap_or_default(), ticks.iter().sum())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let rounds = arguments.rounds;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (seen, goals) = (BTreeMap::new(), BTreeMap::new());
    let mut bench = Bench { arguments, runtime, seen, goals, serial: 0 };
    let folder = tempfile::tempdir()?;
    let ours = Couponry::start(folder.path())?;
    bench.note("idle memory, MiB", 40.0, true, ours.served.resident(), 1.0);
    let mut side = Side {
        name: "couponry",
        target: ours.served.target()?,
        admin: ours.admin.clone(),
        shop: ours.shop.clone(),
        used: 0,
        codes: None,
    };
    println!("loading {} coupons on each side", bench.arguments.coupons);
    let mut ready = Ready::new(side.target.clone(), &side.admin);
    let coupons = bench.arguments.coupons;
    let codes = bench.runtime.block_on(async {
        ready.campaign(CAMPAIGN, 2 * coupons).await?;
        ready.minted(0, coupons, 64).await
    })?;
    side.codes = Some(Arc::new(codes));
    let coupons = coupons.to_string();
    let counter = peer(&["postgres", "--issue", "counter", "--coupons", &coupons])?;
    let pool = peer(&["postgres", "--issue", "pool"])?;
    let always = peer(&["redis", "--fsync", "always"])?;
    let everysec = peer(&["redis", "--fsync", "everysec"])?;
    let constant = peer(&["constant"])?;
    let mut counter = Side::of_peer("PostgreSQL, counter row", &counter).map(|it| (it, counter))?;
    let mut pool = Side::of_peer("PostgreSQL, SKIP LOCKED", &pool).map(|it| (it, pool))?;
    let mut always = Side::of_peer("Redis, always", &always).map(|it| (it, always))?;
    let mut everysec = Side::of_peer("Redis, everysec", &everysec).map(|it| (it, everysec))?;
    let mut constant = Side::of_peer("constant", &constant).map(|it| (it, constant))?;
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for connections in [64, 256] {
            let row = format!("redeem / PostgreSQL, {connections} connections");
            if bench.wants(&row) {
                let ours = bench.run(&mut side, Scenario::Redeem, connections, None)?;
                let theirs = bench.run(&mut counter.0, Scenario::Redeem, connections, None)?;
                bench.note(&row, 3.0, false, ours.per_second, theirs.per_second);
            }
        }
        let rush = "issue / ";
        let peers = [
            (&mut counter.0, 20.0),
            (&mut pool.0, 5.0),
            (&mut always.0, 1.0),
            (&mut everysec.0, 0.7),
        ];
        if peers.iter().any(|(peer, _)| bench.wants(&format!("{rush}{}", peer.name))) {
            let ours = bench.run(&mut side, Scenario::IssueRush, 64, None)?;
            for (peer, goal) in peers {
                let row = format!("{rush}{}", peer.name);
                if bench.wants(&row) {
                    let theirs = bench.run(peer, Scenario::IssueRush, 64, None)?;
                    bench.note(&row, goal, false, ours.per_second, theirs.per_second);
                }
            }
        }
        if bench.wants("look-up / constant route") {
            let ours = bench.run(&mut side, Scenario::LookUp, 64, None)?;
            let theirs = bench.run(&mut constant.0, Scenario::LookUp, 64, None)?;
            bench.note("look-up / constant route", 0.6, false, ours.per_second, theirs.per_second);
        }
        if bench.wants("import / COPY") {
            let from = 10_000_000_000 + round as u64 * IMPORTED;
            let rate = |side: &Side| -> Result<f64, Failure> {
                wait_for_idle();
                let mut ready = Ready::new(side.target.clone(), &side.admin);
                let imported = bench.runtime.block_on(ready.coupons(from, from + IMPORTED, |_| ()));
                Ok(imported?.per_second)
            };
            let (ours, theirs) = (rate(&side)?, rate(&counter.0)?);
            bench.note("import / COPY", 1.0, false, ours, theirs);
        }
        if bench.wants("redeem p99 at half of the highest rate, ms") {
            let most = bench.run(&mut side, Scenario::Redeem, 64, None)?.per_second;
            let half = bench.run(&mut side, Scenario::Redeem, 64, Some(most / 2.0))?;
            let row = "redeem p99 at half of the highest rate, ms";
            bench.note(row, 5.0, true, half.latency.p99, 1.0);
        }
        if bench.wants("wallet of 10,000 / of 10") {
            let (large, small) = wallets(&bench, &side, round)?;
            bench.note("wallet of 10,000 / of 10", 1.5, true, large, small);
        }
        if bench.wants("campaign of 10 billion, ms") {
            let begun = Instant::now();
            let name = format!("ten-billion-{round}");
            let mut ready = Ready::new(side.target.clone(), &side.admin);
            bench.runtime.block_on(ready.campaign(&name, 10_000_000_000))?;
            let millis = begun.elapsed().as_secs_f64() * 1_000.0;
            bench.note("campaign of 10 billion, ms", 50.0, true, millis, 1.0);
        }
    }
    bench.note("memory under load, MiB", 400.0, true, ours.served.resident(), 1.0);
    drop(ours);
    let again = Couponry::start(folder.path())?;
    let millis = again.started_in.as_secs_f64() * 1_000.0;
    bench.note("start until ready, ms", 1_000.0, true, millis, 1.0);
    drop(again);
    told(&bench)
}

/// Times of the first page of a large and of a small wallet, in milliseconds.
fn wallets(bench: &Bench, side: &Side, round: usize) -> Result<(f64, f64), Failure> {
    const ASKED: usize = 300;
    let lines = |user: &str, count: u64, from: u64| -> String {
        let numbers = from..from + count;
        numbers.map(|number| format!("{},issued,{user}\n", stock::code(number))).collect()
    };
    if round == 0 {
        let from = 20_000_000_000;
        let text = format!(
            "{}{}{}",
            stock::HEADER,
            lines("wallet-large", 10_000, from),
            lines("wallet-small", 10, from + 10_000)
        );
        let mut request = Vec::new();
        let line = format_args!("POST /v1/campaigns/load/batches?batch_id=wallets");
        wire::head(&mut request, &side.target, &side.admin, line, Some(("text/csv", text.len())));
        request.extend_from_slice(text.as_bytes());
        bench.runtime.block_on(async {
            let mut connection = Connection::new(side.target.clone().into());
            let status = connection.ask(&request).await?.status;
            let good = (200..300).contains(&status);
            good.then_some(()).ok_or_else(|| Failure::from(format!("wallets: {status}")))
        })?;
    }
    let time = |user: &str| -> Result<f64, Failure> {
        let mut request = Vec::new();
        let line = format_args!("GET /v1/coupons?user_id={user}&limit=10");
        wire::head(&mut request, &side.target, &side.shop, line, None);
        let mut times = Vec::new();
        bench.runtime.block_on(async {
            let mut connection = Connection::new(side.target.clone().into());
            for _ in 0..ASKED {
                let begun = Instant::now();
                let status = connection.ask(&request).await?.status;
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
                if status != 200 {
                    return Err(Failure::from(format!("a wallet: {status}")));
                }
            }
            Ok(())
        })?;
        Ok(median(&times))
    };
    Ok((time("wallet-large")?, time("wallet-small")?))
}

/// The table, and what has moved since the committed one.
fn told(bench: &Bench) -> Result<(), Failure> {
    let table = bench.table();
    let committed: BTreeMap<String, Row> = match fs::read_to_string(REPORT) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => BTreeMap::new(),
    };
    println!();
    println!("| what | goal | ratio | rounds | ours | peer | committed |");
    println!("|---|---|---|---|---|---|---|");
    for (name, row) in &table {
        let (sign, met) = match row.is_most {
            true => ("≤", row.median <= row.goal),
            false => ("≥", row.median >= row.goal),
        };
        let verdict = if met { "" } else { " MISSED" };
        let before = committed.get(name).map_or_else(String::new, |before| {
            let is_far = (row.median / before.median - 1.0).abs() > MOVED;
            let apart = row.highest < before.lowest || row.lowest > before.highest;
            let moved = if is_far && apart { " MOVED" } else { "" };
            format!("{:.2}{moved}", before.median)
        });
        println!(
            "| {name} | {sign} {} | {:.2}{verdict} | {:.2} to {:.2} | {:.1} | {:.1} | {before} |",
            row.goal, row.median, row.lowest, row.highest, row.ours, row.peers
        );
    }
    if bench.arguments.write {
        let mut all = committed;
        all.extend(table);
        fs::write(REPORT, serde_json::to_string_pretty(&all)? + "\n")?;
        println!("kept in {REPORT}");
    }
    Ok(())
}
