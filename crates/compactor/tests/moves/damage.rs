//! A fault of a partition stops that partition, and a fault of a store stops the run. In both cases
//! hot loses nothing.

use std::fs;
use std::path::{Path, PathBuf};

use cold::ColdError;
use compactor::{ClosedPolicy, CompactError, CompactionReport, StoreMismatch};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use hot::{ColdMark, Partitions};
use tempfile::TempDir;

use super::stores::{Act, Frozen, Steps};
use super::world::{
    Ground, Said, World, ago, cancel, cold_folder, copied, copy, files, give, hot_folder, now,
    open_partition, orphans, over_partition, prepared, redeem, void,
};

/// The contents of hot, partition by partition.
#[derive(Debug, PartialEq)]
struct StoreState {
    rows: Vec<Coupon>,
    counts: Vec<(Day, u64)>,
    committed: Option<u64>,
}

async fn store_state(world: &World) -> StoreState {
    let mut counts = Vec::new();
    for partition in world.hot.partitions().await.unwrap() {
        counts.push((partition.day, world.hot.count(partition.day).await.unwrap()));
    }
    let ColdMark { committed, .. } = world.hot.cold_mark().await.unwrap();
    StoreState { rows: world.rows().await, counts, committed }
}

async fn count(world: &World, day: Day) -> u64 {
    world.hot.count(day).await.unwrap()
}

/// The one partition that was not archived, and the error.
fn failed(report: CompactionReport) -> (Day, CompactError) {
    let [(work, error)] = <[_; 1]>::try_from(report.failed).unwrap();
    (work.day, error)
}

fn flip(file: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0xFF;
    fs::write(file, bytes).unwrap();
}

fn parquet_of(world: &World, day: Day) -> Vec<PathBuf> {
    let folder = coupon::calendar::Date::of(day.start(), &coupon::calendar::Zone::utc());
    let folder = cold_folder(&world.at).join(format!("coupons/expiry_day={folder}"));
    files(&folder).into_keys().collect()
}

/// An archived marker without a coupon: the coupon was never copied.
async fn never_copied(world: &World) -> Code {
    let campaign = world.campaign("alone", over_partition()).await;
    let code = world.minted(&campaign, "alone", 1).await.remove(0);
    world.done(&code, void(), ago(180)).await;
    world.hot.evict(over_partition(), vec![(code.clone(), 1)]).await.unwrap();
    code
}

/// The coupon was changed after it was copied, by a clock that was behind.
async fn copied_in_an_older_version(world: &World) -> Code {
    let campaign = world.campaign("alone", over_partition()).await;
    let code = world.minted(&campaign, "alone", 1).await.remove(0);
    world.done(&code, give("ann"), ago(180)).await;
    world.done(&code, redeem("ann", "1"), ago(180)).await;
    let frozen = Frozen::new();
    let steps = Steps::named("before evict", frozen.act());
    let compactor = steps.compactor(world);
    let mut slow = tokio::spawn(async move { compactor.run(ago(130), ClosedPolicy::Now).await });
    frozen.arrives(&mut slow).await;
    world.done(&code, cancel("1"), ago(180)).await;
    frozen.thaws();
    slow.await.unwrap().unwrap();
    world.done(&code, redeem("ann", "2"), ago(180)).await;
    assert_eq!(world.see(&code).await.unwrap().coupon.version(), 4, "the late write is stored");
    world.hot.evict(over_partition(), vec![(code.clone(), 4)]).await.unwrap();
    code
}

/// The damage to a file.
type Harm = fn(&Path);

/// The damaged byte, of so many.
type PlaceOf = fn(usize) -> usize;

/// Whether the mismatch is the expected one.
type Found = fn(&StoreMismatch) -> bool;

