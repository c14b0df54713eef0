//! Many commits: what opening the table reads, and what stays of the log.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cold::{ColdOptions, ColdStore};
use coupon::time::Millis;

use super::sample::{DAY, everything, faults, merged, untouched};
use super::stores::Watched;

/// 5,000 take a minute. Fewer show the same, because a checkpoint is at most 50 commits old.
const COMMITS: usize = 300;

async fn with_commits(watched: &Arc<Watched>, options: ColdOptions) -> ColdStore {
    let commits = std::env::var("COUPONRY_TEST_COMMITS").map_or(COMMITS, |it| it.parse().unwrap());
    let store = ColdStore::with_store(watched.clone(), "memory", options);
    store.create().await.unwrap();
    for nth in 0..commits {
        merged(&store, DAY, vec![untouched(&format!("C{nth:06}"), DAY)]).await;
        store.checkpoint().await.unwrap();
    }
    store
}

#[tokio::test]
async fn opening_a_table_of_many_commits_reads_few_objects() {
    let watched = Watched::new();
    with_commits(&watched, ColdOptions::default()).await;
    let fresh = ColdStore::with_store(watched.clone(), "memory", ColdOptions::default());
    watched.reads();
    let version = fresh.version().await.unwrap().unwrap();
    let reads = watched.reads().len();
    println!("{reads} objects are read to open version {version}");
    assert!(reads < 100, "{reads}");
}

#[tokio::test]
async fn a_log_is_cut_before_an_old_checkpoint() {
    let watched = Watched::new();
    let (log_retention, retention) = (Duration::from_secs(3_600), Duration::ZERO);
    let options = ColdOptions { log_retention, retention, ..ColdOptions::default() };
    let store = with_commits(&watched, options).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let before = everything(&store).await;
    let swept = store.cut_logs(Millis(now)).await.unwrap();
    assert_eq!(swept.files, 0, "everything is younger than an hour");
    let swept = store.cut_logs(Millis(now + 3_600_000 + 60_000)).await.unwrap();
    assert!(swept.files >= 250, "{swept:?}");
    let fresh = ColdStore::with_store(watched.clone(), "memory", ColdOptions::default());
    for (name, store) in [("that has it open", &store), ("afresh", &fresh)] {
        assert_eq!(everything(store).await, before, "a reader {name}");
        let faults = faults(store).await;
        assert!(faults.is_empty(), "a reader {name}: {faults:?}");
    }
    merged(&fresh, DAY, vec![untouched("LATER", DAY)]).await;
    assert_eq!(everything(&fresh).await.len(), 1, "commits still succeed");
    assert_eq!(fresh.cut_logs(Millis(now + 3_600_000 + 60_000)).await.unwrap().files, 0);
}
