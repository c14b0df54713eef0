//! Persons are erased from the cold tier, also if the compactor is stopped, fails or is overtaken at any of its writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use coupon::code::Code;
use coupon::erasure::{Erasure, ErasureSet};
use coupon::time::{Day, Millis};
use hot::Partitions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use super::stores::{Act, Frozen, Steps};
use super::world::{
    Cast, Census, World, ago, cold_folder, copied, files, give, is_conflict, now, open_partition,
    over_partition, redeem, user,
};
use coupon::apply::Action;

const OLD: &str = "person-to-forget";
const ERASED: &str = "erased:0000000000000abc";

/// For a child process: its folder, and the write at which it stops.
const STOP: &str = "COUPONRY_TEST_ERASING_STOP";

fn set() -> ErasureSet {
    let other =
        Erasure { number: 2, user: user("nobody-here"), name: user("erased:0000000000000def") };
    let pending = vec![Erasure { number: 1, user: user(OLD), name: user(ERASED) }, other];
    ErasureSet { last: 2, pending }
}

/// Both tiers, with the person in every kind of file, and what users must see.
struct Stage {
    disk: TempDir,
    cast: Cast,
    want: Census,
    held: usize,
}

/// One coupon that the person redeemed, one that they had before, one whose order names them, and one of somebody else.
async fn stories(
    world: &World,
    campaign: &coupon::campaign::Campaign,
    word: &str,
    at: Millis,
) -> Vec<Code> {
    let codes = world.minted(campaign, word, 4).await;
    let revoke = Action::Revoke {
        user: user(OLD),
        reference: None,
        reason: format!("{OLD} gave it back").parse().ok(),
    };
    let stories = [
        vec![give(OLD), redeem(OLD, "1")],
        vec![give(OLD), revoke, give("bob"), redeem("bob", "2")],
        vec![give(OLD), redeem(OLD, &format!("{OLD}/3"))],
        vec![give("dan"), redeem("dan", "4")],
    ];
    for (code, story) in codes.iter().zip(stories) {
        for action in story {
            world.done(code, action, at).await;
        }
    }
    codes
}

impl Stage {
    /// A partition that is emptied, and an open one with several runs.
    async fn set() -> Arc<Stage> {
        let disk = crate::place::folder();
        let world = World::open(disk.path());
        let open = world.campaign("open", open_partition()).await;
        let over = world.campaign("over", over_partition()).await;
        let mut cast = Cast::default();
        cast.campaigns.extend([open.id.clone(), over.id.clone()]);
        for round in 1..=3 {
            cast.codes.extend(stories(&world, &open, &format!("A{round}"), ago(180)).await);
            cast.codes.extend(stories(&world, &over, &format!("B{round}"), ago(180)).await);
            world.compacts(if round < 3 { ago(130) } else { now() }).await;
        }
        assert!(world.hot.partition(over_partition()).await.unwrap().unwrap().emptied);
        assert!(world.rows().await.is_empty(), "hot is clean of the person");
        assert_eq!(
            world.cold.partition(open_partition()).await.unwrap().files.len(),
            2,
            "two runs"
        );
        let mut want = world.census(&cast).await;
        let shown = |it: &mut coupon::coupon::Coupon| {
            if let Some(shown) = set().of_coupon(it, 0) {
                *it = shown;
            }
        };
        want.touched.values_mut().for_each(shown);
        want.read.values_mut().flatten().for_each(shown);
        let held = want.touched.values().filter(|it| it.holder() == Some(&user(ERASED))).count();
        assert_eq!(held, 12);
        // What killed writers leave: files of the next commits of two partitions, and a half one.
        for day in [open_partition(), Day(open_partition().0 + 7)] {
            let next = world.cold.partition(day).await.unwrap().archive_commit + 1;
            let mut writer = world.cold.writer(day, next, 0, &[]).await.unwrap();
            let files = world.cold.partition(open_partition()).await.unwrap().files;
            writer
                .push(world.cold.rows(&files[0]).await.unwrap().next().await.unwrap().unwrap())
                .await
                .unwrap();
            assert_eq!(writer.finish().await.unwrap().len(), 1);
        }
        fs::write(cold_folder(disk.path()).join(".staging/1#1"), OLD).unwrap();
        assert!(found_in(disk.path()).len() > 10, "{:?}", found_in(disk.path()));
        Arc::new(Stage { disk, cast, want, held })
    }

