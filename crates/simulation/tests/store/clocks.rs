//! Clocks that are wrong: of one machine with a process and a node, of one node, of all machines.

use std::sync::Arc;
use std::time::Duration;

use crate::simulated::ClusterFixture;
use coupon::code::Code;

use cql_session::ConnectError;
use hot::HotStore;
use hot::feed::{FeedEvent, FeedPage, FeedRead, FeedStart, Happened};
use hot_conformance::kit::{Kit, MemoryArchive, keys};
use hot_cql::CqlHot;
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession};
use simulated_cluster::trace::Trace;
use tokio::time::sleep;

const YEARS: i64 = 3 * 365 * 86_400_000;

/// Enough for each node to be the first that a process asks.
const SEEDS: u64 = 12;

struct ClockCase {
    name: &'static str,
    process: i64,
    nodes: [i64; 3],
    may_write: bool,
}

/// A process and the three nodes.
struct MachineSet {
    cluster: SimulatedCluster,
    process: SimulatedProcess,
    rng: Rng,
    archive: Arc<MemoryArchive>,
}

impl MachineSet {
    fn new(seed: u64) -> MachineSet {
        let (rng, trace) = (Rng::new(seed), Trace::new(false));
        let (schema, weather) = (KeyspaceSchema::couponry(), NetworkWeather::calm());
        let cluster = SimulatedCluster::new(schema, rng.fork("cluster"), trace, weather);
        let process = SimulatedProcess::new("process", 0);
        MachineSet { cluster, process, rng, archive: Arc::new(MemoryArchive::default()) }
    }

    fn set_clocks(&self, process: i64, nodes: [i64; 3]) {
        self.process.set_clock(process);
        nodes.into_iter().enumerate().for_each(|(node, ahead)| self.cluster.set_clock(node, ahead));
    }

    async fn open(&self) -> Result<CqlHot, ConnectError> {
        let (process, rng) = (self.process.clone(), self.rng.fork("session"));
        let session = SimulatedSession::new(self.cluster.clone(), process, rng, Trace::new(false));
        let options = ClusterFixture::options();
        CqlHot::on(Arc::new(session), options, keys(), self.archive.clone()).await
    }
}

async fn is_let_in(case: &ClockCase, seed: u64) -> bool {
    let machines = MachineSet::new(seed);
    machines.set_clocks(case.process, case.nodes);
    match machines.open().await {
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

/// The node goes on to answer, and rows that it wrote or read would end by its clock.
#[tokio::test(start_paused = true)]
async fn a_node_with_a_wrong_clock_loses_no_event() {
    for (name, ahead) in [("years ahead", YEARS), ("years behind", -YEARS)] {
        for seed in 0..SEEDS {
            let machines = MachineSet::new(seed);
            machines.set_clocks(0, [0, 0, ahead]);
            let hot = Arc::new(machines.open().await.expect("two nodes of three are right"));
            let kit = Kit::numbered(hot.clone(), machines.archive.clone(), seed);
            let campaign = kit.draft();
            kit.stocked(&campaign, 3).await;
            for number in 0..3 {
                kit.issued(&campaign, &kit.user("user"), &format!("{number}")).await;
            }
            sleep(Duration::from_secs(10)).await;
            let told = page(&hot, FeedStart::Oldest).await;
            let told = told.events.iter().filter_map(coupon_of).count();
            assert_eq!(told, 3, "{name}, seed {seed}");
        }
    }
}

async fn page(hot: &CqlHot, from: FeedStart) -> FeedPage {
    match hot.feed().expect("a cluster has one").events(from, 100).await {
        Ok(FeedRead::Page(page)) => page,
        other => panic!("the cursor is of this store: {other:?}"),
    }
}

/// Somebody set the time of the whole site wrong, and readers of the feed marked what is to come.
#[tokio::test(start_paused = true)]
async fn events_come_in_time_after_all_clocks_were_ahead() {
    let rows = [("an hour", 3_600_000), ("three years", YEARS)];
    for (name, ahead) in rows {
        let machines = MachineSet::new(5);
        let hot = Arc::new(machines.open().await.expect("the clocks agree"));
        let kit = Kit::numbered(hot.clone(), machines.archive.clone(), 5);
        let campaign = kit.draft();
        kit.stocked(&campaign, 3).await;

        machines.set_clocks(ahead, [ahead; 3]);
        let read = page(&hot, FeedStart::Oldest).await;
        assert!(read.is_end, "{name}");
        machines.set_clocks(0, [0; 3]);
        // Until it is compared, nobody knows whether a clock that was set is right now.
        sleep(Duration::from_secs(11)).await;

        let mut from = FeedStart::After(read.next);
        for number in 0..3 {
            let user = kit.user("user");
            let code = kit.issued(&campaign, &user, &format!("{number}")).await;
            sleep(Duration::from_secs(10)).await;
            let read = page(&hot, from).await;
            let told: Vec<_> = read.events.iter().filter_map(coupon_of).collect();
            assert_eq!(told, [&code], "{name}, issue {number}");
            from = FeedStart::After(read.next);
        }
        let all = page(&hot, FeedStart::Oldest).await;
        assert_eq!(all.events.iter().filter_map(coupon_of).count(), 3, "{name}");
    }
}

fn coupon_of(event: &FeedEvent) -> Option<&Code> {
    match &event.happened {
        Happened::Coupon(it) => Some(&it.code),
        Happened::AuditEvent { .. } => None,
    }
}
