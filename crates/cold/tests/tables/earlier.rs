//! A store that the release before wrote, which had no column `archived_in` and no holder index:
//! the folder `earlier`, as it wrote it.

use std::fs;
use std::path::{Path, PathBuf};

use cold::{ColdStore, Finding, Since};
use serde_json::Value;
use tempfile::TempDir;

use super::sample::{DAY, NEXT, codes, every_kind, everything, many, options, spent, untouched};

const EARLIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tables/earlier");

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

fn earlier() -> (TempDir, ColdStore) {
    let disk = TempDir::new().unwrap();
    copy(Path::new(EARLIER), disk.path());
    let store = ColdStore::on_folder(disk.path(), options());
    (disk, store)
}

/// The fields of the newest schema in the log of `coupons`, and how many schemas it has.
fn fields(disk: &TempDir) -> (Vec<Value>, usize) {
    let log = disk.path().join("coupons/_delta_log");
    let mut entries: Vec<PathBuf> =
        fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let text: String = entries.iter().map(|entry| fs::read_to_string(entry).unwrap()).collect();
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let made: Vec<Value> = actions.filter(|action| action["metaData"].is_object()).collect();
    let schema = made.last().unwrap()["metaData"]["schemaString"].as_str().unwrap();
    let schema: Value = serde_json::from_str(schema).unwrap();
    (schema["fields"].as_array().unwrap().clone(), made.len())
}

#[tokio::test]
async fn what_the_release_before_wrote_is_read_and_goes_on() {
    let (disk, store) = earlier();
    let before = every_kind(DAY);
    let found = store.find(DAY, &codes(&before)).await.unwrap();
    assert_eq!(found, before.iter().cloned().map(Some).collect::<Vec<_>>());
    assert_eq!(everything(&store).await.len(), 13 + 2 + 3);
    store.create().await.unwrap();
    assert_eq!((fields(&disk).0.len(), fields(&disk).1), (18, 1), "reading changes nothing");

    let on = store.shelf(DAY).await.unwrap();
    let mut writer = store.writer_replacing(DAY, 3, 1, &on.files[1..]).await.unwrap();
    let ours = ["BB00", "BB01", "BB02"].map(|code| match code {
        "BB01" => spent(code, DAY, "bob"),
        code => spent(code, DAY, "ann"),
    });
    writer.push(ours.to_vec()).await.unwrap();
    let files = writer.finish().await.unwrap();
    store.commit(&on, 3, &files, &on.files[1..]).await.unwrap();
    let (fields, schemas) = fields(&disk);
    let last = fields.last().unwrap();
    let want = serde_json::json!(
        {"name": "archived_in", "type": "long", "nullable": true, "metadata": {}}
    );
    assert_eq!((last, schemas), (&want, 2), "the column came with the first commit");
    assert_eq!(store.version().await.unwrap(), Some(3 + 2), "as a version of its own");

    let shelf = store.shelf(DAY).await.unwrap();
    assert_eq!(shelf.files.len(), 2, "the other file stayed");
    let newest: Vec<u64> = shelf.files.iter().map(cold::ColdFile::newest_unit).collect();
    assert_eq!(newest, [1, 3]);
    let mut new = store.archived(Since::Units([(DAY, 2), (NEXT, 1)].into())).await.unwrap();
    let (_, new) = new.next().await.unwrap().unwrap();
    assert_eq!(new, [spent("BB02", DAY, "ann")], "BB00 and BB01 came with unit 2");

    store.commit_holders(DAY, 3).await.unwrap();
    let ann = "ann".parse().unwrap();
    let before = store.of_holder(&ann, None).await.unwrap();
    let merged = store.merge_holders(u64::MAX).await.unwrap();
    assert!(merged.is_done, "{merged:?}");
    let after = store.of_holder(&ann, None).await.unwrap();
    assert!(after.iter().all(|entry| entry.coupon.is_some()));
    let codes = |entries: &[cold::HolderEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.code.to_string()).collect()
    };
    assert_eq!(codes(&after), codes(&before));
    let mut archived = store.archived(Since::Version(3)).await.unwrap();
    let (day, keys) = archived.next().await.unwrap().unwrap();
    assert_eq!((day, keys.len()), (DAY, 1));
    assert_eq!(archived.next().await.unwrap(), None);
    let whole = everything(&store).await;
    assert_eq!(whole.len(), 13 + 3 + 3);
    let row = |nth: usize| (NEXT, many(3, NEXT)[nth].clone());
    assert_eq!(whole[16..], [row(0), row(1), row(2)]);
    assert_eq!(whole[0], (DAY, untouched("AA00", DAY)));
    let findings = store.examine().await.unwrap();
    assert!(findings.iter().all(|it| matches!(it, Finding::Sound(_))), "{findings:?}");
}
