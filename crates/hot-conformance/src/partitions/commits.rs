//! Archive commits and the versions of cold that a store knows.

use coupon::campaign::Campaign;
use coupon::code::Code;
use hot::ColdMark;

use crate::kit::{Kit, NOW, void};

pub(crate) async fn archive_commits_are_stored(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    kit.stocked(&campaign, 1).await;
    let day = campaign.expiry_day();
    let is_listed = async || {
        let partitions = kit.hot.partitions().await.unwrap();
        assert!(partitions.is_sorted_by_key(|plan| plan.day), "by day");
        partitions.iter().any(|plan| plan.day == day)
    };
    let archive_commit_of = async || {
        let archive_commits = kit.hot.archive_commits().await.unwrap();
        archive_commits
            .into_iter()
            .find(|(partition, _)| *partition == day)
            .map(|(_, archive_commit)| archive_commit)
    };
    assert_eq!(archive_commit_of().await, None, "nothing was archived");
    let steps = [
        ("the first", 1, false, 1, false),
        ("the same one again", 1, false, 1, false),
        ("the third", 3, false, 3, false),
        ("an earlier one, late", 2, false, 3, false),
        ("the last", 4, true, 4, true),
        ("an emptied partition stays emptied", 4, false, 4, true),
    ];
    for (name, archive_commit, all, want, emptied) in steps {
        kit.hot.finish_archive_commit(day, archive_commit, all.then_some(NOW)).await.unwrap();
        let plan = kit.hot.partition(day).await.unwrap().unwrap();
        assert_eq!((plan.archive_commit, plan.emptied), (want, emptied), "{name}");
        assert_eq!(is_listed().await, !emptied, "{name}");
        assert_eq!(archive_commit_of().await, Some(want), "{name}");
    }
}

/// Every read of cold sees at least the last archive commit that the store knows.
pub(crate) async fn cold_reads_name_the_last_archive_commit(kit: &Kit) {
    let campaign = Campaign { cancel_days: 0, extend_days: 0, ..kit.draft() };
    let codes = kit.stocked(&campaign, 3).await;
    let day = campaign.expiry_day();
    let ask = async |code: &Code| {
        kit.coupon(code).await;
        kit.archive.archive_commit_asked()
    };
    kit.done(&codes[0], void()).await;
    kit.archive_closed(day, NOW).await;
    assert_eq!(ask(&codes[0]).await, 1);
    kit.done(&codes[1], void()).await;
    kit.archive_closed(day, NOW).await;
    assert_eq!(
        (ask(&codes[0]).await, ask(&codes[1]).await),
        (2, 2),
        "for every code of the partition"
    );
    kit.archive_partition(day, kit.time_to_seal(day).await).await;
    for code in &codes {
        assert_eq!(ask(code).await, 3, "also for a code that cold may not have");
    }
}

pub(crate) async fn cold_marks_only_rise(kit: &Kit) {
    let mark = |begun, committed| ColdMark { begun, committed };
    let here = kit.hot.cold_mark().await.unwrap();
    let base = here.begun.max(here.committed).map_or(0, |mark| mark + 1);
    let steps = [
        ("nothing", mark(None, None), here),
        ("the first", mark(Some(base), None), mark(Some(base), here.committed)),
        ("committed", mark(None, Some(base)), mark(Some(base), Some(base))),
        ("a later one", mark(Some(base + 10), None), mark(Some(base + 10), Some(base))),
        ("an earlier one", mark(Some(base + 9), Some(base)), mark(Some(base + 10), Some(base))),
        ("both", mark(Some(base + 11), Some(base + 11)), mark(Some(base + 11), Some(base + 11))),
        ("none again", mark(None, None), mark(Some(base + 11), Some(base + 11))),
    ];
    for (name, raised, want) in steps {
        kit.hot.raise_cold_mark(raised).await.unwrap();
        assert_eq!(kit.hot.cold_mark().await.unwrap(), want, "{name}");
    }
}
