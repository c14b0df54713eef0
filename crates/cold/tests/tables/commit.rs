//! Writing files, and committing them to a partition.

use cold::{ColdError, ColdStore, CommitOutcome, ScanFilter};
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::Day;
use futures::future::join_all;
use tempfile::TempDir;

use super::sample::{
    DAY, NEXT, codes, committed, every_kind, everything, many, merged, options, spent, store,
    untouched, written,
};
use super::stores::Watched;

#[tokio::test]
async fn every_kind_of_coupon_is_read_back() {
    let (_disk, store) = store().await;
    let coupons = every_kind(DAY);
    let partition = committed(&store, DAY, coupons.clone()).await;
    assert_eq!(
        (partition.archive_commit, partition.files.len(), partition.files[0].rows()),
        (1, 1, 13)
    );
    let found = store.find(DAY, &codes(&coupons)).await.unwrap();
    for (coupon, found) in coupons.iter().zip(found) {
        assert_eq!(found.as_ref(), Some(coupon), "{}", coupon.code());
    }
    let mut rows = store.rows(&partition.files[0]).await.unwrap();
    assert_eq!(rows.next().await.unwrap().as_ref(), Some(&coupons));
    assert_eq!(rows.next().await.unwrap(), None);
    let mut keys = store.keys(&partition.files[0]).await.unwrap();
    let want: Vec<_> = coupons.iter().map(|it| (it.code().clone(), it.version())).collect();
    assert_eq!(keys.next().await.unwrap(), Some(want));
    assert_eq!(keys.next().await.unwrap(), None);
}

#[tokio::test]
async fn codes_ascend() {
    let (_disk, store) = store().await;
    let row = |code: &str| untouched(code, DAY);
    let cases = [
        ("the same code twice", vec![vec![row("AAAA"), row("AAAA")]]),
        ("a lower code", vec![vec![row("AAAB"), row("AAAA")]]),
        ("the same code in the next chunk", vec![vec![row("AAAA")], vec![row("AAAA")]]),
        ("ordered by bytes", vec![vec![row("AAAA9")], vec![row("AAAA10")]]),
    ];
    for (name, chunks) in cases {
        let mut writer = store.writer(DAY, 1, 0, &[]).await.unwrap();
        let mut pushed = Ok(());
        for chunk in chunks {
            pushed = writer.push(chunk).await;
        }
        assert!(matches!(pushed, Err(ColdError::Order { .. })), "{name}: {pushed:?}");
        let ended = writer.finish().await;
        assert!(matches!(ended, Err(ColdError::Unavailable { .. })), "{name}: {ended:?}");
    }
}

