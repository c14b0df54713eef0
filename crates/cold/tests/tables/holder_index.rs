//! The holder index: what a list reads of it, and the cost of its merges.

use std::collections::BTreeMap;
use std::slice;

use cold::{ColdError, ColdOptions, ColdStore, HolderEntry, HolderMerge};
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use futures::future::join_all;
use tempfile::TempDir;

use super::sample::{
    DAY, after, committed, faults, issued, many, merged, options, redeemed, spent, store, untouched,
};
use super::stores::Watched;

/// No limit.
const ALL: u64 = u64::MAX;

async fn of(store: &ColdStore, holder: &str) -> Vec<HolderEntry> {
    let holder: UserId = holder.parse().unwrap();
    store.of_holder(&holder, None).await.unwrap()
}

/// Without the fields that only the index has.
fn bare(entries: &[HolderEntry]) -> Vec<HolderEntry> {
    entries.iter().cloned().map(|entry| HolderEntry { coupon: None, ..entry }).collect()
}

async fn sound(store: &ColdStore) {
    let faults = faults(store).await;
    assert!(faults.is_empty(), "{faults:?}");
}

/// Index files of a folder, by level.
fn levels(disk: &TempDir) -> BTreeMap<String, usize> {
    let folders = std::fs::read_dir(disk.path().join("holder_index")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    let named = folders.map(|it| {
        let name = it.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_dir(it).unwrap().count())
    });
    named.filter(|(name, _)| name != "_delta_log").collect()
}

fn day(nth: usize) -> Day {
    Day(DAY.0 + i32::try_from(nth).unwrap())
}

/// Coupons of many users on one day. `ann` has some of them.
fn crowd(nth: usize, rows: usize, of_ann: usize) -> Vec<Coupon> {
    let coupon = |row: usize| {
        // Spread over the codes, as by the cipher.
        let code = format!("C{:06}D{nth:04}", row * 7_919 % rows);
        match row < of_ann {
            true => spent(&code, day(nth), "ann"),
            false => spent(&code, day(nth), &format!("u{:05}", (row * 31 + nth * 17) % 9_973)),
        }
    };
    let mut coupons: Vec<Coupon> = (0..rows).map(coupon).collect();
    coupons.sort_by(|a, b| a.code().cmp(b.code()));
    coupons
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |it| it.parse().unwrap())
}

/// The bound was set with `COUPONRY_TEST_DAYS=400`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_reads_few_ranges() {
    const FILES: usize = 5;
    let (days, rows) = (setting("COUPONRY_TEST_DAYS", 20), setting("COUPONRY_TEST_ROWS", 60));
    let watched = Watched::new();
    // Small files, so that the index has as many files and levels as one of many more coupons.
    let options = ColdOptions {
        file_rows_max: rows.div_ceil(FILES) as u64,
        index_file_bytes: setting("COUPONRY_TEST_INDEX_BYTES", 16 << 10) as u64,
        ..ColdOptions::default()
    };
    let store = ColdStore::with_store(watched.clone(), "memory", options.clone());
    store.create().await.unwrap();
    let mut written = 0;
    for nth in 0..days {
        // Ten coupons of ann, on ten days.
        let of_ann = usize::from(nth % days.div_ceil(10) == 0);
        let partition = committed(&store, day(nth), crowd(nth, rows, of_ann)).await;
        assert_eq!(partition.files.len(), FILES);
        store.commit_holders(day(nth), 1).await.unwrap();
        // As the compactor does.
        if nth % 10 == 9 || nth + 1 == days {
            written += merged_all(&store).await;
        }
        store.checkpoint().await.unwrap();
    }
    let fresh = ColdStore::with_store(watched.clone(), "memory", options);
    for (name, store) in [("cold", &fresh), ("with footers remembered", &store)] {
        watched.range_reads();
        let found = of(store, "ann").await;
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|entry| entry.coupon.is_some()), "it needs no look-up by code");
        let (reads, bytes) = watched.range_reads();
        println!(
            "{days} days x {FILES} files x {rows} rows, {name}: {reads} range reads, {bytes} bytes; \
             {:.1} rows written a row",
            written as f64 / (days * rows) as f64
        );
        assert!(reads <= 16 && bytes <= 4 << 20, "{name}: {reads} reads, {bytes} bytes");
    }
    sound(&fresh).await;
}

async fn merged_all(store: &ColdStore) -> u64 {
    let done = store.merge_holders(ALL).await.unwrap();
    assert!(done.is_done, "{done:?}");
    done.written
}

