//! Damage: every file that differs from what was written is named.

use std::fs;
use std::path::{Path, PathBuf};

use cold::{ColdError, ColdStore};
use coupon::time::Millis;
use tempfile::TempDir;

use super::sample::{DAY, NEXT, codes, committed, faults, many, merged, options, spent, store};

/// One partition of two files in each table.
async fn ground() -> (TempDir, ColdStore) {
    let (disk, store) = store().await;
    committed(&store, DAY, many(1_500, DAY)).await;
    committed(&store, NEXT, vec![spent("AAAA", NEXT, "ann")]).await;
    store.commit_holders(NEXT, 1).await.unwrap();
    (disk, store)
}

type Harm = fn(&Path);

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0xFF;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, to: usize) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..to]).unwrap();
}

fn lengthen(file: &Path) {
    fs::write(file, [fs::read(file).unwrap(), vec![0]].concat()).unwrap();
}

/// A data file of a table.
fn data_file(table: &Path) -> PathBuf {
    let folders = fs::read_dir(table).unwrap().map(|folder| folder.unwrap().path());
    let mut data = folders.filter(|folder| !folder.ends_with("_delta_log"));
    let mut files = fs::read_dir(data.next().unwrap()).unwrap();
    files.next().unwrap().unwrap().path()
}

#[tokio::test]
async fn a_sound_store_has_no_fault() {
    let (_disk, store) = ground().await;
    store.merge_holders(u64::MAX).await.unwrap();
    let faults = faults(&store).await;
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn a_broken_data_file_is_named() {
    let cases: [(&str, Harm, &str); 6] = [
        ("missing", |file| fs::remove_file(file).unwrap(), "missing"),
        ("empty", |file| cut(file, 0), "it has 0 bytes"),
        ("cut short", |file| cut(file, 2_000), "it has 2000 bytes"),
        ("longer", lengthen, "bytes"),
        ("its end overwritten", |file| flip(file, fs::read(file).unwrap().len() - 1), ""),
        ("a page overwritten", |file| flip(file, 40), ""),
    ];
    for (name, harm, what) in cases {
        let (disk, store) = ground().await;
        let path = store.partition(DAY).await.unwrap().files[0].path().to_owned();
        let file: PathBuf = disk.path().join("coupons").join(&path);
        harm(&file);
        let fresh = ColdStore::on_folder(disk.path(), options());
        for store in [&store, &fresh] {
            if name == "longer" {
                continue;
            }
            match store.find(DAY, &codes(&many(1, DAY))).await {
                Err(ColdError::Damaged { file, what: found, .. }) => {
                    assert_eq!(file, format!("coupons/{path}"), "{name}");
                    assert!(found.contains(what), "{name}: {found}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let faults = faults(&fresh).await;
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
        assert_eq!(faults[0].file, format!("coupons/{path}"), "{name}: {faults:?}");
        assert!(faults[0].what.contains(what), "{name}: {faults:?}");
        let found = fresh.find(NEXT, &["AAAA".parse().unwrap()]).await.unwrap();
        assert!(found[0].is_some(), "{name}: the other files are read");
    }
}

#[tokio::test]
async fn a_broken_log_entry_is_named() {
    let entry = "coupons/_delta_log/00000000000000000002.json";
    let cases: [(&str, Harm); 3] = [
        ("cut in the middle of an action", |file| cut(file, 300)),
        ("empty", |file| cut(file, 0)),
        ("no JSON", |file| fs::write(file, "{\"add\": nothing}").unwrap()),
    ];
    for (name, harm) in cases {
        let (disk, _) = ground().await;
        harm(&disk.path().join(entry));
        let store = ColdStore::on_folder(disk.path(), options());
        if name != "empty" {
            let found = store.find(DAY, &codes(&many(1, DAY))).await;
            match found {
                Err(ColdError::Damaged { file, .. }) => assert_eq!(file, entry, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        let faults = faults(&store).await;
        assert!(faults.iter().any(|it| it.file == entry), "{name}: {faults:?}");
    }
}

/// Files of the tables that are derived from `coupons`.
#[tokio::test]
async fn a_broken_derived_file_is_named() {
    let cases: [(&str, Harm, &str); 4] = [
        ("missing", |file| fs::remove_file(file).unwrap(), "missing"),
        ("cut short", |file| cut(file, 100), "it has 100 bytes"),
        ("longer", lengthen, "bytes"),
        ("a page overwritten", |file| flip(file, 40), ""),
    ];
    for table in ["coupons_by_holder", "holder_index"] {
        for (name, harm, what) in cases {
            let (disk, store) = ground().await;
            store.merge_holders(u64::MAX).await.unwrap();
            let file = data_file(&disk.path().join(table));
            harm(&file);
            let faults = faults(&ColdStore::on_folder(disk.path(), options())).await;
            assert_eq!(faults.len(), 1, "{table}, {name}: {faults:?}");
            let path = file.strip_prefix(disk.path()).unwrap().to_str().unwrap();
            assert_eq!(faults[0].file, path, "{table}, {name}: {faults:?}");
            assert!(faults[0].what.contains(what), "{table}, {name}: {faults:?}");
            let is_of_index = faults[0].is_of_holder_index();
            assert_eq!(is_of_index, table == "holder_index", "{table}, {name}");
        }
    }
}

#[tokio::test]
async fn a_broken_log_of_the_holder_index_is_named() {
    let (disk, store) = ground().await;
    store.merge_holders(u64::MAX).await.unwrap();
    let entry = "holder_index/_delta_log/00000000000000000001.json";
    cut(&disk.path().join(entry), 100);
    let fresh = ColdStore::on_folder(disk.path(), options());
    let faults = fresh.audit_logs().await.unwrap();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].file, entry, "{faults:?}");
    assert!(faults[0].is_of_holder_index());
    assert_eq!(fresh.audit_index().await.unwrap().len(), 0, "its files are unknown");
}

#[tokio::test]
async fn a_gap_in_the_log_is_named() {
    let (disk, _) = ground().await;
    fs::remove_file(disk.path().join("coupons/_delta_log/00000000000000000001.json")).unwrap();
    let store = ColdStore::on_folder(disk.path(), options());
    match store.partition(DAY).await {
        Err(ColdError::Damaged { file, .. }) => assert_eq!(file, "coupons/_delta_log"),
        other => panic!("{other:?}"),
    }
    assert_eq!(faults(&store).await[0].file, "coupons/_delta_log");
}

#[tokio::test]
async fn a_merged_file_is_no_damage() {
    let (_disk, store) = ground().await;
    let old = store.partition(DAY).await.unwrap().files[0].clone();
    merged(&store, DAY, many(3, DAY)).await;
    store.sweep(Millis(i64::MAX)).await.unwrap();
    let rows = store.rows(&old).await;
    assert!(matches!(rows.err(), Some(ColdError::Unavailable { .. })));
}
