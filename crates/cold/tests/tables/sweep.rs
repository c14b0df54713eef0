//! Which files a sweep removes.

use cold::{ColdError, ColdOptions, ColdStore, SweepReport};
use coupon::time::Millis;
use tempfile::TempDir;

use super::sample::{DAY, NEXT, committed, everything, many, merged, options, store, written};

/// The clock of the machine, which has just written the files.
fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Millis(i64::try_from(since.as_millis()).unwrap())
}

fn exists(disk: &TempDir, path: &str) -> bool {
    disk.path().join("coupons").join(path).exists()
}

#[tokio::test]
async fn only_files_that_nobody_can_commit_or_read() {
    let (disk, store) = store().await;
    let begun = now();
    let lost = written(&store, DAY, 1, many(2, DAY)).await;
    let replaced = committed(&store, DAY, many(3, DAY)).await.files[0].path().to_owned();
    let live = merged(&store, DAY, many(4, DAY)).await.files[0].path().to_owned();
    let coming = written(&store, DAY, 3, many(5, DAY)).await;
    let other_partition = written(&store, NEXT, 1, many(6, NEXT)).await;
    let foreign = "expiry_day=2026-12-31/part-00000.parquet";
    std::fs::write(disk.path().join("coupons").join(foreign), "not a file of couponry").unwrap();

    let retention = i64::try_from(ColdOptions::default().retention.as_millis()).unwrap();
    let cases = [
        ("within the retention", now(), 1, [true, true, true, true, true, false]),
        (
            "just before its end",
            begun.plus_ms(retention - 60_000),
            0,
            [true, true, true, true, true, false],
        ),
        ("after it", now().plus_ms(retention + 60_000), 1, [false, true, true, true, true, false]),
        ("long after", Millis(i64::MAX), 0, [false, true, true, true, true, false]),
    ];
    for (name, now, count, want) in cases {
        let SweepReport { files, bytes } = store.sweep(now).await.unwrap();
        assert_eq!((files, bytes > 0), (count, count > 0), "{name}");
        let kept = [
            replaced.as_str(),
            live.as_str(),
            coming[0].file.path(),
            other_partition[0].file.path(),
            foreign,
            lost[0].file.path(),
        ];
        assert_eq!(kept.map(|path| exists(&disk, path)), want, "{name}");
    }
    let on = store.partition(DAY).await.unwrap();
    store.commit(&on, 3, &coming, &on.files, u64::MAX).await.unwrap();
    assert_eq!(everything(&store).await.len(), 5, "files that may still be committed stay");
}

#[tokio::test]
async fn a_reader_of_an_old_version_has_its_files_within_the_retention() {
    let (disk, store) = store().await;
    let before = committed(&store, DAY, many(1_500, DAY)).await;
    let reader = ColdStore::on_folder(disk.path(), options());
    let mut rows = reader.rows(&before.files[0]).await.unwrap();
    merged(&store, DAY, many(3, DAY)).await;
    store.sweep(now()).await.unwrap();
    let mut read = 0;
    while let Some(rows) = rows.next().await.unwrap() {
        read += rows.len();
    }
    assert_eq!(read, 1_000);
}

/// The files of a commit whose log entry is empty would look like files of no commit.
#[tokio::test]
async fn nothing_is_swept_if_the_log_has_a_gap() {
    let (disk, store) = store().await;
    let first = committed(&store, DAY, many(10, DAY)).await;
    committed(&store, DAY, many(20, DAY)).await;
    let entry = disk.path().join("coupons/_delta_log/00000000000000000001.json");
    std::fs::write(entry, "").unwrap();
    let fresh = ColdStore::on_folder(disk.path(), options());
    let swept = fresh.sweep(now()).await;
    assert!(matches!(swept, Err(ColdError::Damaged { .. })), "{swept:?}");
    assert!(exists(&disk, first.files[0].path()), "the only copy of ten coupons");
}
