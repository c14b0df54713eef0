//! Moving a store from a data folder to a cluster: what arrives is what was there, however often the
//! copy is stopped, and the cluster goes on where the folder has ended.
//!
//! The cluster is a simulated one, and the file is a real one. The simulated clock goes on while the
//! file is written, as if its disk were slow.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "copying/beside.rs"]
mod beside;
#[path = "common/simulated.rs"]
mod simulated;
#[path = "copying/stops.rs"]
mod stops;
#[path = "common/store_events.rs"]
mod store_events;
#[path = "copying/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::Campaign;
use hot::audit::{Audit, AuditEntry};
use hot::feed::{FeedGone, FeedRead, FeedStart};
use hot::inventory::{
    COPIED, Compared, Copied, CopyError, CopySource, Importer, Inventory, Pages, Table, compare,
    copy,
};
use hot::{Fact, Facts, HotStore};
use hot_conformance::Case;
use hot_conformance::kit::{Kit, MemoryArchive, NOW, extend_days, keys, redeem};
use hot_cql::{self as cql, CqlHot};
use hot_sqlite::{SqliteHot, SqliteOptions};
use records::{bring_audit, bring_counts};
use simulated::ClusterFixture;
use stops::{SmallPages, StoppingTarget};
use tempfile::TempDir;
use world::CopiedWorld;

/// A paused clock goes on to the next timer whenever no task can run, and a task that waits for the
/// file's own thread cannot. So the next timer is always near, and takes a moment.
async fn holds_the_clock_back() {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::thread::sleep(Duration::from_micros(20));
    }
}

fn sqlite(archive: &Arc<MemoryArchive>) -> (Arc<SqliteHot>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    tokio::spawn(holds_the_clock_back());
    // The simulated clock runs ahead all the same while the file's own thread writes.
    let options = SqliteOptions {
        free_min_bytes: 0,
        write_timeout: Duration::from_secs(1_000_000),
        ..SqliteOptions::default()
    };
    let archive = Arc::clone(archive);
    let hot = SqliteHot::open(folder.path(), keys(), archive, options).unwrap();
    (Arc::new(hot), folder)
}

/// A process on a cluster of its own.
async fn simulated_cluster(seed: u64, archive: &Arc<MemoryArchive>) -> Arc<CqlHot> {
    // Few buckets, so that a partition is sealed in a moment; and this one process has one clock.
    let options =
        cql::CqlOptions { bucket_bits: 4, clock_bound_ms: 0, ..ClusterFixture::options() };
    ClusterFixture::calm(seed).process(options, Arc::clone(archive) as _, None).await
}

async fn copied(from: &dyn CopySource, to: &dyn Importer) -> Copied {
    copy(from, to, |_, _| ()).await.unwrap()
}

async fn is_same(from: &dyn CopySource, to: &dyn Inventory) -> Vec<Compared> {
    let compared = compare(from, to, |_, _| ()).await.unwrap();
    let differ: Vec<_> = compared.iter().filter(|one| !one.is_same()).collect();
    if !differ.is_empty() {
        let here = all_of(|table| Pages::to_copy(from, table)).await;
        let there = all_of(|table| Pages::of(to, table)).await;
        let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| {
            some.difference(others).take(3).cloned().collect::<Vec<_>>()
        };
        panic!("{differ:?}: {:#?} {:#?}", only(&here, &there), only(&there, &here));
    }
    compared
}

/// Every item as a text, to find a difference.
async fn all_of<'a>(pages: impl Fn(Table) -> Pages<'a>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for table in COPIED {
        let mut pages = pages(table);
        while let Some(items) = pages.next().await.unwrap() {
            all.extend(items.iter().map(|item| format!("{item:?}")));
        }
    }
    all
}

fn count(compared: &[Compared], what: &str) -> u64 {
    compared.iter().find(|one| one.what == what).map_or(0, |one| one.from.count)
}