#[tokio::test]
async fn an_archived_marker_alone_stops_its_partition() {
    for (name, ground) in [
        ("without a cold tier", Ground::Fresh),
        ("with files in the partition", Ground::Merge),
        ("in an older version", Ground::Fresh),
    ] {
        let (disk, _) = prepared(ground, 0).await;
        let world = World::open(disk.path());
        let code = match name {
            "in an older version" => copied_in_an_older_version(&world).await,
            _ => never_copied(&world).await,
        };
        let others = [Day(over_partition().0 - 19), Day(over_partition().0 + 3)];
        let (before, archive_commit) =
            (count(&world, over_partition()).await, archive_commit(&world).await);
        let report = world.compactor().run(now(), ClosedPolicy::Now).await.unwrap();
        assert_eq!(report.failed.len(), 1, "{name}: {report:?}");
        for day in others {
            assert!(
                report.partitions.iter().any(|partition| partition.day == day),
                "{name}: {report:?}"
            );
            assert_eq!(count(&world, day).await, 0, "{name}: the other partitions are archived");
        }
        match failed(report) {
            (day, CompactError::ArchivedMarkerAlone { day: same, code: found }) => {
                assert_eq!(
                    (day, same, found),
                    (over_partition(), over_partition(), code.to_string()),
                    "{name}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(count(&world, over_partition()).await, before, "{name}: nothing was deleted");
        assert_eq!(
            self::archive_commit(&world).await,
            archive_commit,
            "{name}: nothing was committed"
        );
    }
}

async fn archive_commit(world: &World) -> u64 {
    match world.cold.version().await.unwrap() {
        Some(_) => world.cold.partition(over_partition()).await.unwrap().archive_commit,
        None => 0,
    }
}

/// A file that is about to be merged.
#[tokio::test]
async fn a_damaged_file_stops_its_partition() {
    let harms: [(&str, Harm); 4] = [
        ("missing", |file| fs::remove_file(file).unwrap()),
        ("cut", |file| fs::write(file, &fs::read(file).unwrap()[..99]).unwrap()),
        ("its end overwritten", |file| flip(file, |len| len - 1)),
        ("its first page overwritten", |file| flip(file, |_| 40)),
    ];
    let (disk, _) = prepared(Ground::Merge, 0).await;
    for (name, harm) in harms {
        let disk = copied(disk.path());
        let world = World::open(disk.path());
        let (before, archive_commit) =
            (count(&world, over_partition()).await, archive_commit(&world).await);
        harm(&parquet_of(&world, over_partition())[0]);
        let report = world.compactor().run(now(), ClosedPolicy::Now).await.unwrap();
        let done: Vec<Day> = report.partitions.iter().map(|partition| partition.day).collect();
        assert!(
            done.contains(&open_partition()),
            "{name}: the other partitions are archived: {done:?}"
        );
        match failed(report) {
            (day, CompactError::Cold(ColdError::Damaged { .. })) => {
                assert_eq!(day, over_partition())
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(count(&world, over_partition()).await, before, "{name}: nothing was deleted");
        assert_eq!(
            self::archive_commit(&world).await,
            archive_commit,
            "{name}: nothing was committed"
        );
    }
}

/// A disk that flips a bit of a new file.
#[tokio::test]
async fn a_file_that_reads_back_wrong_is_not_committed() {
    let places: [(&str, PlaceOf); 4] = [
        ("in the first page", |_| 40),
        ("in the footer", |len| len - 40),
        ("in its length", |len| len - 6),
        ("at the end", |len| len - 1),
    ];
    for ground in [Ground::Fresh, Ground::Merge] {
        let (disk, cast) = prepared(ground, 0).await;
        for (name, place) in places {
            let disk = copied(disk.path());
            let world = World::open(disk.path());
            let before = world.census(&cast).await;
            let stood = world.rows().await.len();
            let folder = cold_folder(&world.at);
            let steps = Steps::new(
                |step| step.starts_with("after complete coupons/"),
                Act::Beside(Box::new(move |step| {
                    let file = step.strip_prefix("after complete ").unwrap();
                    flip(&folder.join(file), place);
                })),
            );
            let report = steps.compactor(&world).run(now(), ClosedPolicy::Now).await.unwrap();
            assert!(!report.failed.is_empty(), "{name}");
            for (work, error) in &report.failed {
                assert!(
                    matches!(
                        error,
                        CompactError::NotAsWritten { .. }
                            | CompactError::Cold(ColdError::Damaged { .. })
                    ),
                    "{name}: {work:?}: {error}"
                );
            }
            let evicted: u64 = report.partitions.iter().map(|partition| partition.removed).sum();
            // A partition that is one file already needs no new file.
            let without = if ground == Ground::Merge { 2 } else { 0 };
            assert_eq!(evicted, without, "{name}: {report:?}");
            assert_eq!(world.rows().await.len(), stood, "{name}: nothing was deleted");
            world.shows(&before, &cast, name).await;
            let now = now();
            world.compacts(now).await;
            world.is_settled(now, &before, &cast, name).await;
        }
    }
}

/// A flipped bit is found in every part of a written file, or its row would be lost.
#[tokio::test]
async fn every_flipped_bit_is_found() {
    let (disk, cast) = prepared(Ground::Fresh, 0).await;
    let mut unseen = Vec::new();
    for part in 0..24_usize {
        let disk = copied(disk.path());
        let world = World::open(disk.path());
        let before = world.census(&cast).await;
        let folder = cold_folder(&world.at);
        let steps = Steps::named(
            "after complete coupons/",
            Act::Beside(Box::new(move |step| {
                let file = step.strip_prefix("after complete ").unwrap();
                flip(&folder.join(file), |len| len * part / 24);
            })),
        );
        let report = steps.compactor(&world).run(now(), ClosedPolicy::Now).await.unwrap();
        let noticed = !report.failed.is_empty();
        let sound = world.cold_faults().await.is_empty();
        let lying = if sound { Some(world.lying().await) } else { None };
        let right = lying.is_some_and(|lying| {
            before.touched.iter().all(|(code, want)| {
                lying.get(code).is_some_and(|copies| copies.iter().any(|it| it.coupon == *want))
            })
        });
        if !noticed && !right {
            unseen.push(part);
        }
    }
    assert!(
        unseen.is_empty(),
        "committed although it is damaged, in 24ths of the file: {unseen:?}"
    );
}

type Spoil = fn(&Path, &TempDir);

/// Hot and cold of different instants.
#[tokio::test]
async fn a_mismatch_stops_everything() {
    let (disk, cast) = prepared(Ground::Merge, 0).await;
    let (early, late) = (copied(disk.path()), copied(disk.path()));
    World::open(late.path()).compacts(now()).await;
    let cases: [(&str, Spoil, Found); 4] = [
        (
            "cold is gone",
            |at, _| fs::remove_dir_all(cold_folder(at)).unwrap(),
            |mismatch| matches!(mismatch, StoreMismatch::ColdGone { committed: 5, .. }),
        ),
        (
            "cold is gone, its folder is not",
            |at, _| {
                fs::remove_dir_all(cold_folder(at)).unwrap();
                fs::create_dir(cold_folder(at)).unwrap();
            },
            |mismatch| matches!(mismatch, StoreMismatch::ColdGone { committed: 5, .. }),
        ),
        (
            "hot is an older copy",
            |at, late| {
                fs::remove_dir_all(cold_folder(at)).unwrap();
                copy(&cold_folder(late.path()), &cold_folder(at));
            },
            |mismatch| matches!(mismatch, StoreMismatch::HotOlder { begun: Some(5), .. }),
        ),
        (
            "cold is an older copy",
            |at, late| {
                fs::remove_dir_all(hot_folder(at)).unwrap();
                copy(&hot_folder(late.path()), &hot_folder(at));
            },
            |mismatch| matches!(mismatch, StoreMismatch::ColdOlder { found: 5, .. }),
        ),
    ];
    for (name, spoil, want) in cases {
        let disk = copied(early.path());
        spoil(disk.path(), &late);
        let world = World::open(disk.path());
        let (before, lay) = (store_state(&world).await, files(&cold_folder(disk.path())));
        let compactor = world.compactor();
        for call in ["run", "plan"] {
            let ended = match call {
                "run" => compactor.run(now(), ClosedPolicy::Now).await.map(drop),
                _ => compactor.plan(now(), ClosedPolicy::Now).await.map(drop),
            };
            match ended {
                Err(CompactError::StoreMismatch(mismatch)) => {
                    assert!(want(&mismatch), "{name}: {mismatch:?}")
                }
                other => panic!("{name}, {call}: {other:?}"),
            }
        }
        assert_eq!(store_state(&world).await, before, "{name}: hot did not change");
        assert_eq!(files(&cold_folder(disk.path())), lay, "{name}: cold did not change");
    }
    assert!(!cast.codes.is_empty());
}

/// A compactor was killed after an archive commit and before it wrote this to hot. The next run
/// evicts the rows. After that a missing cold tier must be found.
#[tokio::test]
async fn a_missing_cold_tier_of_a_killed_run_is_found() {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let campaign = world.campaign("one", open_partition()).await;
    let code = world.minted(&campaign, "one", 1).await.remove(0);
    world.done(&code, void(), ago(60)).await;
    let frozen = Frozen::new();
    let steps = Steps::named("before raise committed", frozen.act());
    let compactor = steps.compactor(&world);
    let mut killed = tokio::spawn(async move { compactor.run(now(), ClosedPolicy::Now).await });
    frozen.arrives(&mut killed).await;
    killed.abort();
    assert!(killed.await.is_err());
    world.compacts(now()).await;
    let version = world.cold.version().await.unwrap();
    assert_eq!(world.hot.cold_mark().await.unwrap().committed, version);
    fs::remove_dir_all(cold_folder(&world.at)).unwrap();
    let world = World::open(disk.path());
    let ended = world.compactor().run(now(), ClosedPolicy::Now).await;
    assert!(
        matches!(ended, Err(CompactError::StoreMismatch(StoreMismatch::ColdGone { .. }))),
        "{ended:?}"
    );
}

/// A write between the copy and the archived marker wins: the copy is out of date.
#[tokio::test]
async fn a_late_write_is_not_evicted() {
    let (disk, mut cast) = prepared(Ground::Fresh, 0).await;
    let world = World::open(disk.path());
    let campaign = world.campaign("late", open_partition()).await;
    let code = world.minted(&campaign, "late", 1).await.remove(0);
    cast.codes.push(code.clone());
    let past: Millis = ago(60);
    world.done(&code, give("ann"), past).await;
    world.done(&code, redeem("ann", "1"), past).await;
    let frozen = Frozen::new();
    let steps = Steps::named("before evict", frozen.act());
    let compactor = steps.compactor(&world);
    let mut slow = tokio::spawn(async move { compactor.run(now(), ClosedPolicy::Now).await });
    frozen.arrives(&mut slow).await;
    // By a server whose clock is behind.
    world.done(&code, cancel("1"), past).await;
    frozen.thaws();
    let report = slow.await.unwrap().unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(world.see(&code).await.unwrap().coupon.version(), 3, "the late write stays");
    assert_eq!(world.ask(&code, redeem("ann", "2"), past).await, Said::Accepted);
    let before = world.census(&cast).await;
    let later = open_partition().end().plus_days(40);
    world.compacts(later).await;
    world.is_settled(later, &before, &cast, "archived by the next run").await;
}

/// Other readers learn which days are complete: those that hot has nothing of any more.
#[tokio::test]
async fn which_days_are_complete() {
    let disk = crate::place::folder();
    let world = World::open(disk.path());
    let over = over_partition();
    for (word, day) in [("A", open_partition()), ("B", over)] {
        let campaign = world.campaign(&format!("c-{word}"), day).await;
        let states = vec![ImportedState::VOID, ImportedState::Available, ImportedState::VOID];
        world.imported(&campaign, word, states).await;
    }
    assert!(world.complete_days().await.is_empty(), "before the first compaction");
    let compactor = world.compactor();
    for (name, at, closed, want) in [
        ("a part of each day is in cold", ago(200), ClosedPolicy::Now, vec![]),
        ("one day is sealed and emptied", now(), ClosedPolicy::Now, vec![(over, 3)]),
        ("nothing to do", now(), ClosedPolicy::OnlyFinish, vec![(over, 3)]),
    ] {
        compactor.run(at, closed).await.unwrap();
        let found: Vec<(Day, u64)> = world.complete_days().await.into_iter().collect();
        assert_eq!(found, want, "{name}");
    }
    // The list follows from the stores: a lost one is written again.
    let list = cold_folder(&world.at).join("complete_days");
    fs::remove_dir_all(&list).unwrap();
    world.compacts(now()).await;
    assert_eq!(world.complete_days().await.into_iter().collect::<Vec<_>>(), [(over, 3)]);
}

/// A partition that cold has no folder for fails once in a run, for its own reason. It leaves no file,
/// is not sealed, and the others are archived.
#[tokio::test]
async fn a_day_without_a_folder() {
    let last = Day(2_932_896);
    let cases = [
        ("the first day", Day(0), None),
        ("the day before it", Day(-1), Some("its expiry day is before 1970-01-01")),
        ("the last day", last, None),
        ("the day after it", Day(last.0 + 1), Some("its expiry day is after 9999-12-31")),
    ];
    for (name, day, want) in cases {
        let disk = crate::place::folder();
        let world = World::open(disk.path());
        let mut codes = Vec::new();
        for (word, day) in [("A", day), ("B", open_partition())] {
            let campaign = world.campaign(&format!("c-{word}"), day).await;
            codes.extend(world.imported(&campaign, word, vec![ImportedState::VOID]).await);
        }
        for (run, copied) in [("first", 1 + u64::from(want.is_none())), ("second", 0)] {
            let report = world.compactor().run(now(), ClosedPolicy::Now).await.unwrap();
            assert_eq!(report.copied(), copied, "{name}, {run} run");
            let said: Vec<String> = report.failed.iter().map(|it| it.1.to_string()).collect();
            assert_eq!(said.len(), usize::from(want.is_some()), "{name}, {run} run: {said:?}");
            assert!(said.iter().all(|it| it.starts_with(want.unwrap())), "{name}: {said:?}");
        }
        assert!(orphans(&world.at).is_empty(), "{name}");
        assert_eq!(world.cold.partitions().await.unwrap().len(), 1 + usize::from(want.is_none()));
        let sealed = world.hot.partition(day).await.unwrap().unwrap().sealed;
        assert_eq!(sealed, want.is_none() && day < now().day(), "{name}");
        for code in &codes {
            assert_eq!(world.see(code).await.unwrap().coupon.state().as_str(), "void", "{name}");
        }
    }
}
