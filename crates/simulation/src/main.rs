//! Runs couponry on a simulated cluster, one seed after the other, and checks what it did.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Parser, ValueEnum};
use cql_session::CqlEngine;
use simulation::CONTROL;
use simulation::process::{SeedRun, end_in_time, run_all};
use simulation::report::{SeedVerdict, VerdictSum, missing};

/// Violations that are printed with their time lines; of the others only a line.
const SHOWN_MAX: u64 = 3;

/// Lines of such a time line; a replay prints all.
const LINES_MAX: usize = 200;

/// An engine, as the command line calls it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    Cassandra,
    Scylladb,
}

/// Runs couponry on a simulated cluster, network and object store. One seed decides everything.
/// Exits with 1 if a seed violated anything, or if what another flag asks for fails.
#[derive(Parser)]
#[command(name = "simulate", version)]
struct SimulateArguments {
    /// Runs this many seeds.
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// Begins with this seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Runs the nodes as this engine; by default even seeds as Cassandra, odd ones as ScyllaDB, and
    /// regressions as both.
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// Lets the callers of each seed ask this often.
    #[arg(long, value_name = "N", default_value_t = simulation::OPERATIONS)]
    operations: u64,
    /// Runs one seed again and prints its plan and its time line.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    replay: Option<u64>,
    /// Runs the seeds of this list, too: those that once showed a bug.
    #[arg(long, value_name = "FILE")]
    regressions: Option<PathBuf>,
    /// Fails if a state of this list was not reached.
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// Writes the states that were reached often enough to be reached by other seeds, too.
    #[arg(long, value_name = "FILE")]
    write_coverage: Option<PathBuf>,
    /// Runs each seed twice and fails if a line differs.
    #[arg(long)]
    twice: bool,
    /// Plants a bug, or `all` of them in turn, and fails if no seed finds it, or if one finds a
    /// control.
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Lists the bugs that can be planted.
    #[arg(long)]
    plants: bool,
    /// Runs only so many operations.
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Runs this seed in this process and prints its verdict as JSON.
    #[arg(long, value_name = "SEED", hide = true)]
    one: Option<u64>,
    /// With the time line in it.
    #[arg(long, hide = true)]
    lines: bool,
}

impl SimulateArguments {
    fn run(&self, seed: u64) -> SeedRun {
        let (operations, until, plant) = (self.operations, self.until, self.plant.clone());
        let engine = self.engine.map(|engine| match engine {
            EngineName::Cassandra => CqlEngine::Cassandra,
            EngineName::Scylladb => CqlEngine::Scylla,
        });
        SeedRun { seed, engine, operations, until, lines: false, plant }
    }

    /// A seed as the engine that is asked for, or as both.
    fn runs_of(&self, seed: u64) -> Vec<SeedRun> {
        match self.engine {
            Some(_) => vec![self.run(seed)],
            None => [CqlEngine::Cassandra, CqlEngine::Scylla]
                .map(|engine| SeedRun { engine: Some(engine), ..self.run(seed) })
                .into(),
        }
    }