/// Everything that the conformance suite makes of a store.
async fn lived_in(kit: &Arc<Kit>) {
    macro_rules! cases {
        ($($module:ident { $($case:ident)* })*) => {
            [$($(concat!(stringify!($module), "::", stringify!($case))),*),*]
        };
    }
    let cases = cases! {
        campaigns { created_once a_shared_code_is_taken_once serials_of_a_day_run_out patched }
        batches { minted_once batches_of_a_day_share_no_code untouched_lists_what_is_left }
        changes {
            a_whole_life a_hold_ends_by_the_clock extended_and_found_again extended_late
            an_import_knows_an_extended_coupon a_full_history_allows_cancel_and_revoke
        }
        issue {
            three_each a_revoked_coupon_is_issued_again used_serials_are_skipped
            paused_stock_is_not_issued imported_stock valid_days_count_from_issue replaced_once
            replaced_only_if_it_cannot_work_again a_full_history_is_skipped
        }
        shared { redeemed held_by_the_shared_code three_each cancelled_after_a_revoke }
        bearer { redeemed_from_paper put_into_a_wallet without_a_limit }
        imports {
            imported_twice states_only_go_forward the_dates_of_a_line_count
            holders_count_and_are_never_refused long_codes_are_remembered
        }
        partitions {
            evicted_only_in_the_copied_version sealed_only_when_its_time_is_over residue_in_pages
            emptying_leaves_other_partitions archive_commits_are_stored cold_marks_only_rise
        }
        archived {
            closed_coupons_answer_as_before sealed_coupons_answer_as_before extended_and_archived
            three_archived_coupons_count an_archived_coupon_is_replaced imported_again
        }
        restored {
            limits_are_kept foreign_codes_stay_taken extended_and_found used_serials_are_skipped
        }
        whole { counts_after_a_mixed_load one_of_each }
    };
    for name in cases {
        Case::named(name).run(kit).await;
    }
    kit.is_sound().await;
}

#[tokio::test(start_paused = true)]
async fn all_that_a_store_can_hold() {
    let archive = Arc::<MemoryArchive>::default();
    let (first, _folder) = sqlite(&archive);
    let kit = Arc::new(Kit::new(Arc::clone(&first) as _, Arc::clone(&archive)));
    lived_in(&kit).await;
    let cluster = simulated_cluster(1, &archive).await;
    copied(&*first, &*cluster).await;
    let compared = is_same(&*first, &*cluster).await;
    for what in [
        "days",
        "campaigns",
        "coupons",
        "archived markers",
        "directory entries",
        "claims",
        "replacements",
    ] {
        assert!(count(&compared, what) > 0, "{what}");
    }
    Kit::new(cluster, archive).is_sound().await;
}

#[tokio::test(start_paused = true)]
async fn at_work_after_it() {
    let archive = Arc::<MemoryArchive>::default();
    let (first, _folder) = sqlite(&archive);
    let world = CopiedWorld::made(&Kit::new(Arc::clone(&first) as _, Arc::clone(&archive))).await;
    let cluster = simulated_cluster(3, &archive).await;
    copied(&*first, &*cluster).await;
    is_same(&*first, &*cluster).await;
    let kit = Kit::new(cluster, archive);
    world.goes_on(&kit).await;
    world.the_rest_is_given(&kit).await;
}