#[tokio::test]
async fn a_full_file_is_followed_by_another() {
    let (_disk, store) = store().await;
    let cases = [
        ("nothing", 0, vec![]),
        ("one", 1, vec![1]),
        ("full", 1_000, vec![1_000]),
        ("one more than full", 1_001, vec![1_000, 1]),
        ("two full files and more", 2_500, vec![1_000, 1_000, 500]),
    ];
    for (name, count, want) in cases {
        let mut writer = store.writer(DAY, 1, 0, &[]).await.unwrap();
        for chunk in many(count, DAY).chunks(300) {
            writer.push(chunk.to_vec()).await.unwrap();
        }
        let files = writer.finish().await.unwrap();
        let rows: Vec<u64> = files.iter().map(|new| new.file.rows()).collect();
        assert_eq!(rows, want, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_committers_of_an_archive_commit_wins() {
    let disk = TempDir::new().unwrap();
    let stores: Vec<ColdStore> =
        (0..6).map(|_| ColdStore::on_folder(disk.path(), options())).collect();
    for made in join_all(stores.iter().map(ColdStore::create)).await {
        made.unwrap();
    }
    for archive_commit in 1..=3 {
        let racers = stores.iter().enumerate().map(|(nth, store)| async move {
            let on = store.partition(DAY).await.unwrap();
            let files = written(
                store,
                DAY,
                archive_commit,
                vec![untouched(&format!("R{nth}U{archive_commit}"), DAY)],
            )
            .await;
            // Commits to another partition come between them and do not take their number.
            let other = Day(DAY.0 + 10 + i32::try_from(nth).unwrap());
            committed(store, other, vec![untouched(&format!("OTHER{archive_commit}"), other)])
                .await;
            store.commit(&on, archive_commit, &files, &[], u64::MAX).await.unwrap()
        });
        let ended = join_all(racers).await;
        let done = ended.iter().filter(|it| matches!(it, CommitOutcome::Done { .. })).count();
        let taken =
            ended.iter().filter(|it| **it == CommitOutcome::Taken { archive_commit }).count();
        assert_eq!((done, taken), (1, 5), "{ended:?}");
    }
    let partition = stores[0].partition(DAY).await.unwrap();
    assert_eq!((partition.archive_commit, partition.files.len()), (3, 3));
    assert_eq!(stores[5].partitions().await.unwrap().len(), 7);
}

#[tokio::test]
async fn which_commits_are_accepted() {
    let (_disk, store) = store().await;
    let empty = store.partition(DAY).await.unwrap();
    let files = written(&store, DAY, 1, many(3, DAY)).await;
    let done = store.commit(&empty, 1, &files, &[], u64::MAX).await.unwrap();
    assert!(matches!(done, CommitOutcome::Done { .. }), "{done:?}");
    let first = store.partition(DAY).await.unwrap();
    let later = written(&store, DAY, 3, vec![untouched("LATER", DAY)]).await;
    let second = written(&store, DAY, 2, vec![untouched("SECOND", DAY)]).await;
    let foreign = written(&store, NEXT, 2, vec![untouched("FOREIGN", NEXT)]).await;
    let cases = [
        ("the same again", &empty, 1, &files, true),
        ("other files with the same number", &empty, 1, &second, false),
        ("a number that is too high", &first, 3, &later, false),
        ("a number that is too low", &first, 1, &files, false),
        ("a partition read too early", &empty, 2, &second, false),
        ("files of another partition", &first, 2, &foreign, false),
        ("the next number", &first, 2, &second, true),
    ];
    for (name, on, archive_commit, files, want) in cases {
        let ended = store.commit(on, archive_commit, files, &[], u64::MAX).await.unwrap();
        assert_eq!(matches!(ended, CommitOutcome::Done { .. }), want, "{name}: {ended:?}");
    }
    assert_eq!(everything(&store).await.len(), 4);
}

#[tokio::test]
async fn a_commit_can_have_a_latest_version() {
    let (_disk, store) = store().await;
    committed(&store, NEXT, many(1, NEXT)).await;
    let on = store.partition(DAY).await.unwrap();
    let files = written(&store, DAY, 1, many(3, DAY)).await;
    let cases = [
        ("the version before", 1, CommitOutcome::Moved { version: 1 }),
        ("the next version", 2, CommitOutcome::Done { version: 2 }),
        ("a commit that was made is found", 1, CommitOutcome::Done { version: 2 }),
    ];
    for (name, up_to, want) in cases {
        let ended = store.commit(&on, 1, &files, &[], up_to).await.unwrap();
        assert_eq!(ended, want, "{name}");
    }
}

#[tokio::test]
async fn a_merge_replaces_files() {
    let (_disk, store) = store().await;
    let (old, new) = (untouched("AAAA", DAY), spent("AAAA", DAY, "ann"));
    committed(&store, DAY, vec![old]).await;
    let before = committed(&store, DAY, vec![untouched("BBBB", DAY)]).await;
    let whole = vec![new.clone(), untouched("BBBB", DAY)];
    let after = merged(&store, DAY, whole.clone()).await;
    assert_eq!((after.archive_commit, after.files.len()), (3, 1));
    assert_eq!(
        everything(&store).await,
        whole.iter().map(|it| (DAY, it.clone())).collect::<Vec<_>>()
    );
    // The replaced files are not live now, so no other commit can replace them.
    let files = written(&store, DAY, 4, whole).await;
    let ended = store.commit(&after, 4, &files, &before.files, u64::MAX).await.unwrap();
    assert_eq!(ended, CommitOutcome::Taken { archive_commit: 3 });
}

#[tokio::test]
async fn an_archive_commit_may_be_empty() {
    let (_disk, store) = store().await;
    let partition = committed(&store, DAY, Vec::new()).await;
    assert_eq!((partition.archive_commit, partition.files.len()), (1, 0));
    let partitions = store.partitions().await.unwrap();
    assert_eq!(partitions, [partition]);
}

#[tokio::test]
async fn files_without_a_commit_are_not_read() {
    let (disk, store) = store().await;
    written(&store, DAY, 1, many(3, DAY)).await;
    let mut half = store.writer(DAY, 1, 0, &[]).await.unwrap();
    half.push(many(3, DAY)).await.unwrap();
    drop(half);
    for store in [store, ColdStore::on_folder(disk.path(), options())] {
        assert_eq!(store.partitions().await.unwrap(), []);
        assert_eq!(everything(&store).await, []);
        assert_eq!(store.find(DAY, &codes(&many(1, DAY))).await.unwrap(), [None]);
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let watched = Watched::new();
    let store = ColdStore::with_store(watched.clone(), "memory", options());
    store.create().await.unwrap();
    let on = store.partition(DAY).await.unwrap();
    let files = written(&store, DAY, 1, many(3, DAY)).await;
    watched.lose_answers();
    let ended = store.commit(&on, 1, &files, &[], u64::MAX).await.unwrap();
    assert!(matches!(ended, CommitOutcome::Done { .. }), "{ended:?}");
    assert_eq!(everything(&store).await.len(), 3);
}

/// A name that is refused and not there is no other commit, so it is not tried again for ever.
#[tokio::test]
async fn a_refused_commit_is_not_blamed_on_others() {
    for (name, refusals, want) in [("for a moment", 2, Ok(2)), ("for ever", usize::MAX, Err(3))] {
        let watched = Watched::new();
        let store = ColdStore::with_store(watched.clone(), "memory", options());
        store.create().await.unwrap();
        let on = store.partition(DAY).await.unwrap();
        let files = written(&store, DAY, 1, many(3, DAY)).await;
        watched.refuse(refusals);
        let ended = store.commit(&on, 1, &files, &[], u64::MAX).await;
        match &ended {
            Ok(CommitOutcome::Done { version: 1 }) => {
                assert_eq!(want, Ok(watched.refused()), "{name}")
            }
            Err(ColdError::Unavailable { what, .. }) => {
                assert_eq!(what, "version 1 is refused, and not there", "{name}");
                assert_eq!(want, Err(watched.refused()), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_missing_store_is_an_error() {
    let disk = TempDir::new().unwrap();
    let cases = [
        ("no folder", disk.path().join("gone")),
        ("a folder without tables", disk.path().to_owned()),
    ];
    for (name, folder) in cases {
        let store = ColdStore::on_folder(&folder, options());
        assert_eq!(store.location(), folder.display().to_string());
        assert_eq!(store.version().await.unwrap(), None, "{name}");
        let nobody: UserId = "ann".parse().unwrap();
        let calls = [
            store.find(DAY, &codes(&many(1, DAY))).await.err(),
            store.of_holder(&nobody, None).await.err(),
            store.scan(ScanFilter::default()).await.err(),
            store.partition(DAY).await.err(),
            store.partitions().await.err(),
            store.writer(DAY, 1, 0, &[]).await.err(),
            store.commit_holders(DAY, 1).await.err(),
            store.sweep(DAY.start()).await.err(),
            store.checkpoint().await.err(),
        ];
        for (nth, error) in calls.into_iter().enumerate() {
            assert!(
                matches!(error, Some(ColdError::Unavailable { .. })),
                "{name} {nth}: {error:?}"
            );
        }
    }
    let late = disk.path().join("a/b");
    let store = ColdStore::on_folder(&late, options());
    store.create().await.unwrap();
    store.create().await.unwrap();
    assert_eq!(store.version().await.unwrap(), Some(0));
    std::fs::remove_dir_all(&late).unwrap();
    let found = store.find(DAY, &codes(&many(1, DAY))).await;
    assert!(matches!(found, Err(ColdError::Unavailable { .. })), "{found:?}");
}

#[tokio::test]
async fn a_checkpoint_has_the_whole_log() {
    let disk = TempDir::new().unwrap();
    let options = cold::ColdOptions { checkpoint_every: 3, ..options() };
    let store = ColdStore::on_folder(disk.path(), options.clone());
    store.create().await.unwrap();
    let coupons: Vec<Coupon> = every_kind(DAY);
    committed(&store, DAY, coupons[..5].to_vec()).await;
    committed(&store, NEXT, Vec::new()).await;
    store.checkpoint().await.unwrap();
    let log = disk.path().join("coupons/_delta_log");
    assert!(!log.join("_last_checkpoint").exists(), "no checkpoint after two commits");
    merged(&store, DAY, coupons.clone()).await;
    let other = ColdStore::on_folder(disk.path(), options.clone());
    for written in join_all([store.checkpoint(), other.checkpoint()]).await {
        written.unwrap();
    }
    assert!(log.join("_last_checkpoint").exists());
    let partitions = store.partitions().await.unwrap();
    for version in 0..3 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let again = ColdStore::on_folder(disk.path(), options);
    assert_eq!(again.partitions().await.unwrap(), partitions);
    assert_eq!(everything(&again).await.len(), coupons.len());
    committed(&again, NEXT, many(2, NEXT)).await;
    assert_eq!(everything(&store).await.len(), coupons.len() + 2);
}
