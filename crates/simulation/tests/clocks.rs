//! Clocks that are wrong: of one machine with a process and a node, of one node.

use std::sync::Arc;

use cql_session::{ConnectError, KeyspaceAddress};
use hot_conformance::kit::{MemoryArchive, keys};
use hot_cql::{CqlHot, CqlOptions};
use simulated_cluster::cluster::{NODES, NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession};
use simulated_cluster::trace::Trace;

const YEARS: i64 = 3 * 365 * 86_400_000;

/// Enough for each node to be the first that a process asks.
const SEEDS: u64 = 12;

struct ClockCase {
    name: &'static str,
    process: i64,
    nodes: [i64; NODES],
    may_write: bool,
}

async fn is_let_in(case: &ClockCase, seed: u64) -> bool {
    let (rng, trace) = (Rng::new(seed), Trace::new(false));
    let (schema, weather) = (KeyspaceSchema::couponry(), NetworkWeather::calm());
    let cluster = SimulatedCluster::new(schema, rng.fork("cluster"), trace.clone(), weather);
    for (node, ahead) in case.nodes.into_iter().enumerate() {
        cluster.set_clock(node, ahead);
    }
    let process = SimulatedProcess::new("process", case.process);
    let session = SimulatedSession::new(cluster, process, rng.fork("session"), trace);
    let address: KeyspaceAddress = "cql://simulated:9042/couponry".parse().expect("an address");
    let archive = Arc::new(MemoryArchive::default());
    match CqlHot::on(Arc::new(session), CqlOptions::of(&address), keys(), archive).await {
        Ok(_) => true,
        Err(ConnectError::Clock(_)) => false,
        Err(error) => panic!("{}: {error}", case.name),
    }
}

#[tokio::test(start_paused = true)]
async fn the_node_in_the_middle_counts() {
    let case = |name, process, nodes, may_write| ClockCase { name, process, nodes, may_write };
    let rows = [
        case("all are right", 0, [0, 900, -900], true),
        case("a machine with a node is years ahead", YEARS, [YEARS, 0, 0], false),
        case("a machine with a node is years behind", -YEARS, [0, -YEARS, 0], false),
        case("another machine's node is years ahead", 0, [0, 0, YEARS], true),
        case("two nodes are wrong in two ways", 0, [0, -YEARS, YEARS], true),
    ];
    for row in &rows {
        for seed in 0..SEEDS {
            assert_eq!(is_let_in(row, seed).await, row.may_write, "{}, seed {seed}", row.name);
        }
    }
}