/// The counts and the audit of all, and of each campaign.
#[tokio::test(start_paused = true)]
async fn counts_and_the_audit() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let kit = Kit::new(Arc::clone(&from) as _, Arc::clone(&archive));
    let campaigns = [kit.draft(), kit.draft()];
    for campaign in &campaigns {
        kit.stocked(campaign, 5).await;
    }
    let to = simulated_cluster(10, &archive).await;
    for (issue, pass) in ["first", "again"].into_iter().enumerate() {
        for campaign in &campaigns[issue..] {
            let user = kit.user("ann");
            let code = kit.issued(campaign, &user, pass).await;
            kit.done(&code, redeem(&user, pass)).await;
        }
        copied(&*from, &*to).await;
        let tables = to.tables();
        let [(counts, audit), (counts_there, audit_there)] = [&*from as &dyn HotStore, &*to]
            .map(|store| (store.activities().expect("counts"), store.audit().expect("an audit")));
        assert!(bring_audit(audit, &*tables).await.unwrap() >= 4, "{pass}");
        for id in [None].into_iter().chain(campaigns.iter().map(|it| Some(it.id.clone()))) {
            bring_counts(counts, &*tables, id.as_ref()).await.unwrap();
            let want = counts.activity(id.clone(), i64::MIN, i64::MAX).await.unwrap();
            assert!(!want.is_empty(), "{pass}: {id:?}");
            let found = counts_there.activity(id.clone(), i64::MIN, i64::MAX).await.unwrap();
            assert_eq!(found, want, "{pass}: {id:?}");
            let all = async |audit: &dyn Audit| {
                let entries = audit.audit(id.clone(), None, 100).await.unwrap();
                entries.into_iter().map(|it| it.entry).collect::<Vec<_>>()
            };
            let (want, found) = (all(audit).await, all(audit_there).await);
            assert!(!want.is_empty(), "{pass}: {id:?}");
            // The list of all is by time, and the kit does everything at one instant.
            let sorted = |mut entries: Vec<AuditEntry>| {
                entries.sort_by_key(|entry| format!("{entry:?}"));
                entries
            };
            assert_eq!(sorted(found), sorted(want), "{pass}: {id:?}");
        }
    }
}

/// Also one that an earlier epoch of the source has given, and one whose last word is a number.
#[tokio::test(start_paused = true)]
async fn a_cursor_of_the_source_is_gone() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let kit = Kit::new(Arc::clone(&from) as _, Arc::clone(&archive));
    let campaign = kit.draft();
    kit.stocked(&campaign, 3).await;
    let read = async |store: &dyn HotStore, start: FeedStart| {
        store.feed().expect("events").events(start, 10).await.unwrap()
    };
    let mut cursors = Vec::new();
    for issue in ["a", "b"] {
        kit.issued(&campaign, &kit.user("ann"), issue).await;
        let FeedRead::Page(page) = read(&*from, FeedStart::Oldest).await else { panic!("{issue}") };
        cursors.push(page.next);
        from.begin_feed_epoch().await.unwrap();
    }
    let to = simulated_cluster(9, &archive).await;
    for pass in ["first", "again"] {
        copied(&*from, &*to).await;
        let (early, late) = (cursors[0].clone(), cursors[1].clone());
        let epoch = early.split('-').next().unwrap();
        let rows = [
            ("of an early epoch", early.clone(), true),
            ("of the last one", late, true),
            ("as ours look", format!("{epoch}-7-12"), true),
            ("of no store", "0123456789abcdef-7-12".to_owned(), false),
            ("none", "x".to_owned(), false),
        ];
        for (name, cursor, want) in rows {
            match read(&*to, FeedStart::After(cursor)).await {
                FeedRead::Gone { why: FeedGone::Moved, go_on } if want => {
                    let next = read(&*to, FeedStart::After(go_on)).await;
                    assert!(matches!(next, FeedRead::Page(_)), "{pass}: {name}: {next:?}");
                }
                FeedRead::Unknown if !want => {}
                other => panic!("{pass}: {name}: {other:?}"),
            }
        }
    }
}

/// Stops after each step that writes to the target, and goes on; while the source is at work.
async fn stopped_everywhere(
    from: &Arc<SqliteHot>,
    to: &Arc<CqlHot>,
    kit: &Kit,
    world: &CopiedWorld,
) {
    let small = SmallPages { inner: Arc::clone(from) as _, items: 2 };
    let (mut stops, mut resumed) = (0_usize, 0_usize);
    loop {
        // One page at least: some stop before it is put, some before its position is kept.
        let target = StoppingTarget::after(Arc::clone(to) as _, 2 + stops % 3);
        match copy(&small, &target, |_, _| ()).await {
            Ok(last) => {
                resumed += usize::from(last.resumed);
                break;
            }
            Err(CopyError::Store(_)) => stops += 1,
            Err(error) => panic!("{error}"),
        }
        if stops == 20 {
            world.changes(kit).await;
        }
        assert!(stops < 5_000, "it comes to an end");
    }
    assert!(stops > 30 && resumed == 1, "{stops}");
}