    fn copied(&self) -> (TempDir, World) {
        let disk = copied(self.disk.path());
        let world = opened(disk.path());
        (disk, world)
    }

    /// Users see what they must, at any time after the erasure in hot.
    async fn shows(&self, world: &World, nth: u64, name: &str) {
        world.shows(&self.want, &self.cast.part(nth), name).await;
        for (holder, held) in [(OLD, 0), (ERASED, self.held), ("bob", 6), ("dan", 6)] {
            let found = world.cold.of_holder(&user(holder), None).await.unwrap();
            assert_eq!(found.len(), held, "{name}: {holder}");
        }
    }

    /// Nothing in the folder names the person, and nothing else has changed.
    async fn is_clean(&self, world: &World, nth: u64, name: &str) {
        let left = found_in(&world.at);
        assert!(left.is_empty(), "{name}: {left:?}");
        self.shows(world, nth, name).await;
        world.is_settled(now(), &self.want, &self.cast.part(nth), name).await;
        for day in [open_partition(), over_partition()] {
            let audit = world.cold.audit_side(day).await.unwrap();
            assert!(audit.faults.is_empty() && audit.behind == 0, "{name}: {audit:?}");
        }
    }

    /// Finishes it with a run that nothing disturbs.
    async fn ends(&self, world: &World, nth: u64, name: &str) {
        let report = world.compacts(now()).await;
        assert_eq!(report.erased.through, Some(2), "{name}: {report:?}");
        assert!(report.not_erased.is_none() && report.not_indexed.is_none(), "{name}: {report:?}");
        self.is_clean(world, nth, name).await;
    }
}

fn opened(at: &Path) -> World {
    let world = World::open(at);
    world.cold.know_erasures(set());
    world
}

/// The files of the cold tier that have the old name: as bytes, or as a value of a column.
fn found_in(at: &Path) -> BTreeSet<String> {
    let has = |bytes: &[u8]| bytes.windows(OLD.len()).any(|it| it == OLD.as_bytes());
    let mut found = BTreeSet::new();
    for (path, bytes) in files(&cold_folder(at)) {
        let mut values = Vec::new();
        if path.extension().is_some_and(|it| it == "parquet") {
            let file = fs::File::open(&path).unwrap();
            let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            for batch in batches.map(Result::unwrap) {
                batch.columns().iter().for_each(|column| texts(column, &mut values));
            }
        }
        if has(&bytes) || values.iter().any(|it| has(it.as_bytes())) {
            found.insert(path.strip_prefix(at).unwrap().display().to_string());
        }
    }
    found
}