    fn runs(&self) -> Vec<SeedRun> {
        (self.from..self.from + self.seeds).map(|seed| self.run(seed)).collect()
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = SimulateArguments::parse();
    let is_good = match &arguments {
        SimulateArguments { one: Some(seed), .. } => {
            end_in_time();
            let run = SeedRun { lines: arguments.lines, ..arguments.run(*seed) };
            println!("{}", simulation::run_one(&run).to_json());
            true
        }
        SimulateArguments { plants: true, .. } => {
            for (name, breaks) in simulation::plants() {
                println!("{name:<34} {breaks}");
            }
            true
        }
        SimulateArguments { replay: Some(seed), .. } => replay(&arguments.run(*seed))?,
        SimulateArguments { plant: Some(name), .. } => find_plants(&arguments, name)?,
        SimulateArguments { twice: true, .. } => run_twice(&arguments)?,
        _ => run_seeds(&arguments)?,
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay(run: &SeedRun) -> io::Result<bool> {
    let verdict = SeedRun { lines: true, ..run.clone() }.verdict()?;
    print!("{}", verdict.for_a_person(usize::MAX));
    let mut sum = VerdictSum::default();
    sum.add(&verdict);
    println!("{}", sum.line());
    Ok(verdict.violations.is_empty())
}

fn run_seeds(arguments: &SimulateArguments) -> Result<bool, Box<dyn Error>> {
    let (mut sum, mut shown) = (VerdictSum::default(), 0);
    let mut runs = arguments.runs();
    if let Some(file) = &arguments.regressions {
        let list = fs::read_to_string(file).map_err(|e| named(file, e))?;
        runs.extend(seeds_of(&list).flat_map(|seed| arguments.runs_of(seed)));
    }
    run_all(&runs, |run, verdict| {
        sum.add(&verdict);
        if !verdict.violations.is_empty() {
            shown += 1;
            show(run, &verdict, shown <= SHOWN_MAX);
        }
        if sum.seeds.is_multiple_of(100) {
            println!("{}", sum.line());
        }
        true
    })?;
    let lacks = check_coverage(arguments, &sum)?;
    println!("{}", sum.line());
    Ok(sum.violations == 0 && !lacks)
}

/// Each line of the list begins with a seed; lines that begin with anything else are comments.
fn seeds_of(list: &str) -> impl Iterator<Item = u64> {
    list.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

/// Whether a state of the list was not reached.
fn check_coverage(arguments: &SimulateArguments, sum: &VerdictSum) -> Result<bool, Box<dyn Error>> {
    println!("states reached: {}", sum.coverage.len());
    for (state, count) in sum.coverage.rarest().into_iter().take(10) {
        println!("  {count:>5}  {state}");
    }
    print!("orders of steps:\n{}", sum.coverage.orders());
    if let Some(file) = &arguments.write_coverage {
        fs::write(file, sum.coverage.to_list(arguments.seeds / 100)).map_err(|e| named(file, e))?;
    }
    let Some(file) = &arguments.coverage else { return Ok(false) };
    let list = fs::read_to_string(file).map_err(|e| named(file, e))?;
    let lacking = missing(&list, &sum.coverage);
    for state in &lacking {
        println!("NOT REACHED any more: {state}");
    }
    Ok(!lacking.is_empty())
}

fn named(file: &Path, error: io::Error) -> String {
    format!("{}: {error}", file.display())
}

fn show(run: &SeedRun, verdict: &SeedVerdict, whole: bool) {
    for violation in &verdict.violations {
        println!("seed {} on {}: VIOLATION {violation}", run.seed, run.engine().name());
    }
    println!("  to see it again: {}", run.replay());
    if whole && let Some((until, smallest)) = smallest(run) {
        println!("  the first {until} operations are enough: {} --until {until}", run.replay());
        print!("{}", smallest.for_a_person(LINES_MAX));
    }
}

/// The fewest first operations with which the seed still fails, by bisection: with fewer operations
/// the rest of a seed is the same, but a violation may come and go, so it is one of the smallest.
fn smallest(run: &SeedRun) -> Option<(u64, SeedVerdict)> {
    let (mut low, mut high) = (0, run.until.unwrap_or(run.operations));
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let shorter = SeedRun { until: Some(middle), lines: true, ..run.clone() };
        match shorter.verdict() {
            Ok(verdict) if !verdict.violations.is_empty() => {
                found = Some((middle, verdict));
                high = middle;
            }
            Ok(_) => low = middle + 1,
            Err(_) => break,
        }
    }
    found
}

fn run_twice(arguments: &SimulateArguments) -> io::Result<bool> {
    let mut differ = 0;
    let mut sum = VerdictSum::default();
    let with_lines = |run| SeedRun { lines: true, ..run };
    let runs: Vec<SeedRun> = arguments.runs().into_iter().map(with_lines).collect();
    run_all(&runs, |run, verdict| {
        sum.add(&verdict);
        let Ok(again) = run.verdict() else { return false };
        if again != verdict {
            differ += 1;
            println!("seed {} differs: {}", run.seed, first_difference(&verdict, &again));
        }
        true
    })?;
    println!("seeds {}, twice each, {differ} differ", sum.seeds);
    Ok(differ == 0)
}

fn first_difference(one: &SeedVerdict, other: &SeedVerdict) -> String {
    let at = one.lines.iter().zip(&other.lines).position(|(a, b)| a != b);
    match at {
        Some(at) => format!("line {at}: {:?} and {:?}", one.lines[at], other.lines[at]),
        None => format!("{} and {} lines", one.lines.len(), other.lines.len()),
    }
}

fn find_plants(arguments: &SimulateArguments, name: &str) -> Result<bool, Box<dyn Error>> {
    if simulation::plants().is_empty() {
        return Err("build with `--features simulation/plants` to plant bugs".into());
    }
    let is_named = |it: &&(&str, &str)| name == "all" || it.0 == name;
    let named: Vec<_> = simulation::plants().iter().filter(is_named).collect();
    if named.is_empty() {
        return Err(format!("no planted bug is called {name:?}: `--plants` lists them").into());
    }
    let (mut plants, mut found, mut controls, mut failed) = (0, 0, 0, 0);
    for (name, breaks) in named {
        let is_control = breaks.starts_with(CONTROL);
        let is_found = find_plant(arguments, name, is_control)?;
        plants += u32::from(!is_control);
        found += u32::from(!is_control && is_found);
        controls += u32::from(is_control);
        failed += u32::from(is_control && is_found);
    }
    println!("planted bugs {plants}, found {found}; controls {controls}, found {failed}");
    Ok(found == plants && failed == 0)
}

/// Whether a seed finds a plant. What must not be found is in capitals.
fn find_plant(arguments: &SimulateArguments, name: &str, is_control: bool) -> io::Result<bool> {
    let with_plant = |run| SeedRun { plant: Some(name.to_owned()), ..run };
    let runs: Vec<SeedRun> = arguments.runs().into_iter().map(with_plant).collect();
    let (mut tried, mut found) = (0, None);
    run_all(&runs, |run, verdict| {
        tried += 1;
        if let Some(first) = verdict.violations.into_iter().next() {
            found = Some((run.seed, first));
        }
        found.is_none()
    })?;
    let what = match (&found, is_control) {
        (Some((seed, first)), false) => format!("found by seed {seed}, the {tried}th: {first}"),
        (Some((seed, first)), true) => format!("A CONTROL WAS FOUND by seed {seed}: {first}"),
        (None, false) => format!("NOT FOUND by {tried} seeds"),
        (None, true) => format!("a control, not found by {tried} seeds"),
    };
    println!("{name}: {what}");
    Ok(found.is_some())
}
