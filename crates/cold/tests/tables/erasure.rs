//! Persons who were erased: what reads show before their files are rewritten, and what writers write.

use std::collections::BTreeMap;
use std::path::Path;

use cold::{ArchivedSince, ColdStore, CommitOutcome, ScanFilter};
use coupon::coupon::{Coupon, EventKind};
use coupon::erasure::{Erasure, ErasureSet};
use coupon::ids::Actor;
use coupon::time::{Day, Millis};

use super::sample::{
    DAY, NEXT, after, committed, event, everything, faults, genesis, issued, options, redeemed,
    spent, store, untouched, written,
};

const ERASED: &str = "erased:00000000000000aa";

/// The person who was called ann is erased as number 1.
fn set() -> ErasureSet {
    let (user, name) = ("ann".parse().unwrap(), ERASED.parse().unwrap());
    ErasureSet { last: 1, pending: vec![Erasure { number: 1, user, name }] }
}

fn shown(coupon: &Coupon) -> Coupon {
    set().of_coupon(coupon, 0).unwrap_or_else(|| coupon.clone())
}

/// A coupon of bob that ann had before, or to which ann did something.
fn of_bob(code: &str, was_held: bool) -> Coupon {
    let revoked =
        EventKind::Revoked { from: "ann".parse().unwrap(), reference: None, reason: None };
    let kinds = [issued("ann"), revoked, issued("bob"), redeemed("bob", "주문-ann")];
    if was_held {
        return after(code, DAY, kinds.into());
    }
    let mut events = vec![event(1, issued("bob")), event(2, redeemed("bob", "주문-7"))];
    events[1].actor = Actor::new("user:ann");
    let at = events[1].at;
    Coupon::of(genesis(code, DAY), events, None, 2, at)
}

/// Coupons of the first ann, in files that are in the index, and in files that wait.
fn of_first(day: Day) -> Vec<Coupon> {
    vec![
        spent("A000", day, "ann"),
        of_bob("B000", true),
        of_bob("C000", false),
        untouched("D000", day),
        spent("E000", day, "aaa"),
        spent("F000", day, "zoe"),
    ]
}

/// Every coupon of the store of [`pending`], as users must see it.
fn want() -> Vec<(Day, Coupon)> {
    let first = of_first(DAY).into_iter().chain([spent("A100", NEXT, "ann")]).map(|it| shown(&it));
    let later = [spent("A200", NEXT, "ann"), spent("A300", NEXT, "bob")];
    let day = |it: Coupon| {
        (if ["A100", "A200", "A300"].contains(&it.code().as_str()) { NEXT } else { DAY }, it)
    };
    first.chain(later).map(day).collect()
}

/// Files of the first ann and of the second one, and the erasure of the first.
async fn pending() -> (tempfile::TempDir, ColdStore) {
    let (disk, store) = store().await;
    committed(&store, DAY, of_first(DAY)).await;
    store.commit_holders(DAY, 1).await.unwrap();
    assert!(store.merge_holders(u64::MAX).await.unwrap().is_done);
    committed(&store, NEXT, vec![spent("A100", NEXT, "ann")]).await;
    store.commit_holders(NEXT, 1).await.unwrap();
    store.know_erasures(set());
    committed(&store, NEXT, vec![spent("A200", NEXT, "ann"), spent("A300", NEXT, "bob")]).await;
    store.commit_holders(NEXT, 2).await.unwrap();
    (disk, store)
}

async fn of(store: &ColdStore, holder: &str) -> Vec<String> {
    let entries = store.of_holder(&holder.parse().unwrap(), None).await.unwrap();
    for entry in &entries {
        let whole = entry.coupon.iter().all(|it| it.holder().unwrap().as_str() == holder);
        assert!(whole, "{holder}: {entry:?}");
    }
    let mut codes: Vec<String> = entries.iter().map(|it| it.code.to_string()).collect();
    codes.sort();
    codes
}

/// Every way to read agrees with [`want`].
async fn reads_well(store: &ColdStore, what: &str) {
    let want = want();
    assert_eq!(everything(store).await, want, "{what}: a scan");
    for (day, coupon) in &want {
        let found = store.find(*day, &[coupon.code().clone()]).await.unwrap();
        assert_eq!(found, [Some(coupon.clone())], "{what}: by code");
        let (_, copies) = store.audit_copies(*day, &[coupon.code().clone()]).await.unwrap();
        for copy in &copies[0] {
            assert_eq!(
                (copy.coupon.as_deref(), &copy.differs),
                (Ok(coupon), &None),
                "{what}: a copy"
            );
        }
    }
    let mut archived =
        store.archived(ArchivedSince::ArchiveCommits(BTreeMap::new())).await.unwrap();
    while let Some((day, coupons)) = archived.next().await.unwrap() {
        assert!(
            coupons.into_iter().all(|it| want.contains(&(day, it))),
            "{what}: what was archived"
        );
    }
    let lists: [(&str, &[&str]); 6] = [
        ("ann", &["A200"]),
        (ERASED, &["A000", "A100"]),
        ("bob", &["A300", "B000", "C000"]),
        ("aaa", &["E000"]),
        ("zoe", &["F000"]),
        ("an", &[]),
    ];
    for (holder, codes) in lists {
        assert_eq!(of(store, holder).await, codes, "{what}: the list of {holder}");
    }
    let faults = faults(store).await;
    assert!(faults.is_empty(), "{what}: {faults:?}");
    for day in [DAY, NEXT] {
        let audit = store.audit_side(day).await.unwrap();
        assert!(audit.faults.is_empty(), "{what}: {:?}", audit.faults);
    }
}

