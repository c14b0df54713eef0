//! Apache Cassandra in the shape of ScyllaDB: a proxy between the driver and a real node announces shards, answers
//! conditional writes with old columns, and sends errors of ScyllaDB.
//!
//! Nothing of ScyllaDB runs here. What these suites show is that couponry reads answers of this shape, uses a
//! connection for each shard, and issues and redeems once while such errors come.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "proxied/frames.rs"]
mod frames;
#[path = "proxied/shape.rs"]
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use coupon::apply::{Asker, Change};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use cql_session::{CqlEngine, Keyspace, KeyspaceAddress, SchemaOptions};
use futures::future::{join, join_all};
use hot::{Applied, HotError, HotStore};
use hot_conformance::kit::{
    ChangeOutcome, Kit, MemoryArchive, NOW, give, keys, of, redeem, reference, said,
};
use hot_conformance::soundness::{Contradictions, contradictions};
use hot_conformance::{Ground, some_together};
use hot_cql::{CqlHot, CqlOptions};
use shape::{SHARDS, ScyllaShape};
use tokio::time::{Instant, sleep};

/// The modules of conformance that run in this shape: those with conditional writes of each kind.
const MODULES: [&str; 5] = ["changes", "imports", "issue", "shared", "tables"];

/// Coupons of the sale, and callers who want one each.
const STOCK: u64 = 60;
const CALLERS: usize = 90;

/// Much longer than a call takes; machines stop for some seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// A node in the shape of ScyllaDB, with a keyspace of its own.
async fn open(keyspace: &str, archive: Arc<MemoryArchive>) -> Option<(Arc<CqlHot>, ScyllaShape)> {
    let cluster = tokio::task::spawn_blocking(|| testcluster::shared(1)).await.unwrap()?;
    let target = |nodes: &str| format!("cql://{nodes}/{keyspace}").parse::<KeyspaceAddress>();
    let mut options = CqlOptions::of(&target(cluster.addresses()).unwrap());
    options.connection.patience = testcluster::STEADY_PATIENCE;
    // What schema apply asks ScyllaDB is not in Cassandra, so it sees Cassandra as it is.
    let direct = Keyspace::connect(&options.connection).await.unwrap();
    direct.apply(&SchemaOptions::default()).await.unwrap();

    let shape = ScyllaShape::of(cluster.addresses(), keyspace).await;
    options.connection.nodes = vec![shape.address.clone()];
    let options = CqlOptions {
        // Few buckets, so that a partition is sealed in a moment; and this one process has one clock.
        bucket_bits: 4,
        clock_bound_ms: 0,
        partition_rows: 32,
        // Room for a machine that does other things besides.
        call_limit: Duration::from_secs(60),
        ..options
    };
    let orders_keep = Some(Duration::from_secs(400 * 86_400));
    let hot = CqlHot::connect(options, keys(), archive).await.unwrap();
    let hot = hot.with_records(|tables, source| records::records(tables, source, orders_keep));
    assert_eq!(hot.session().engine(), CqlEngine::Scylla);
    let state = hot.session().driver().unwrap().get_cluster_state();
    let shards = state.get_nodes_info()[0].sharder().map(|it| usize::from(it.nr_shards.get()));
    assert_eq!(shards, Some(SHARDS), "the driver has connections to each of them");
    Some((Arc::new(hot), shape))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conformance() {
    let open = async |archive| {
        let (hot, shape) = open("shaped", archive).await?;
        Some((hot as Arc<dyn HotStore>, Box::new(shape) as Ground))
    };
    some_together(open, |module| MODULES.contains(&module)).await;
}

/// Calls that ended without an outcome. Nobody counts what such a call has done.
static UNKNOWN_CALLS: AtomicUsize = AtomicUsize::new(0);

/// One call, repeated until it is answered: an error says that nothing is known, or that nothing was done.
async fn answered(call: impl AsyncFn() -> Result<Applied, HotError>) -> Applied {
    let began = Instant::now();
    loop {
        match call().await {
            Ok(applied) => return applied,
            Err(error) if began.elapsed() > PATIENCE => panic!("{error:?}"),
            Err(HotError::Unknown(_)) => _ = UNKNOWN_CALLS.fetch_add(1, Ordering::Relaxed),
            Err(HotError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends one request until it is answered.
async fn issued(kit: &Kit, campaign: &Campaign, user: &UserId) -> Applied {
    let change = kit.change(give(user, reference("first")), Asker::Shop, NOW);
    answered(async || kit.hot.issue(&campaign.id, change.clone()).await).await
}

/// Two orders that want the same coupon. Each is sent until it is answered.
async fn redeemed(kit: &Kit, user: &UserId, code: &Code) -> [ChangeOutcome; 2] {
    let order = async |name: &str| {
        let found = loop {
            let text = code.as_str().parse().unwrap();
            if let Ok(found) = kit.router.find(&text, kit.hot.as_ref()).await {
                break found.expect("an issued coupon is found");
            }
        };
        let change: Change = kit.change(redeem(user, name), Asker::Shop, NOW);
        said(&answered(async || kit.hot.apply(&found, change.clone()).await).await)
    };
    let (one, other) = join(order("one"), order("other")).await;
    [one, other]
}

/// Whether it was accepted, at the first try or before.
fn is_done(outcome: ChangeOutcome) -> bool {
    matches!(outcome, ChangeOutcome::Accepted | ChangeOutcome::Replayed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_coupon_once_while_errors_come() {
    let archive = Arc::new(MemoryArchive::default());
    let Some((hot, shape)) = open("shaped_faults", Arc::clone(&archive)).await else { return };
    let kit = Kit::new(hot.clone(), archive);
    let campaign = kit.draft();
    kit.stocked(&campaign, STOCK).await;
    shape.set_faults(true);

    let users: Vec<UserId> = (0..CALLERS).map(|_| kit.user("buyer")).collect();
    let asked = join_all(users.iter().map(|user| issued(&kit, &campaign, user))).await;
    let mut holders: BTreeMap<Code, &UserId> = BTreeMap::new();
    for (user, applied) in users.iter().zip(&asked) {
        match said(applied) {
            ChangeOutcome::Refused(Refusal::SoldOut) => {}
            outcome if is_done(outcome) => {
                let before = holders.insert(of(applied).code().clone(), user);
                assert!(before.is_none(), "{:?} has two holders", of(applied).code());
            }
            other => panic!("{user:?}: {other:?}"),
        }
    }
    assert_eq!(holders.len() as u64, STOCK, "the whole stock is issued");
    let orders = holders.iter().map(|(code, user)| redeemed(&kit, user, code));
    let outcomes = join_all(orders).await;
    shape.set_faults(false);
    println!("faults: {:?}", shape.faults());

    for (code, outcomes) in holders.keys().zip(outcomes) {
        let done = outcomes.map(is_done);
        assert_ne!(done[0], done[1], "{code}: {outcomes:?}");
        let coupon = kit.coupon(code).await;
        let kinds: BTreeSet<String> = coupon.events().iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(kinds.len(), 2, "{code} is issued once and redeemed once: {kinds:?}");
    }
    let Contradictions { faults, drifts } = contradictions(hot.as_ref()).await;
    assert!(faults.is_empty(), "{faults:#?}");
    let unknown = UNKNOWN_CALLS.load(Ordering::Relaxed);
    println!("calls without an outcome: {unknown}");
    assert!(drifts.is_empty() || unknown > 0, "{drifts:#?}");
    assert_eq!(shape.faults().len(), 6, "each kind of fault came: {:?}", shape.faults());
    assert!(shape.widened() > 0, "answers had old columns");
}