#[tokio::test]
async fn a_list_is_the_same_before_and_after_a_merge() {
    let (disk, store) = store().await;
    let names = ["ann", "bob", "u00062", "nobody"];
    let compare = async |what: &str, wants_whole: bool| {
        let fresh = ColdStore::on_folder(disk.path(), options());
        for name in names {
            let before = of(&store, name).await;
            assert_eq!(bare(&of(&fresh, name).await), bare(&before), "{what}: {name}");
            if wants_whole {
                for entry in &before {
                    let found = store.find(entry.day, slice::from_ref(&entry.code)).await.unwrap();
                    assert_eq!(entry.coupon.as_deref(), found[0].as_ref(), "{what}: {name}");
                }
            }
        }
    };
    for nth in 0..6 {
        committed(&store, day(nth), crowd(nth, 40, 2)).await;
        store.commit_holders(day(nth), 1).await.unwrap();
        compare("before", false).await;
        let mut before = Vec::new();
        for name in names {
            before.push(bare(&of(&store, name).await));
        }
        assert_eq!(store.merge_holders(ALL).await.unwrap().taken_in, 40);
        compare("after", true).await;
        for (name, before) in names.iter().zip(before) {
            assert_eq!(bare(&of(&store, name).await), before, "{name}");
        }
    }
    // An open partition: a merge of its files adds two coupons.
    let on = store.partition(day(0)).await.unwrap();
    let mut whole = crowd(0, 40, 2);
    whole.push(spent("ZZZZ1", day(0), "bob"));
    whole.push(untouched("ZZZZ2", day(0)));
    let mut writer = store.writer(day(0), 2, 1, &on.files).await.unwrap();
    writer.push(whole).await.unwrap();
    let files = writer.finish().await.unwrap();
    store.commit(&on, 2, &files, &on.files, u64::MAX).await.unwrap();
    compare("coupons has a newer commit than both", true).await;
    assert_eq!(of(&store, "bob").await.len(), 0, "not yet in the side table");
    let done = store.merge_holders(ALL).await.unwrap();
    assert_eq!((done.taken_in, done.is_done), (1, true), "no row is added twice");
    assert_eq!(of(&store, "bob").await.len(), 1);
    store.commit_holders(day(0), 2).await.unwrap();
    compare("both tables have it", true).await;
    let again = store.merge_holders(ALL).await.unwrap();
    assert_eq!(again, HolderMerge { is_done: true, ..HolderMerge::default() });
    // The sweep removes the replaced files. The live ones stay.
    store.sweep(Millis(i64::MAX)).await.unwrap();
    compare("swept", true).await;
    sound(&store).await;
}