/// How many files of a table are clean, and how many are not, as their names say.
fn clean(disk: &Path, table: &str) -> (usize, usize) {
    let folders = std::fs::read_dir(disk.join(table)).unwrap().map(|it| it.unwrap().path());
    let names = folders
        .filter(|it| !it.ends_with("_delta_log"))
        .flat_map(|it| std::fs::read_dir(it).unwrap());
    let names: Vec<String> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    let (clean, other): (Vec<_>, Vec<_>) = names.into_iter().partition(|it| it.contains("-e1-"));
    (clean.len(), other.len())
}

#[tokio::test]
async fn reads_do_not_show_an_erased_person() {
    let (disk, store) = pending().await;
    reads_well(&store, "before anything is rewritten").await;
    assert_eq!(clean(disk.path(), "coupons"), (1, 2));
    assert_eq!(clean(disk.path(), "coupons_by_holder"), (1, 2));
    assert_eq!(clean(disk.path(), "holder_index"), (0, 1));
    // A clone knows it, and another process does not before it is told.
    assert_eq!(*store.clone().known_erasures(), set());
    let stranger = ColdStore::on_folder(disk.path(), options());
    assert_eq!(of(&stranger, ERASED).await, [""; 0]);
    assert_eq!(of(&stranger, "ann").await, ["A000", "A100", "A200"]);
    let found = stranger.find(DAY, &["A000".parse().unwrap()]).await.unwrap();
    assert_eq!(found, [Some(spent("A000", DAY, "ann"))]);
    // Taken into the index, and merged there, while the erasure is pending.
    assert!(store.merge_holders(u64::MAX).await.unwrap().is_done);
    reads_well(&store, "taken into the index").await;
}

/// As the compactor does it.
async fn merge(store: &ColdStore, day: Day) {
    let store = store.pinned();
    let on = store.partition(day).await.unwrap();
    let number = on.archive_commit + 1;
    let mut writer = store.writer(day, number, 1, &on.files).await.unwrap();
    let mut rows = store.partition_rows(&on, None).await.unwrap();
    writer.push(rows.up_to(None, usize::MAX >> 1).await.unwrap()).await.unwrap();
    let files = writer.finish().await.unwrap();
    let ended = store.commit(&on, number, &files, &on.files, u64::MAX).await.unwrap();
    assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    store.commit_holders(day, number).await.unwrap();
}

#[tokio::test]
async fn a_merge_writes_no_erased_person() {
    let (disk, store) = pending().await;
    for (day, what) in [(NEXT, "the files of both persons"), (DAY, "a file alone")] {
        let before = store.partition(day).await.unwrap();
        merge(&store, day).await;
        reads_well(&store, what).await;
        let files = store.partition(day).await.unwrap().files;
        assert!(before.files.iter().any(|file| store.is_behind(file)), "{what}");
        assert!(!files.iter().any(|file| store.is_behind(file)), "{what}");
    }
    let index = store.erase_holders().await.unwrap();
    assert_eq!((index.commits, index.is_done), (1, true));
    reads_well(&store, "and the index").await;
    let (swept, open) = store.sweep_erased(Millis(0)).await.unwrap();
    assert_eq!(
        (swept.files, open.len()),
        (2 + 2 + 1, 0),
        "the files of both persons have no retention"
    );
    for table in ["coupons", "coupons_by_holder", "holder_index"] {
        assert_eq!(clean(disk.path(), table).1, 0, "{table}");
    }
    reads_well(&store, "swept").await;
    // Nobody needs to know any more.
    store.know_erasures(ErasureSet { last: 1, pending: Vec::new() });
    reads_well(&store, "forgotten").await;
    let again = store.erase_holders().await.unwrap();
    assert_eq!((again.commits, again.is_done), (0, true));
}