/// Every text in a column, at any depth.
fn texts(column: &dyn Array, found: &mut Vec<String>) {
    match column.data_type() {
        DataType::Utf8 => {
            found.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned))
        }
        DataType::List(_) => texts(column.as_list::<i32>().values(), found),
        DataType::Map(..) => texts(column.as_map().entries(), found),
        DataType::Struct(_) => column.as_struct().columns().iter().for_each(|it| texts(it, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_names_an_erased_person() {
    let stage = Stage::set().await;
    let (_disk, world) = stage.copied();
    stage.shows(&world, 0, "pending").await;
    let erased = world.compactor().erase(now()).await.unwrap();
    assert_eq!(erased.through, Some(2));
    assert!(erased.files >= 4 && erased.rows >= 24, "{erased:?}");
    assert_eq!(found_in(&world.at), BTreeSet::new());
    stage.shows(&world, 0, "erased").await;
    // A run also merges the files of the index that it has now.
    stage.ends(&world, 0, "erased").await;
    // A new person of the same name is not the erased one.
    let more = world.campaign("more", open_partition()).await;
    let codes = world.minted(&more, "M", 1).await;
    world.done(&codes[0], give(OLD), ago(60)).await;
    world.done(&codes[0], redeem(OLD, "5"), ago(60)).await;
    let report = world.compacts(now()).await;
    assert_eq!((report.copied(), report.erased.through), (1, Some(2)));
    for (holder, held) in [(OLD, 1), (ERASED, stage.held)] {
        let found = world.cold.of_holder(&user(holder), None).await.unwrap();
        assert_eq!(found.len(), held, "{holder}");
    }
    let again = world.compactor().erase(now()).await.unwrap();
    assert_eq!((again.through, again.files, again.rows), (Some(2), 0, 0));
    assert_eq!(world.cold.of_holder(&user(OLD), None).await.unwrap().len(), 1);
    // Nothing is pending, so nothing is read.
    world.cold.know_erasures(ErasureSet { last: 2, pending: Vec::new() });
    assert_eq!(world.compactor().erase(now()).await.unwrap().through, None);
}

/// The write with this number, from 1, counted over all three tables and hot.
fn at_write(nth: u64, act: Act) -> Arc<Steps> {
    let seen = AtomicU64::new(0);
    let is_it = move |step: &str| {
        let is_write = step.starts_with("before ") || step.starts_with("after ");
        is_write && seen.fetch_add(1, Ordering::SeqCst) + 1 == nth
    };
    Steps::new(is_it, act)
}

/// Tries every write from `first` on, by the stride of these tests, until there is none.
async fn each<F: Future<Output = Option<String>>>(first: u64, once: impl Fn(u64) -> F) {
    let (mut nth, mut points) = (first, Vec::new());
    while let Some(point) = once(nth).await {
        points.push(point);
        nth += crate::place::stride();
    }
    println!("{} steps: {points:?}", points.len());
    assert!(points.len() as u64 * crate::place::stride() > 60, "{points:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_fails_at_each_write() {
    let stage = Stage::set().await;
    each(1, async |nth| {
        let (_disk, world) = stage.copied();
        let steps = at_write(nth, Act::Fail);
        let ended = steps.compactor(&world).erase(now()).await;
        let (pass, kind) = steps.at()?;
        let name = format!("failed at {nth}, {pass} {kind}: {ended:?}");
        stage.shows(&world, nth, &name).await;
        stage.ends(&world, nth, &name).await;
        Some(kind)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_stops_at_each_write() {
    if let Ok(asked) = std::env::var(STOP) {
        let (nth, folder) = asked.split_once(' ').unwrap();
        let world = opened(Path::new(folder));
        let steps = at_write(nth.parse().unwrap(), Act::Stop);
        steps.compactor(&world).erase(now()).await.unwrap();
        return;
    }
    let stage = Stage::set().await;
    each(2, async |nth| {
        let disk = copied(stage.disk.path());
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "moves::erasing::erasing_stops_at_each_write", "--nocapture"])
            .env(STOP, format!("{nth} {}", disk.path().display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        let at = said.lines().find_map(|line| line.strip_prefix("STOPPED "));
        assert_eq!(at.is_none(), ended.status.success(), "{said}");
        let name = format!("stopped at {nth}, {}", at?);
        let world = opened(disk.path());
        stage.shows(&world, nth, &name).await;
        stage.ends(&world, nth, &name).await;
        Some(at?.to_owned())
    })
    .await;
}

/// One freezes, another one does all of it, then the first goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_is_overtaken_at_each_write() {
    let stage = Stage::set().await;
    each(3, async |nth| {
        let (_disk, world) = stage.copied();
        let frozen = Frozen::new();
        let steps = at_write(nth, frozen.act());
        let compactor = steps.compactor(&world);
        let mut slow = tokio::spawn(async move { compactor.erase(now()).await });
        if let Some(ended) = frozen.arrives_or_ends(&mut slow).await {
            ended.unwrap();
            return None;
        }
        let (_, kind) = steps.at()?;
        let name = format!("frozen at {nth}, {kind}");
        stage.ends(&world, nth, &name).await;
        frozen.thaws();
        let ended = slow.await.unwrap();
        let name = format!("{name}: {ended:?}");
        // It may have lost its file, or a number. It never says that it is done too early.
        assert!(ended.as_ref().is_ok() || ended.as_ref().is_err_and(is_lost), "{name}");
        stage.shows(&world, nth, &name).await;
        stage.ends(&world, nth, &name).await;
        Some(kind)
    })
    .await;
}

/// Whether a compactor has lost a race, or the file that it was writing or reading.
fn is_lost(error: &compactor::CompactError) -> bool {
    is_conflict(error)
        || matches!(error, compactor::CompactError::Cold(cold::ColdError::Unavailable { .. }))
}
