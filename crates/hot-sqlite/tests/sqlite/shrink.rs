//! The store returns free pages to the disk, a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::imported::ImportedState;
use coupon::time::Day;
use hot::{Emptying, ImportLine};
use hot_sqlite::FILE_NAME;
use rusqlite::Connection;

use super::{kit_in, options, raw, tempdir};
use hot_conformance::kit::{Kit, NOW};

/// Most pages that one call may cut off the end of the file, because users wait for it.
const PAGES_A_CALL: i64 = 200;

fn pages(conn: &Connection) -> i64 {
    conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
}

fn free_pages(conn: &Connection) -> i64 {
    conn.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap()
}

/// A campaign without a limit, so that claims stay small.
fn draft(kit: &Kit) -> Campaign {
    Campaign { handout: Handout::Bearer, per_user_limit: None, ..kit.draft() }
}

/// Imports `count` coupons with the longest names that there are. Returns one of their codes.
async fn import_many(kit: &Kit, campaign: &Campaign, count: usize) -> Code {
    let batch = kit.open_import(campaign).await;
    let mut last = kit.code();
    for _ in 0..count / 2_000 {
        let spent = || ImportedState::Redeemed {
            holder: Some(format!("{:0>64}", kit.code().as_str()).parse().unwrap()),
            issued_at: Some(NOW),
            at: NOW,
            order: Some(format!("{:0>100}", kit.code().as_str()).parse().unwrap()),
            worth: None,
        };
        let lines: Vec<ImportLine> =
            (0..2_000).map(|_| kit.line(campaign, &kit.code(), spent())).collect();
        last = lines[0].code.clone();
        kit.import(campaign, &batch, lines).await;
    }
    last
}

/// Seals the partition, archives the coupon `proof`, and removes everything in the partition.
async fn empty(kit: &Kit, day: Day, proof: &Code) -> u64 {
    assert!(kit.hot.seal(day, kit.time_to_seal(day).await).await.unwrap());
    let coupons = kit.hot.coupons_of(day, vec![proof.clone()]).await.unwrap();
    kit.archive.keep(day, &coupons[0]);
    let mut emptying = Emptying::default();
    while let Some(further) = kit.hot.remove_residue(day, emptying.clone()).await.unwrap() {
        emptying = further;
    }
    emptying.removed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn free_pages_are_returned_to_the_disk() {
    const ROWS: usize = 80_000;
    let folder = tempdir();
    let kit = Arc::new(kit_in(folder.path(), options()));
    let (large, small) = (draft(&kit), draft(&kit));
    kit.create(&large).await;
    kit.create(&small).await;
    let stays = kit.imported(&small, 100).await;
    let proof = import_many(&kit, &large, ROWS).await;
    let conn = raw(folder.path());
    let full = pages(&conn);
    assert!(!kit.hot.shrink().await.unwrap(), "a full file has no free pages");
    assert_eq!(empty(&kit, large.expiry_day(), &proof).await, ROWS as u64);
    // What the last lines said has moved to the directory.
    let free = free_pages(&conn);
    assert!(free > full / 3, "{free} of {full}");

    // Others read and write at the same time.
    let over = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|at| {
        let (kit, over) = (Arc::clone(&kit), Arc::clone(&over));
        let (small, stays, proof) = (small.clone(), stays.clone(), proof.clone());
        tokio::spawn(async move {
            // At least once, also if this task begins after the last call.
            loop {
                let last = over.load(Ordering::Acquire);
                assert_eq!(kit.coupon(&stays[at]).await.version(), 1);
                assert_eq!(kit.coupon(&proof).await.version(), 1);
                kit.hot.touch(NOW).await.unwrap();
                assert_eq!(kit.counts(&small).await.stock, 100);
                if last {
                    return;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let (mut before, mut calls) = (pages(&conn), 0);
    while kit.hot.shrink().await.unwrap() {
        calls += 1;
        let after = pages(&conn);
        assert!((0..=PAGES_A_CALL).contains(&(before - after)), "{before} to {after}");
        before = after;
        assert!(calls < full / 50, "not page by page");
    }
    over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.expect("reads and writes succeed");
    }
    let left = pages(&conn);
    assert!(left < full * 9 / 10, "{full} pages, then {left}, in {calls} calls");
    assert!(!kit.hot.shrink().await.unwrap(), "some free pages are kept for new rows");
    assert!(free_pages(&conn) > 0, "some free pages are kept");
    kit.is_sound().await;
    drop(conn);
    drop(kit);
    let bytes = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().len();
    assert!(bytes <= 4_096 * left as u64, "{bytes} bytes on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn some_free_pages_are_kept() {
    let folder = tempdir();
    let kit = kit_in(folder.path(), options());
    let campaign = draft(&kit);
    kit.create(&campaign).await;
    let proof = import_many(&kit, &campaign, 4_000).await;
    assert_eq!(empty(&kit, campaign.expiry_day(), &proof).await, 4_000);
    let conn = raw(folder.path());
    let (free, all) = (free_pages(&conn), pages(&conn));
    assert!(free > 100, "{free} of {all} pages are free");
    assert!(!kit.hot.shrink().await.unwrap());
    assert_eq!((free_pages(&conn), pages(&conn)), (free, all));
}