/// Many holders in small files, so that the index has levels, and a person in many of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_levels_of_the_index_stay_in_order() {
    let disk = tempfile::TempDir::new().unwrap();
    let options = cold::ColdOptions { index_file_bytes: 4 << 10, ..options() };
    let store = ColdStore::on_folder(disk.path(), options);
    store.create().await.unwrap();
    let mut of_ann = 0;
    for nth in 0..12 {
        let day = Day(DAY.0 + nth);
        let holder = |row: usize| match row % 10 {
            7 => "ann".to_owned(),
            _ => format!("{}{:03}", ["a", "b", "z"][row % 3], (row * 31 + 17) % 97),
        };
        let coupons: Vec<Coupon> =
            (0..60).map(|row| spent(&format!("C{row:03}D{nth:02}"), day, &holder(row))).collect();
        of_ann += coupons.iter().filter(|it| it.holder().unwrap().as_str() == "ann").count();
        committed(&store, day, coupons).await;
        store.commit_holders(day, 1).await.unwrap();
        if nth != 11 {
            assert!(store.merge_holders(u64::MAX).await.unwrap().is_done);
        }
    }
    let all = everything(&store).await;
    store.know_erasures(set());
    let check = async |what: &str| {
        assert_eq!(of(&store, ERASED).await.len(), of_ann, "{what}");
        assert_eq!(of(&store, "ann").await, [""; 0], "{what}");
        for holder in ["a017", "b048", "z079"] {
            let held = all.iter().filter(|(_, it)| it.holder().unwrap().as_str() == holder);
            assert_eq!(of(&store, holder).await.len(), held.count(), "{what}: {holder}");
        }
        let faults = faults(&store).await;
        assert!(faults.is_empty(), "{what}: {faults:?}");
    };
    check("pending").await;
    let done = store.erase_holders().await.unwrap();
    assert!(done.is_done && done.commits > 1, "{done:?}");
    check("erased").await;
    assert!(store.merge_holders(u64::MAX).await.unwrap().is_done);
    check("the rows of level 0 are merged").await;
    assert_eq!(store.erase_holders().await.unwrap().commits, 0);
}

/// A writer was killed after its file, and nobody has taken its number.
#[tokio::test]
async fn files_of_killed_writers_go() {
    let (disk, store) = store().await;
    committed(&store, DAY, of_first(DAY)).await;
    store.commit_holders(DAY, 1).await.unwrap();
    let late = written(&store, DAY, 2, of_first(DAY)).await;
    let new = written(&store, NEXT, 1, vec![spent("A100", NEXT, "ann")]).await;
    let path = |it: &[cold::NewFile]| disk.path().join("coupons").join(it[0].file.path());
    store.know_erasures(set());
    let clean = written(&store, NEXT, 1, vec![spent("A200", NEXT, "ann")]).await;
    let (swept, open) = store.sweep_erased(Millis(0)).await.unwrap();
    assert_eq!(
        (swept.files, Vec::from_iter(open)),
        (0, vec![DAY, NEXT]),
        "they may still be committed"
    );
    for day in [DAY, NEXT] {
        committed(&store, day, Vec::new()).await;
    }
    let (swept, open) = store.sweep_erased(Millis(0)).await.unwrap();
    assert_eq!((swept.files, open.len()), (2, 0));
    assert!(!path(&late).exists() && !path(&new).exists());
    assert!(path(&clean).exists(), "it names nobody, and an ordinary sweep deletes it");
    assert_eq!(everything(&store).await.len(), of_first(DAY).len());
}

#[tokio::test]
async fn nothing_is_deleted_if_the_log_has_a_gap() {
    let (disk, store) = store().await;
    let first = committed(&store, DAY, of_first(DAY)).await;
    committed(&store, DAY, Vec::new()).await;
    let entry = disk.path().join("coupons/_delta_log/00000000000000000001.json");
    std::fs::write(entry, "").unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    fresh.know_erasures(set());
    let swept = fresh.sweep_erased(Millis(0)).await;
    assert!(matches!(swept, Err(cold::ColdError::Damaged { .. })), "{swept:?}");
    let only_copy = disk.path().join("coupons").join(first.files[0].path());
    assert!(only_copy.exists(), "the only copy of six coupons");
}

/// The log cannot be rewritten.
#[tokio::test]
async fn the_log_names_nobody() {
    let (disk, store) = store().await;
    committed(&store, DAY, of_first(DAY)).await;
    store.commit_holders(DAY, 1).await.unwrap();
    store.merge_holders(u64::MAX).await.unwrap();
    merge(&store, DAY).await;
    store.pinned().checkpoint().await.unwrap();
    for table in ["coupons", "coupons_by_holder", "holder_index"] {
        let entries = std::fs::read_dir(disk.path().join(table).join("_delta_log")).unwrap();
        let mut stats = Vec::new();
        for entry in entries
            .map(|it| it.unwrap().path())
            .filter(|it| it.extension().is_some_and(|it| it == "json"))
        {
            for line in std::fs::read_to_string(entry).unwrap().lines() {
                assert!(
                    !line.contains("ann\"") && !line.contains("zoe") && !line.contains("주문"),
                    "{line}"
                );
                let action: serde_json::Value = serde_json::from_str(line).unwrap();
                stats.extend(action["add"]["stats"].as_str().map(str::to_owned));
            }
        }
        assert!(
            stats.iter().all(|it| it.contains("numRecords")) && !stats.is_empty(),
            "{table}: {stats:?}"
        );
        let has_codes = stats.iter().all(|it| it.contains(r#""code":"A000""#));
        assert_eq!(has_codes, table != "holder_index", "{table}: {stats:?}");
    }
    let filter = ScanFilter { campaign: Some("cmp_2".parse().unwrap()), ..ScanFilter::default() };
    assert_eq!(super::sample::scanned(&store, filter).await, []);
}
