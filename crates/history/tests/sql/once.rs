//! A query sees each coupon once: before, during and after it is archived.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use compactor::{ClosedPolicy, CompactionSettings, Compactor, ProgressWatch};
use coupon::apply::Action;
use coupon::calendar::Zone;
use coupon::time::Day;
use history::{History, QueryLimits};
use hot::Partitions;

use crate::world::{NOW, OPEN, World, limits};

const COUNTS: &str = "select count(*), count(distinct code), \
     sum(case when state = 'redeemed' then 1 else 0 end) from coupons";

/// Aggregates over all rows, for comparison.
const SUM: &str = "select count(*), count(distinct code), sum(version), \
     min(code), max(code), count(holder), count(order_ref) from coupons";

const WANT: &str = "160 160 53";

#[tokio::test(flavor = "multi_thread")]
async fn each_coupon_is_a_row_once() {
    let world = World::full().await;
    let whole = world.one(SUM).await;
    assert_eq!(world.one(COUNTS).await, WANT, "all hot");
    world.compact(ClosedPolicy::Now).await;
    assert_eq!(
        world.one(COUNTS).await,
        WANT,
        "two partitions settled, a third with archived markers"
    );
    assert_eq!(world.one(SUM).await, whole, "no value changed");
    let tiers = world.ask("select tier, count(*) from coupons group by 1 order by 1").await;
    assert_eq!(tiers, [["cold", "133"], ["hot", "27"]]);
    world.change(121, Action::Void { reason: None }).await;
    world.compact(ClosedPolicy::Now).await;
    let cold = world.one("select count(*) from coupons where tier = 'cold'").await;
    assert_eq!(cold, "134", "a second archive commit of the open partition");
    assert_eq!(world.one(COUNTS).await, WANT, "a partition with two archive commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coupon_is_a_row_once_at_every_step_of_both_passes() {
    let world = World::full().await;
    let whole = world.one(SUM).await;
    let (pass, may_pass) = sync_channel::<()>(0);
    let may_pass = Mutex::new(may_pass);
    let hot = Arc::clone(&world.hot) as Arc<dyn Partitions>;
    // Each step waits for the end of a query, and the compaction goes on beside the next one.
    let waits: ProgressWatch = Arc::new(move |_| {
        // At the end nobody looks any more.
        let _ = may_pass.lock().unwrap().recv();
    });
    let compactor =
        Compactor::new(hot, Arc::clone(&world.cold), CompactionSettings::default(), waits);
    // It has threads of its own, so that a step that waits does not stop the queries.
    let compaction = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(compactor.run(NOW, ClosedPolicy::Now)).unwrap()
    });
    let mut looks = 0;
    loop {
        assert_eq!(world.one(SUM).await, whole, "look {looks}");
        looks += 1;
        if pass.send(()).is_err() {
            break;
        }
    }
    compaction.join().unwrap();
    assert!(looks > 2, "queries ran at the steps: {looks}");
    assert_eq!(world.one(SUM).await, whole, "afterwards");
}

/// To a partition that did not exist when the query began, between two existing ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_extended_during_a_query_is_not_missed() {
    let world = World::full().await;
    world.campaign("summer", Day(OPEN.0 + 10), 160..170).await;
    // One core: partitions are read one after the other, when the query needs them.
    let limits = QueryLimits { cores: 1, ..limits() };
    let history = History::new(Arc::clone(&world.engine), limits).unwrap();
    let mut answer = history.ask("select code from coupons", None).await.unwrap();
    let mut rows = answer.next().await.unwrap().unwrap().num_rows();
    let (expires_at, zone) = (Day(OPEN.0 + 5).end(), Zone::utc());
    world.change(120, Action::Extend { expires_at, zone, reason: None }).await;
    while let Some(batch) = answer.next().await.unwrap() {
        rows += batch.num_rows();
    }
    assert_eq!(rows, 170);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_in_both_tiers_is_counted_once() {
    let world = World::full().await;
    let whole = world.one(SUM).await;
    world.copy_without_removing(OPEN).await;
    let cold = world.cold.partition(OPEN).await.unwrap();
    assert_eq!(cold.files.len(), 1, "redeemed coupons are in both tiers");
    assert_eq!(world.one(SUM).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_cold_stays_as_it_was() {
    let world = World::full().await;
    world.compact(ClosedPolicy::Now).await;
    let first = world.cold.version().await.unwrap().unwrap();
    world.change(121, Action::Void { reason: None }).await;
    world.compact(ClosedPolicy::Now).await;
    let newest = world.cold.version().await.unwrap().unwrap();
    assert!(newest > first);
    for (name, version, want) in [("first", first, "133 13"), ("newest", newest, "134 14")] {
        let sql = "select count(*), sum(case when campaign_id = 'winter' then 1 else 0 end) \
             from coupons";
        let rows = world.asked(sql, Some(version)).await.unwrap();
        assert_eq!(rows[0].join(" "), want, "{name}: cold alone");
    }
    let hot = world.asked("select count(*) from coupons where tier = 'hot'", Some(first)).await;
    assert_eq!(hot.unwrap(), [["0"]]);
    let none = world.asked("select count(*) from coupons", Some(newest + 1)).await.unwrap_err();
    assert!(none.to_string().contains(&format!("no version {}", newest + 1)), "{none}");
}
