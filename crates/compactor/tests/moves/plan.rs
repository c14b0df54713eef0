//! What a plan does not write, and which partitions the Expired pass skips.

use compactor::{ClosedPolicy, CompactionPass, DuePass};
use coupon::campaign::Campaign;
use coupon::time::Day;
use hot::Partitions;

use super::stores::{Frozen, Steps};
use super::world::{
    Cast, Ground, SETTINGS, World, ago, cold_folder, files, now, open_partition, over_partition,
    prepared, void,
};

#[tokio::test]
async fn a_plan_writes_nothing() {
    let over = over_partition().0;
    let cases = [
        (Ground::Fresh, ClosedPolicy::Now, vec![over - 19, over - 9, over, over + 3, over + 200]),
        (Ground::Merge, ClosedPolicy::Now, vec![over - 19, over - 9, over, over + 3, over + 200]),
        (
            Ground::Merge,
            ClosedPolicy::WhenWorthwhile,
            vec![over - 19, over - 9, over, over + 3, over + 200],
        ),
    ];
    for (ground, closed, days) in cases {
        let (disk, cast) = prepared(ground, 0).await;
        let world = World::open(disk.path());
        let lay = files(&cold_folder(disk.path()));
        let census = world.census(&cast).await;
        let stood = (world.rows().await, world.hot.partitions().await.unwrap());
        let mark = world.hot.cold_mark().await.unwrap();
        let works = world.compactor().plan(now(), closed).await.unwrap();
        let again = world.compactor().plan(now(), closed).await.unwrap();
        assert_eq!(works, again);
        let planned: Vec<(Day, CompactionPass)> =
            works.iter().map(|work| (work.day, work.pass)).collect();
        let pass = |day: &Day| {
            if *day == open_partition() { CompactionPass::Closed } else { CompactionPass::Expired }
        };
        let want: Vec<(Day, CompactionPass)> =
            days.into_iter().map(Day).map(|day| (day, pass(&day))).collect();
        assert_eq!(planned, want, "{ground:?}, {closed:?}");
        assert_eq!(files(&cold_folder(disk.path())), lay, "{ground:?}: cold did not change");
        assert_eq!(
            (world.rows().await, world.hot.partitions().await.unwrap()),
            stood,
            "{ground:?}"
        );
        assert_eq!(world.hot.cold_mark().await.unwrap(), mark, "{ground:?}");
        assert_eq!(world.census(&cast).await, census, "{ground:?}");
    }
}

/// A partition gets a later `seal_after` between the plan and the seal.
#[tokio::test]
async fn a_partition_with_a_later_seal_after_is_skipped() {
    for ground in [Ground::Fresh, Ground::Merge] {
        let (disk, mut cast) = prepared(ground, 0).await;
        let world = World::open(disk.path());
        let frozen = Frozen::new();
        // Other partitions are sealed first.
        let seals = std::sync::atomic::AtomicU64::new(0);
        let third = move |step: &str| {
            step == "before seal" && seals.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2
        };
        let steps = Steps::new(third, frozen.act());
        let compactor = steps.compactor(&world);
        let now = now();
        let mut run = tokio::spawn(async move { compactor.run(now, ClosedPolicy::Now).await });
        frozen.arrives(&mut run).await;
        let before = world.rows().await;
        let archive_commit = archive_commit(&world, over_partition()).await;
        let longer = Campaign { cancel_days: 366, ..world.draft("longer", over_partition()) };
        world.create(&longer).await;
        cast.codes.extend(world.minted(&longer, "longer", 1).await);
        frozen.thaws();
        let report = run.await.unwrap().unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        let partition =
            report.partitions.iter().find(|partition| partition.day == over_partition()).unwrap();
        assert_eq!((partition.copied, partition.rows, partition.removed), (0, 0, 0), "{ground:?}");
        let plan = world.hot.partition(over_partition()).await.unwrap().unwrap();
        assert!(!plan.sealed && !plan.emptied, "{ground:?}: {plan:?}");
        assert_eq!(
            self::archive_commit(&world, over_partition()).await,
            archive_commit,
            "{ground:?}"
        );
        let on_it =
            |it: &&coupon::coupon::Coupon| Day::expiry_day_of(it.lasts_until()) == over_partition();
        let after = world.rows().await;
        let (was, is): (Vec<_>, Vec<_>) =
            (before.iter().filter(on_it).collect(), after.iter().filter(on_it).collect());
        assert!(!was.is_empty());
        assert_eq!(is, was, "{ground:?}");
    }
}

