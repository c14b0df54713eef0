//! Coupons archived since a version: the cost depends on the new coupons, not on merges.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cold::{ArchivedSince, ColdOptions, ColdPartition, ColdStore, CommitOutcome};
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};

use super::sample::{DAY, NEXT, committed, many, options, spent, store, untouched};
use super::stores::Watched;

/// A code with its day and its version.
type Found = (Day, String, u64);

async fn since(store: &ColdStore, since: ArchivedSince) -> Vec<Found> {
    let mut archived = store.archived(since).await.unwrap();
    let mut found = Vec::new();
    while let Some((day, coupons)) = archived.next().await.unwrap() {
        let keys = coupons.iter().map(|it| (day, it.code().to_string(), it.version()));
        found.extend(keys);
    }
    found.sort();
    found
}

/// Merges the files of a partition and the new coupons into one file.
async fn merge(store: &ColdStore, day: Day, coupons: Vec<Coupon>) -> ColdPartition {
    let on = store.partition(day).await.unwrap();
    let archive_commit = on.archive_commit + 1;
    let mut writer = store.writer(day, archive_commit, 1, &on.files).await.unwrap();
    writer.push(coupons).await.unwrap();
    let files = writer.finish().await.unwrap();
    let ended = store.commit(&on, archive_commit, &files, &on.files, u64::MAX).await.unwrap();
    assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    store.partition(day).await.unwrap()
}

#[tokio::test]
async fn archived_since_a_version() {
    let (_disk, store) = store().await;
    committed(&store, DAY, vec![untouched("AAAA", DAY), untouched("CCCC", DAY)]).await;
    committed(&store, NEXT, many(2, NEXT)).await;
    let known = ArchivedSince::ArchiveCommits(BTreeMap::from([(DAY, 1), (NEXT, 1)]));
    let version = store.version().await.unwrap().unwrap();
    assert_eq!(since(&store, known.clone()).await, []);
    // New: a coupon, and a later version of an archived one.
    let newer = spent("CCCC", DAY, "ann");
    let all = vec![untouched("AAAA", DAY), untouched("BBBB", DAY), newer];
    merge(&store, DAY, all.clone()).await;
    let new = [(DAY, "BBBB".to_owned(), 0), (DAY, "CCCC".to_owned(), 2)];
    let everything = [
        (DAY, "AAAA".to_owned(), 0),
        (DAY, "BBBB".to_owned(), 0),
        (DAY, "CCCC".to_owned(), 2),
        (NEXT, "C000000".to_owned(), 0),
        (NEXT, "C000001".to_owned(), 0),
    ];
    let cases: [(&str, ArchivedSince, &[Found]); 6] = [
        ("archive commits", known, &new),
        ("a version", ArchivedSince::Version(version), &new),
        ("before the first version", ArchivedSince::Version(0), &everything),
        ("no archive commit", ArchivedSince::ArchiveCommits(BTreeMap::new()), &everything),
        (
            "one archive commit",
            ArchivedSince::ArchiveCommits(BTreeMap::from([(DAY, 2)])),
            &everything[3..],
        ),
        ("a version that does not exist yet", ArchivedSince::Version(99), &[]),
    ];
    for (name, behind, want) in cases {
        assert_eq!(since(&store, behind).await, want, "{name}");
    }
    // Merged again, without new coupons.
    let partition = merge(&store, DAY, all).await;
    assert_eq!(
        (
            partition.archive_commit,
            partition.files[0].archive_commit(),
            partition.files[0].newest_archive_commit()
        ),
        (3, 3, 2)
    );
    assert_eq!(since(&store, ArchivedSince::Version(version)).await, new, "after two merges");
    assert_eq!(
        since(&store, ArchivedSince::ArchiveCommits(BTreeMap::from([(DAY, 2), (NEXT, 1)]))).await,
        []
    );
}

#[tokio::test]
async fn merged_files_without_new_coupons_are_not_read() {
    let watched = Watched::new();
    let store = ColdStore::with_store(watched.clone(), "memory", options());
    store.create().await.unwrap();
    for nth in 0..20 {
        let day = Day(DAY.0 + nth);
        committed(&store, day, many(500, day)).await;
    }
    let version = store.version().await.unwrap().unwrap();
    for nth in 0..19 {
        let day = Day(DAY.0 + nth);
        merge(&store, day, many(500, day)).await;
    }
    let last = Day(DAY.0 + 30);
    committed(&store, last, vec![spent("AAAA", last, "ann")]).await;
    let fresh = ColdStore::with_store(watched.clone(), "memory", options());
    fresh.version().await.unwrap();
    watched.reads();
    assert_eq!(
        since(&fresh, ArchivedSince::Version(version)).await,
        [(last, "AAAA".to_owned(), 2)]
    );
    assert_eq!(watched.coupon_reads().len(), 2, "a footer and a row group");
}

/// By the instants of the commits, not by the present clock.
#[tokio::test]
async fn the_version_some_time_before_another() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let (disk, store) = store().await;
    let mut written = SystemTime::UNIX_EPOCH + 10_000 * HOUR;
    for nth in 0..4 {
        let day = Day(DAY.0 + nth);
        committed(&store, day, many(1, day)).await;
    }
    for version in 0..=4 {
        let entry = disk.path().join(format!("coupons/_delta_log/{version:020}.json"));
        let entry = std::fs::File::options().write(true).open(entry).unwrap();
        entry.set_modified(written).unwrap();
        written += HOUR;
    }
    let cases = [
        ("just before it", 4, Duration::ZERO, Some(3)),
        ("an hour is not more than an hour", 4, HOUR, Some(2)),
        ("half an hour", 4, HOUR / 2, Some(3)),
        ("before an earlier version", 2, HOUR / 2, Some(1)),
        ("before the log", 4, 4 * HOUR, None),
        ("a version that does not exist", 9, HOUR, None),
    ];
    for (name, version, by, want) in cases {
        assert_eq!(store.version_before(version, by).await.unwrap(), want, "{name}");
    }
}

#[tokio::test]
async fn with_a_cut_log_everything_is_new() {
    let watched = Watched::new();
    let options = ColdOptions {
        checkpoint_every: 2,
        log_retention: Duration::ZERO,
        retention: Duration::ZERO,
        ..options()
    };
    let store = ColdStore::with_store(watched.clone(), "memory", options);
    store.create().await.unwrap();
    for nth in 0..6 {
        let day = Day(DAY.0 + nth);
        committed(&store, day, many(1, day)).await;
        store.checkpoint().await.unwrap();
    }
    store.cut_logs(Millis(i64::MAX)).await.unwrap();
    let cases =
        [("just before", ArchivedSince::Version(5)), ("long ago", ArchivedSince::Version(1))];
    for (name, behind) in cases {
        assert_eq!(since(&store, behind).await.len(), 6, "{name}");
    }
    assert_eq!(since(&store, ArchivedSince::Version(6)).await, [], "the first version in the log");
}
