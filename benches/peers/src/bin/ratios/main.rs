//! couponry beside its peers: one table of ratios, each from runs side by side on one machine.
//!
//! `cargo run --release --package=peers --bin=ratios`, after
//! `cargo build --release --package=couponry --package=peers`. Each of five rounds measures every pair
//! once, one side right after the other and each on an idle machine, so that other work on the machine
//! slows both. The table has the median of the rounds' ratios, with the lowest and the highest.

mod bench;
mod rounds;
mod served;
mod sides;
mod table;
mod wallets;

use std::error::Error;

use bench::Bench;
use clap::Parser;
use served::Couponry;
use sides::{Peers, Side};

type Failure = Box<dyn Error>;

/// Measure couponry beside its peers and compare with the committed report
#[derive(Parser)]
struct Arguments {
    /// Rounds; each pair is measured once in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Coupons of each store at the start; a round redeems some 20,000 for each second of four
    /// measurements
    #[arg(long, default_value_t = 2_000_000)]
    coupons: u64,
    /// Only the rows whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Write the report to compare with
    #[arg(long)]
    write: bool,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let rounds = arguments.rounds;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bench = Bench::new(arguments, runtime);
    let folder = tempfile::tempdir()?;
    let couponry = Couponry::start(folder.path())?;
    bench.note("idle memory, MiB", 40.0, true, couponry.served.resident(), 1.0);
    let mut ours = Side::of_couponry(&bench, &couponry)?;
    let mut peers = Peers::start(bench.arguments.coupons)?;
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        rounds::measure(&mut bench, &mut ours, &mut peers, round)?;
    }
    bench.note("memory under load, MiB", 100.0, true, couponry.served.resident(), 1.0);
    drop(couponry);
    let again = Couponry::start(folder.path())?;
    let millis = again.started_in.as_secs_f64() * 1_000.0;
    bench.note("start until ready, ms", 1_000.0, true, millis, 1.0);
    drop(again);
    table::print(&bench)
}