#[tokio::test(start_paused = true)]
async fn stopped_and_passed_again() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let kit = Kit::new(Arc::clone(&from) as _, Arc::clone(&archive));
    let world = CopiedWorld::made(&kit).await;
    let to = simulated_cluster(4, &archive).await;
    stopped_everywhere(&from, &to, &kit, &world).await;
    let again = copied(&*from, &*to).await;
    assert!(again.again && !again.resumed);
    is_same(&*from, &*to).await;
    world.changes_more(&kit).await;
    let compared = compare(&*from, &*to, |_, _| ()).await.unwrap();
    assert!(compared.iter().any(|one| !one.is_same()), "what has changed since is seen");
    let again = copied(&*from, &*to).await;
    assert!(again.removed > 0, "an account and rejected lines are gone");
    is_same(&*from, &*to).await;
    assert_eq!(copied(&*from, &*to).await.removed, 0);
    is_same(&*from, &*to).await;
    Kit::new(to, archive).is_sound().await;
}

/// A day and a campaign that are made after those were copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn made_meanwhile() {
    let archive = Arc::<MemoryArchive>::default();
    let (from, _folder) = sqlite(&archive);
    let to = simulated_cluster(5, &archive).await;
    let kit = Kit::new(Arc::clone(&from) as _, archive);
    let early = kit.draft();
    kit.stocked(&early, 3).await;
    kit.issued(&early, &kit.user("ann"), "a").await;
    let mut position = String::new();
    while !position.starts_with("first coupons") {
        let target = StoppingTarget::after(Arc::clone(&to) as _, 2);
        copy(&*from, &target, |_, _| ()).await.unwrap_err();
        position = to.fact(Fact::CopyPosition).await.unwrap().unwrap_or_default();
    }
    let expires_at = early.expires_at.plus_days(40);
    let late = Campaign { expires_at, ..kit.draft() };
    kit.stocked(&late, 3).await;
    kit.issued(&late, &kit.user("ann"), "a").await;
    kit.imported(&late, 2).await;
    let moved = kit.issued(&early, &kit.user("bob"), "a").await;
    kit.done(&moved, extend_days(&early, 5)).await;
    assert!(copied(&*from, &*to).await.resumed);
    copied(&*from, &*to).await;
    is_same(&*from, &*to).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_target_is_written_over() {
    let archive = Arc::<MemoryArchive>::default();
    let ((first, _one), (second, _two)) = (sqlite(&archive), sqlite(&archive));
    let kit_of = |hot: Arc<dyn HotStore>| Kit::new(hot, Arc::clone(&archive));
    for hot in [&first, &second] {
        let kit = kit_of(Arc::clone(hot) as _);
        kit.create(&kit.draft()).await;
    }
    let refused = async |from: &SqliteHot, to: &CqlHot, why: &str| {
        let error = copy(from, to, |_, _| ()).await.unwrap_err();
        assert!(matches!(&error, CopyError::Refused(said) if said.contains(why)), "{error}");
    };
    let in_use = simulated_cluster(6, &archive).await;
    let kit = kit_of(Arc::clone(&in_use) as _);
    kit.create(&kit.draft()).await;
    refused(&first, &in_use, "not empty").await;
    let target = simulated_cluster(7, &archive).await;
    copied(&SmallPages { inner: Arc::clone(&first) as _, items: 1 }, &*target).await;
    refused(&second, &target, "copy of another store").await;
    copied(&*first, &*target).await;
    target.touch(NOW).await.unwrap();
    refused(&first, &target, "is the store now").await;
    // A store in which nothing has been done yet may have been served.
    let empty = simulated_cluster(8, &archive).await;
    empty.touch(NOW).await.unwrap();
    copied(&*first, &*empty).await;
    is_same(&*first, &*empty).await;
}
