//! One round: each pair is measured once, one side right after the other.

use std::time::Instant;

use loadtest::ready::ServerPreparation;
use loadtest::scenario::LoadScenario;
use loadtest::stock::UserOrder;

use crate::Failure;
use crate::bench::{Bench, wait_for_idle};
use crate::sides::{Peers, Side};
use crate::wallets::wallets;

/// Coupons of the file whose import is measured.
const IMPORTED: u64 = 100_000;

/// Measures every row that is wanted.
pub(crate) fn measure(
    bench: &mut Bench,
    ours: &mut Side,
    peers: &mut Peers,
    round: usize,
) -> Result<(), Failure> {
    redeems(bench, ours, &mut peers.counter)?;
    issues(bench, ours, peers)?;
    batches(bench, ours, &mut peers.counter)?;
    look_ups(bench, ours, &mut peers.constant)?;
    imports(bench, ours, &peers.counter, round)?;
    latency(bench, ours)?;
    if bench.wants("wallet of 10,000 / of 10") {
        let (large, small) = wallets(bench, ours, round)?;
        bench.note("wallet of 10,000 / of 10", 1.5, true, large, small);
    }
    ten_billion(bench, ours, round)
}

fn redeems(bench: &mut Bench, ours: &mut Side, counter: &mut Side) -> Result<(), Failure> {
    for (connections, goal) in [(64, 2.6), (256, 2.3)] {
        let row = format!("redeem / PostgreSQL, {connections} connections");
        if bench.wants(&row) {
            let ours = bench.run(ours, LoadScenario::Redeem, connections, None)?;
            let theirs = bench.run(counter, LoadScenario::Redeem, connections, None)?;
            bench.note(&row, goal, false, ours.per_second, theirs.per_second);
        }
    }
    Ok(())
}

fn issues(bench: &mut Bench, ours: &mut Side, peers: &mut Peers) -> Result<(), Failure> {
    let row = |peer: &Side| format!("issue / {}", peer.name);
    let rows = [
        (&mut peers.counter, 9.0),
        (&mut peers.pool, 4.0),
        (&mut peers.always, 0.9),
        (&mut peers.everysec, 0.8),
    ];
    if rows.iter().any(|(peer, _)| bench.wants(&row(peer))) {
        let ours = bench.run(ours, LoadScenario::IssueRush, 64, None)?;
        for (peer, goal) in rows {
            let row = row(peer);
            if bench.wants(&row) {
                let theirs = bench.run(peer, LoadScenario::IssueRush, 64, None)?;
                bench.note(&row, goal, false, ours.per_second, theirs.per_second);
            }
        }
    }
    let row = "issue / Redis, always, 256 connections";
    if bench.wants(row) {
        let ours = bench.run(ours, LoadScenario::IssueRush, 256, None)?;
        let theirs = bench.run(&mut peers.always, LoadScenario::IssueRush, 256, None)?;
        bench.note(row, 1.2, false, ours.per_second, theirs.per_second);
    }
    Ok(())
}

/// A thousand in one request; the peer does them in one statement.
fn batches(bench: &mut Bench, ours: &mut Side, counter: &mut Side) -> Result<(), Failure> {
    const BATCH: usize = 1_000;
    const CONNECTIONS: usize = 8;
    for (name, scenario) in [("redeems", LoadScenario::Redeem), ("issues", LoadScenario::IssueRush)]
    {
        let row = format!("{name}, 1,000 in a request / PostgreSQL, the same");
        if bench.wants(&row) {
            let ours = bench.run_batches(ours, scenario, CONNECTIONS, BATCH, None)?;
            let theirs = bench.run_batches(counter, scenario, CONNECTIONS, BATCH, None)?;
            bench.note(&row, 0.6, false, ours.per_second, theirs.per_second);
            let row = format!("{name} a second, 1,000 in a request");
            bench.note(&row, 60_000.0, false, ours.per_second, 1.0);
        }
    }
    Ok(())
}

fn look_ups(bench: &mut Bench, ours: &mut Side, constant: &mut Side) -> Result<(), Failure> {
    if bench.wants("look-up / constant route") {
        let ours = bench.run(ours, LoadScenario::LookUp, 64, None)?;
        let theirs = bench.run(constant, LoadScenario::LookUp, 64, None)?;
        bench.note("look-up / constant route", 0.5, false, ours.per_second, theirs.per_second);
    }
    Ok(())
}

fn imports(bench: &mut Bench, ours: &Side, counter: &Side, round: usize) -> Result<(), Failure> {
    if bench.wants("import / COPY") {
        let from = 10_000_000_000 + round as u64 * IMPORTED;
        let rate = |side: &Side| -> Result<f64, Failure> {
            wait_for_idle();
            let mut ready =
                ServerPreparation::new(side.target.clone(), &side.admin, UserOrder::Scattered);
            let imported = bench.runtime.block_on(ready.coupons(from, from + IMPORTED, |_| ()));
            Ok(imported?.per_second)
        };
        let (ours, theirs) = (rate(ours)?, rate(counter)?);
        bench.note("import / COPY", 0.6, false, ours, theirs);
    }
    Ok(())
}

fn latency(bench: &mut Bench, ours: &mut Side) -> Result<(), Failure> {
    let row = "redeem p99 at half of the highest rate, ms";
    if bench.wants(row) {
        let most = bench.run(ours, LoadScenario::Redeem, 64, None)?.per_second;
        let half = bench.run(ours, LoadScenario::Redeem, 64, Some(most / 2.0))?;
        bench.note(row, 4.0, true, half.latency.p99, 1.0);
    }
    Ok(())
}

fn ten_billion(bench: &mut Bench, ours: &Side, round: usize) -> Result<(), Failure> {
    if bench.wants("campaign of 10 billion, ms") {
        let begun = Instant::now();
        let name = format!("ten-billion-{round}");
        let mut ready =
            ServerPreparation::new(ours.target.clone(), &ours.admin, UserOrder::Scattered);
        bench.runtime.block_on(ready.campaign(&name, 10_000_000_000))?;
        let millis = begun.elapsed().as_secs_f64() * 1_000.0;
        bench.note("campaign of 10 billion, ms", 50.0, true, millis, 1.0);
    }
    Ok(())
}