#[tokio::test]
async fn the_newer_of_two_versions_is_found() {
    let (_disk, store) = store().await;
    committed(&store, DAY, vec![after("AAAA", DAY, vec![issued("ann")])]).await;
    store.commit_holders(DAY, 1).await.unwrap();
    store.merge_holders(ALL).await.unwrap();
    let new = after("AAAA", DAY, vec![issued("ann"), redeemed("ann", "o-1")]);
    merged(&store, DAY, vec![new.clone()]).await;
    store.commit_holders(DAY, 2).await.unwrap();
    for what in ["from both tables", "from the index"] {
        let found = of(&store, "ann").await;
        assert_eq!((found.len(), found[0].version, found[0].state), (1, 2, "redeemed"), "{what}");
        store.merge_holders(ALL).await.unwrap();
    }
    assert_eq!(of(&store, "ann").await[0].coupon.as_deref(), Some(&new));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_merge_at_the_same_time() {
    let disk = TempDir::new().unwrap();
    let options = ColdOptions { index_file_bytes: 8 << 10, ..options() };
    let stores: Vec<ColdStore> =
        (0..4).map(|_| ColdStore::on_folder(disk.path(), options.clone())).collect();
    stores[0].create().await.unwrap();
    for nth in 0..8 {
        committed(&stores[0], day(nth), crowd(nth, 50, 1)).await;
        store_side(&stores[0], nth).await;
        let ended = join_all(stores.iter().map(|store| store.merge_holders(ALL))).await;
        let done: Vec<HolderMerge> = ended.into_iter().map(Result::unwrap).collect();
        assert_eq!(done.iter().map(|it| it.taken_in).sum::<u64>(), 50, "once: {done:?}");
    }
    merged_all(&stores[0]).await;
    for store in &stores {
        assert_eq!(of(store, "ann").await.len(), 8);
    }
    // The files of the other writers are in no commit.
    stores[0].sweep(Millis(i64::MAX)).await.unwrap();
    assert!(levels(&disk)["level=0"] <= 3, "{:?}", levels(&disk));
    assert_eq!(of(&stores[3], "ann").await.len(), 8);
    sound(&stores[1]).await;
}

async fn store_side(store: &ColdStore, nth: usize) {
    store.commit_holders(day(nth), 1).await.unwrap();
}

#[tokio::test]
async fn anybody_repeats_a_killed_merge() {
    let (disk, first) = store().await;
    for nth in 0..5 {
        committed(&first, day(nth), crowd(nth, 30, 1)).await;
        store_side(&first, nth).await;
    }
    // Dropped after its first steps.
    for polls in (1..60).step_by(4) {
        let killed = ColdStore::on_folder(disk.path(), options());
        let mut merge = Box::pin(killed.merge_holders(ALL));
        for _ in 0..polls {
            if futures::poll!(merge.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(merge);
        let found = of(&ColdStore::on_folder(disk.path(), options()), "ann").await;
        assert_eq!(found.len(), 5, "after {polls} steps");
    }
    let other = ColdStore::on_folder(disk.path(), options());
    merged_all(&other).await;
    assert_eq!(of(&other, "ann").await.len(), 5);
    other.sweep(Millis(i64::MAX)).await.unwrap();
    assert_eq!(of(&first, "ann").await.len(), 5);
    sound(&first).await;
    // Without the index lists still work, and the next merge makes it again.
    std::fs::remove_dir_all(disk.path().join("holder_index")).unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    assert_eq!(of(&fresh, "ann").await.len(), 5);
    merged_all(&fresh).await;
    assert_eq!(of(&fresh, "ann").await.len(), 5);
}

/// Rows written for each archived row, with files a thousand times smaller than real ones. The
/// number grows with the levels, so with the logarithm of all rows, not with the runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_rewritten_a_bounded_number_of_times() {
    let store = {
        let watched = Watched::new();
        let options = ColdOptions { index_file_bytes: 16 << 10, ..ColdOptions::default() };
        ColdStore::with_store(watched, "memory", options)
    };
    store.create().await.unwrap();
    let (runs, rows) = (setting("COUPONRY_TEST_RUNS", 20), 200);
    let (mut total, mut written) = (0, 0);
    for run in 0..runs {
        committed(&store, day(run), crowd(run, rows, 1)).await;
        store_side(&store, run).await;
        written += merged_all(&store).await;
        total += rows as u64;
        if (run + 1) % 10 == 0 {
            println!(
                "{:4} runs: {:.1} rows written for each",
                run + 1,
                written as f64 / total as f64
            );
        }
    }
    assert!(written <= 24 * total, "{written} of {total}");
    let rest = store.merge_holders(ALL).await.unwrap();
    assert_eq!(rest.written, 0, "nothing is left to merge: {rest:?}");
    assert_eq!(of(&store, "ann").await.len(), runs);
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_does_not_stop_the_others() {
    let (disk, store) = store().await;
    for nth in 0..3 {
        committed(&store, day(nth), crowd(nth, 30, 1)).await;
    }
    let first = store.partition(day(0)).await.unwrap();
    let path = disk.path().join("coupons").join(first.files[0].path());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![7; whole.len()]).unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    let ended = fresh.merge_holders(ALL).await;
    assert!(matches!(ended, Err(ColdError::Damaged { .. })), "{ended:?}");
    assert_eq!(of(&fresh, "ann").await.len(), 2);
    std::fs::write(&path, whole).unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    assert!(fresh.merge_holders(ALL).await.unwrap().is_done);
    assert_eq!(of(&fresh, "ann").await.len(), 3);
}

/// Copies of two instants: the index has a commit that `coupons` does not have.
#[tokio::test]
async fn an_index_newer_than_its_table_is_found() {
    let (disk, store) = store().await;
    committed(&store, DAY, crowd(0, 10, 1)).await;
    assert!(store.merge_holders(ALL).await.unwrap().is_done);
    store.index_fits().await.unwrap();
    committed(&store, DAY, crowd(1, 10, 1)).await;
    assert!(store.merge_holders(ALL).await.unwrap().is_done);
    let last = disk.path().join("coupons/_delta_log/00000000000000000002.json");
    std::fs::remove_file(last).unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    let told = fresh.index_fits().await;
    assert!(matches!(told, Err(ColdError::Damaged { .. })), "{told:?}");
}

#[tokio::test]
async fn a_call_ends_at_its_limit() {
    let (_disk, store) = store().await;
    for nth in 0..6 {
        committed(&store, day(nth), crowd(nth, 30, 1)).await;
    }
    let mut calls = 0;
    loop {
        let done = store.merge_holders(1).await.unwrap();
        calls += 1;
        assert!(done.written <= 6 * 30, "{done:?}");
        if done.is_done {
            break;
        }
        assert!(calls < 20);
    }
    assert_eq!(of(&store, "ann").await.len(), 6, "also without the side table");
    merged(&store, DAY, many(2, DAY)).await;
    assert!(
        store.merge_holders(ALL).await.unwrap().is_done,
        "an archive commit of coupons without a holder"
    );
}