async fn archive_commit(world: &World, day: Day) -> u64 {
    match world.cold.version().await.unwrap() {
        Some(_) => world.cold.partition(day).await.unwrap().archive_commit,
        None => 0,
    }
}

/// Without enough closed coupons nothing of an open partition is archived.
#[tokio::test]
async fn an_open_partition_is_not_touched() {
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    let world = World::open(disk.path());
    let census = world.census(&cast).await;
    let is_open =
        |it: &coupon::coupon::Coupon| Day::expiry_day_of(it.lasts_until()) >= open_partition();
    let before: Vec<_> = world.rows().await.into_iter().filter(is_open).collect();
    // Closed for 30 days: after one more day they are worth an archive commit.
    let settings = compactor::CompactionSettings { closed_wait_days: 3_000, ..SETTINGS };
    let report =
        world.compactor_of(settings).run(now(), ClosedPolicy::WhenWorthwhile).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(
        report.partitions.iter().all(|partition| partition.pass == CompactionPass::Expired),
        "{report:?}"
    );
    let after: Vec<_> = world.rows().await.into_iter().filter(is_open).collect();
    assert!(before.len() > 10);
    assert_eq!(after, before);
    for day in [open_partition(), Day(open_partition().0 + 3)] {
        assert_eq!(archive_commit(&world, day).await, 0);
        assert!(!world.hot.partition(day).await.unwrap().unwrap().sealed);
    }
    world.shows(&census, &cast, "after the Expired pass").await;
    let left: Vec<DuePass> = world.compactor().plan(now(), ClosedPolicy::Now).await.unwrap();
    assert_eq!(left.iter().map(|work| work.day).collect::<Vec<_>>(), [open_partition()]);
}

/// A compactor was killed before it made the tables. Then there was nothing to archive.
#[tokio::test]
async fn a_cold_tier_without_tables_does_no_harm() {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let mark = hot::ColdMark { begun: Some(0), committed: None };
    world.hot.raise_cold_mark(mark).await.unwrap();
    let report = world.compacts(now()).await;
    assert!(report.partitions.is_empty(), "{report:?}");
    let campaign = world.campaign("open", open_partition()).await;
    let code = world.minted(&campaign, "a", 1).await.remove(0);
    world.done(&code, void(), ago(60)).await;
    let cast = Cast { codes: vec![code], campaigns: vec![campaign.id] };
    let before = world.census(&cast).await;
    let now = now();
    world.compacts(now).await;
    world.is_settled(now, &before, &cast, "moved").await;
}

/// The first partition that is over never had a row: its codes are still read.
#[tokio::test]
async fn an_untouched_partition_is_read_behind_its_seal() {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let campaign = world.campaign("empty", over_partition()).await;
    let codes = world.minted(&campaign, "a", 3).await;
    let cast = Cast { codes, campaigns: vec![campaign.id] };
    let before = world.census(&cast).await;
    assert!(before.read.values().all(Option::is_some), "{before:?}");
    let now = now();
    let report = world.compacts(now).await;
    assert_eq!(report.partitions.len(), 1, "{report:?}");
    assert!(world.hot.partition(over_partition()).await.unwrap().unwrap().emptied);
    world.is_settled(now, &before, &cast, "sealed").await;
}
