//! One measurement, and the list of all.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use loadtest::plan::RunPlan;
use loadtest::ready::ServerPreparation;
use loadtest::report::LoadReport;
use loadtest::run::run;
use loadtest::scenario::{LoadScenario, RunGround};
use loadtest::schedule::RateSchedule;
use loadtest::stock::UserOrder;

use crate::sides::Side;
use crate::{Arguments, Failure};

/// Stock of a first-come campaign: more than a measurement issues, and small enough that a peer
/// makes its pool of codes in a few seconds.
const STOCK: u64 = 300_000;

/// How many times as many are issued in batches, which no pool has to be made for.
const BATCH_STOCK: u64 = 10;

/// The measurements so far.
pub(crate) struct Bench {
    pub(crate) arguments: Arguments,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// For each row, what couponry and the peer did in each round.
    pub(crate) seen: BTreeMap<String, Vec<(f64, f64)>>,
    /// For each row, its goal, and whether it is the most.
    pub(crate) goals: BTreeMap<String, (f64, bool)>,
    serial: u64,
}

impl Bench {
    pub(crate) fn new(arguments: Arguments, runtime: tokio::runtime::Runtime) -> Bench {
        let (seen, goals) = (BTreeMap::new(), BTreeMap::new());
        Bench { arguments, runtime, seen, goals, serial: 0 }
    }

    pub(crate) fn wants(&self, row: &str) -> bool {
        self.arguments.only.as_ref().is_none_or(|only| row.contains(only.as_str()))
    }

    pub(crate) fn note(&mut self, row: &str, goal: f64, is_most: bool, ours: f64, peers: f64) {
        println!("{row}: {ours:.1} beside {peers:.1}, ratio {:.2}", ours / peers);
        self.goals.insert(row.to_owned(), (goal, is_most));
        self.seen.entry(row.to_owned()).or_default().push((ours, peers));
    }

    /// One measurement: a closed loop, or a rate.
    pub(crate) fn run(
        &mut self,
        side: &mut Side,
        scenario: LoadScenario,
        connections: usize,
        rate: Option<f64>,
    ) -> Result<LoadReport, Failure> {
        self.run_batches(side, scenario, connections, 1, rate)
    }

    /// The same with `batch` changes in a request.
    pub(crate) fn run_batches(
        &mut self,
        side: &mut Side,
        scenario: LoadScenario,
        connections: usize,
        batch: usize,
        rate: Option<f64>,
    ) -> Result<LoadReport, Failure> {
        wait_for_idle();
        let warm_up = Duration::from_secs(1);
        let time = warm_up + Duration::from_secs_f64(self.arguments.seconds);
        let stock = STOCK * if batch > 1 { BATCH_STOCK } else { 1 };
        let campaign = match scenario {
            LoadScenario::IssueRush => self.campaign(side, stock)?,
            _ => String::new(),
        };
        let report = run(&RunPlan {
            target: side.target.clone(),
            scenario,
            ground: RunGround {
                coupons: 0..self.arguments.coupons,
                codes: side.codes.clone(),
                turns: side.used..self.arguments.coupons,
                campaign,
                stock,
                users: UserOrder::Scattered,
                first_user: 0,
                token: side.shop.clone(),
                checked: side.name != "constant",
            },
            batch,
            schedule: rate.map(|rate| RateSchedule::steady(rate, time)),
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

    fn campaign(&mut self, side: &Side, stock: u64) -> Result<String, Failure> {
        self.serial += 1;
        let name = format!("rush-{}", self.serial);
        let mut ready =
            ServerPreparation::new(side.target.clone(), &side.admin, UserOrder::Scattered);
        self.runtime.block_on(ready.campaign(&name, stock))?;
        Ok(name)
    }
}

/// Waits until the machine is idle, at most a minute: the server of the last measurement may still
/// vacuum or rewrite its log, which would slow down the next one.
pub(crate) fn wait_for_idle() {
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
    println!("the machine stays busy: the next measurement is of a busy machine");
}

/// The ticks of all processors since the start of the machine: the idle ones, and all. A wait for a
/// disk is not idle.
fn processor_ticks() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    (ticks.get(3).copied().unwrap_or_default(), ticks.iter().sum())
}
