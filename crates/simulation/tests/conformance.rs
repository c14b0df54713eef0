//! The conformance suite on the simulated cluster: while all is well, and while messages are late,
//! lost and repeated and nodes freeze.

#[path = "common/own_process.rs"]
mod own_process;
#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use hot::HotStore;
use hot_conformance::kit::MemoryArchive;
use hot_conformance::{Case, Ground, LeftOut, conforms};
use hot_cql::CqlOptions;
use simulated::ClusterFixture;
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const SEED: u64 = 16;

/// Between the end of one freeze and the beginning of the next, of one node after the other.
const THAWED: Duration = Duration::from_secs(4);
const FROZEN: Duration = Duration::from_secs(1);

/// Cases that faults make fail, and why that is no fault of the store.
const LEFT_OUT: &LeftOut = &[
    ("batches::untouched_codes_are_not_read_one_by_one", STATEMENTS),
    ("issue::a_long_claim_costs_little", STATEMENTS),
    ("archived::an_archived_coupon_counts", READS_OF_COLD),
    ("archived::three_archived_coupons_count", READS_OF_COLD),
    ("archived::redeemed_by_a_shared_code", READS_OF_COLD),
    ("archived::an_untouched_code_behind_a_seal", READS_OF_COLD),
    ("archived::untouched_asks_cold", READS_OF_COLD),
    ("archived::imported_again", READS_OF_COLD),
    ("archived::imported_beside_other_lines", READS_OF_COLD),
    ("partitions::many_coupons_are_evicted", READS_OF_COLD),
    ("lists::pages_with_few_matches", LONG_IMPORT),
];

const STATEMENTS: &str = "it counts statements, and a write without an answer takes more of them";
const READS_OF_COLD: &str =
    "it counts the reads of cold, and a change that is decided again reads cold again";

const LONG_IMPORT: &str = "its import of 6,003 lines can be cut short: until the same lines are imported again, \
     some have an entry in the directory and no row";

fn options() -> CqlOptions {
    CqlOptions {
        // Few buckets, so that a partition is sealed in a moment; and this one process has one
        // clock.
        bucket_bits: 4,
        clock_bound_ms: 0,
        // Few, so that a case can fill the first CQL partitions of a day.
        partition_rows: 32,
        ..ClusterFixture::options()
    }
}

async fn open_calm(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    let hot = ClusterFixture::calm(SEED).process(options(), archive, None).await;
    Some((hot, Box::new(())))
}

/// Weather in which nearly every statement gets its answer after some repeats. What does not get one
/// is the same in each run: a case that fails for it alone wants another [`SEED`].
fn rough() -> NetworkWeather {
    NetworkWeather {
        lost: 2,
        late: 100,
        late_ms: (2, 60),
        twice: 20,
        client_late: 50,
        hinted: 1_000,
        hint_ms: (100, 2_000),
        noticed_ms: (10, 500),
        ..NetworkWeather::calm()
    }
}

/// Freezes nodes until it is dropped.
struct NodeFreezer(JoinHandle<()>);

impl NodeFreezer {
    fn of(cluster: SimulatedCluster) -> NodeFreezer {
        NodeFreezer(tokio::spawn(async move {
            for node in (0..3).cycle() {
                sleep(THAWED).await;
                cluster.freeze(node, FROZEN);
                sleep(FROZEN).await;
            }
        }))
    }
}

impl Drop for NodeFreezer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn open_rough(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    let simulated = ClusterFixture::in_weather(SEED, rough());
    let hot = simulated.process(options(), archive, None).await;
    Some((hot, Box::new(NodeFreezer::of(simulated.cluster.clone()))))
}

fn run<F: Future<Output = ()>>(test: &str, case: impl FnOnce() -> F + Send) {
    own_process::run(SEED, test, case);
}

conforms!(simulated calm by open_calm on run);
conforms!(simulated in_rough_weather by open_rough on run except crate::LEFT_OUT);

#[test]
fn the_cases_that_are_left_out_exist() {
    for (name, why) in LEFT_OUT {
        assert_eq!(Case::named(name).name, *name, "{why}");
    }
}
