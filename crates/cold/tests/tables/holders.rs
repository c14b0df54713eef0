//! The side table: the coupons of a user.

use cold::{ColdError, ColdOptions, ColdStore, HolderEntry};
use coupon::coupon::EventKind;
use coupon::ids::UserId;
use coupon::time::{DAY_MS, Millis};
use futures::future::join_all;
use tempfile::TempDir;

use super::sample::{
    DAY, NEXT, after, committed, faults, issued, many, merged, options, redeemed, spent, store,
    untouched,
};

async fn of(store: &ColdStore, holder: &str) -> Vec<String> {
    let holder: UserId = holder.parse().unwrap();
    let entries = store.of_holder(&holder, None).await.unwrap();
    entries.iter().map(|entry| entry.code.to_string()).collect()
}

/// Parquet files of the side table on disk.
fn files(disk: &TempDir) -> usize {
    let months = std::fs::read_dir(disk.path().join("coupons_by_holder")).unwrap();
    let months = months.map(|month| month.unwrap().path()).filter(|it| !it.ends_with("_delta_log"));
    months.map(|month| std::fs::read_dir(month).unwrap().count()).sum()
}

#[tokio::test]
async fn a_user_finds_the_coupons_that_they_held() {
    let (_disk, store) = store().await;
    let void = after("DDDD", DAY, vec![issued("ann"), EventKind::Voided { reason: None }]);
    let brief = EventKind::Issued {
        to: "ann".parse().unwrap(),
        reference: None,
        expires_at: Some(NEXT.end().plus_ms(-3 * DAY_MS)),
    };
    let unsaid = EventKind::Redeemed { by: None, order: "o-1".parse().unwrap(), worth: None };
    committed(
        &store,
        DAY,
        vec![
            untouched("AAAA", DAY),
            spent("BBBB", DAY, "ann"),
            spent("CCCC", DAY, "bob"),
            void.clone(),
            after("EEEE", DAY, vec![unsaid]),
        ],
    )
    .await;
    committed(&store, NEXT, vec![spent("AAAA", NEXT, "ann"), after("BBBB", NEXT, vec![brief])])
        .await;
    assert_eq!(of(&store, "ann").await, Vec::<String>::new(), "the side table is behind");
    store.commit_holders(DAY, 1).await.unwrap();
    assert_eq!(of(&store, "ann").await, ["BBBB", "DDDD"]);
    store.commit_holders(NEXT, 1).await.unwrap();
    assert_eq!(of(&store, "ann").await, ["AAAA", "BBBB", "DDDD", "BBBB"], "latest expiry first");
    assert_eq!(of(&store, "bob").await, ["CCCC"]);
    assert_eq!(of(&store, "an").await, Vec::<String>::new());
    let entries = store.of_holder(&"ann".parse().unwrap(), None).await.unwrap();
    let want = HolderEntry {
        code: "DDDD".parse().unwrap(),
        day: DAY,
        expires_at: DAY.end(),
        state: "void",
        version: void.version(),
        coupon: None,
    };
    assert_eq!(entries[2], want);
}

#[tokio::test]
async fn the_side_table_follows_the_partition() {
    let (disk, store) = store().await;
    let missing = store.commit_holders(DAY, 1).await;
    assert!(matches!(missing, Err(ColdError::Unavailable { .. })), "{missing:?}");
    committed(&store, DAY, vec![spent("AAAA", DAY, "ann")]).await;
    committed(&store, DAY, vec![spent("BBBB", DAY, "ann")]).await;
    committed(&store, DAY, many(3, DAY)).await;
    store.commit_holders(DAY, 2).await.unwrap();
    assert_eq!(of(&store, "ann").await, ["AAAA", "BBBB"], "a skipped archive commit is added");
    assert_eq!(files(&disk), 2);
    for archive_commit in 1..=3 {
        store.commit_holders(DAY, archive_commit).await.unwrap();
    }
    assert_eq!(files(&disk), 2, "present rows are not written again");
    merged(&store, DAY, vec![spent("AAAA", DAY, "ann"), spent("CCCC", DAY, "ann")]).await;
    store.commit_holders(DAY, 4).await.unwrap();
    assert_eq!(of(&store, "ann").await, ["AAAA", "CCCC"], "the replaced files are removed");
    assert_eq!(store.sweep(Millis(i64::MAX)).await.unwrap().files, 3 + 2);
    assert_eq!(files(&disk), 1);
    assert_eq!(of(&store, "ann").await, ["AAAA", "CCCC"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_make_one_side_table() {
    let disk = TempDir::new().unwrap();
    let stores: Vec<ColdStore> =
        (0..4).map(|_| ColdStore::on_folder(disk.path(), options())).collect();
    stores[0].create().await.unwrap();
    committed(&stores[0], DAY, vec![spent("AAAA", DAY, "ann")]).await;
    committed(&stores[0], DAY, vec![spent("BBBB", DAY, "ann")]).await;
    let writers =
        stores.iter().enumerate().map(|(nth, it)| it.commit_holders(DAY, 1 + nth as u64 % 2));
    for ended in join_all(writers).await {
        ended.unwrap();
    }
    assert_eq!(of(&stores[3], "ann").await, ["AAAA", "BBBB"]);
    stores[0].sweep(Millis(i64::MAX)).await.unwrap();
    assert_eq!(files(&disk), 2);
}

#[tokio::test]
async fn a_large_archive_commit_is_split_by_holder() {
    let (disk, _) = store().await;
    let options = ColdOptions { holder_rows_max: 300, ..options() };
    let store = ColdStore::on_folder(disk.path(), options);
    let coupons = (0..2_000).map(|nth| {
        let code = format!("C{nth:06}");
        match nth % 3 {
            // One user has more coupons than fit.
            0 => spent(&code, DAY, "many"),
            _ => after(&code, DAY, vec![issued(&format!("u{:03}", nth % 500)), redeemed("x", "o")]),
        }
    });
    committed(&store, DAY, coupons.collect()).await;
    store.commit_holders(DAY, 1).await.unwrap();
    assert_eq!(of(&store, "many").await.len(), 667);
    assert_eq!(of(&store, "x").await.len(), 1_333);
    assert_eq!(of(&store, "u001").await, Vec::<String>::new(), "x redeemed them");
    let faults = faults(&store).await;
    assert!(faults.is_empty(), "{faults:?}");
}
