//! At every step of both passes, before and after each call of a store, the process stops, the call
//! fails, or the compactor freezes and another one overtakes it. The next run finishes the work.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use compactor::ClosedPolicy;
use coupon::time::Millis;
use tempfile::TempDir;

use super::stores::{Act, Frozen, Steps, Which, counted};
use super::world::{Cast, Census, Ground, World, copied, is_conflict, now, prepared};

/// For this test as a child process: its folder, and the step at which it stops.
const STOP: &str = "COUPONRY_TEST_STOP";

/// The fewest steps that each pass must have.
const STEPS_MIN: usize = 12;

/// `SIGABRT`.
const ABORTED: i32 = 6;

/// A store that is prepared once and copied for each case.
struct Stage {
    disk: TempDir,
    cast: Cast,
    before: Census,
    now: Millis,
}

impl Stage {
    async fn set(ground: Ground, bulk: usize) -> Arc<Stage> {
        let (disk, cast) = prepared(ground, bulk).await;
        let before = World::open(disk.path()).census(&cast).await;
        assert!(before.touched.len() > 20 + bulk && before.read.len() > 20);
        Arc::new(Stage { disk, cast, before, now: now() })
    }

    fn copied(&self) -> (TempDir, World) {
        let disk = copied(self.disk.path());
        let world = World::open(disk.path());
        (disk, world)
    }

    async fn shows(&self, world: &World, nth: u64, name: &str) {
        world.shows(&self.before, &self.cast.part(nth), name).await;
    }

    /// Finishes it with a compaction that nothing disturbs.
    async fn ends(&self, world: &World, nth: u64, name: &str) {
        world.compacts(self.now).await;
        world.is_settled(self.now, &self.before, &self.cast.part(nth), name).await;
    }
}

/// Prints the steps of each pass, and checks that they are enough.
fn tell(test: &str, ground: Ground, steps: &[(String, String)]) {
    let mut passes: BTreeMap<&str, usize> = BTreeMap::new();
    for (pass, _) in steps {
        *passes.entry(pass).or_default() += 1;
    }
    println!("{test}, {ground:?}: {} steps: {passes:?}", steps.len());
    for ((pass, kind), count) in counted(steps) {
        println!("  {count:4} {pass}: {kind}");
    }
    let stride = usize::try_from(crate::place::stride()).unwrap();
    assert!(steps.len() * stride >= 2 * STEPS_MIN, "{steps:?}");
    if stride > 1 {
        return;
    }
    let kinds: Vec<String> =
        counted(steps).into_keys().map(|(pass, it)| format!("{pass}: {it}")).collect();
    for pass in ["Closed", "Expired"] {
        assert!(passes[pass] >= STEPS_MIN, "{pass}");
        for kind in [
            "after raise begun",
            "after complete coupons file",
            "after put coupons log",
            "after raise committed",
            "after complete by_holder file",
            "after put by_holder log",
            "after finish_archive_commit",
        ] {
            let want = format!("{pass}: {kind}");
            assert!(kinds.contains(&want), "no step {want}");
        }
    }
    for want in ["Closed: after evict", "Expired: after seal", "Expired: after remove_residue"] {
        assert!(kinds.iter().any(|it| it == want), "no step {want}");
    }
}

/// In the child: compacts, and stops at its step.
async fn stops(asked: &str) {
    let (nth, folder) = asked.split_once(' ').unwrap();
    let world = World::open(Path::new(folder));
    // A process that stops at a read leaves the same as one that stops after the write before it.
    let which = Which::at_least(Which::Writes);
    let steps = Steps::nth(nth.parse().unwrap(), which, Act::Stop);
    steps.compactor(&world).run(now(), ClosedPolicy::Now).await.unwrap();
}

/// Runs the child. Returns the step at which it stopped, or none if it finished.
async fn stopped(nth: u64, folder: PathBuf) -> Option<(String, String)> {
    let test = "moves::steps::stopped_at_each_step";
    let run = move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(STOP, format!("{nth} {}", folder.display()))
            .envs(crate::place::environment())
            .output()
            .unwrap()
    };
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if ended.status.success() {
        assert!(said.contains("1 passed"), "{said}");
        return None;
    }
    assert_eq!(
        ended.status.signal(),
        Some(ABORTED),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let at = said.lines().find_map(|line| line.strip_prefix("STOPPED ")).unwrap();
    at.split_once(' ').map(|(pass, kind)| (pass.to_owned(), kind.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_at_each_step() {
    if let Ok(asked) = std::env::var(STOP) {
        return stops(&asked).await;
    }
    if !crate::place::is_there() {
        return;
    }
    for ground in [Ground::Fresh, Ground::Merge] {
        let stage = Stage::set(ground, 450).await;
        let points = each(&stage, 1, stopped_once).await;
        tell("stopped", ground, &points);
    }
}

async fn stopped_once(stage: Arc<Stage>, nth: u64) -> Option<(String, String)> {
    let disk = copied(stage.disk.path());
    let at = stopped(nth, disk.path().to_owned()).await?;
    let name = format!("stopped at {nth}, {at:?}");
    let world = World::open(disk.path());
    stage.shows(&world, nth, &name).await;
    stage.ends(&world, nth, &name).await;
    Some(at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_at_each_step() {
    if !crate::place::is_there() {
        return;
    }
    for ground in [Ground::Fresh, Ground::Merge] {
        let stage = Stage::set(ground, 0).await;
        let points = each(&stage, 2, failed_once).await;
        tell("failed", ground, &points);
    }
}

async fn failed_once(stage: Arc<Stage>, nth: u64) -> Option<(String, String)> {
    let (_disk, world) = stage.copied();
    let steps = Steps::nth(nth, Which::at_least(Which::Writes), Act::Fail);
    let ended = steps.compactor(&world).run(stage.now, ClosedPolicy::Now).await;
    let at = steps.at()?;
    let name = format!("failed at {nth}, {at:?}: {ended:?}");
    stage.shows(&world, nth, &name).await;
    stage.ends(&world, nth, &name).await;
    Some(at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflict_at_each_step() {
    if !crate::place::is_there() {
        return;
    }
    for ground in [Ground::Fresh, Ground::Merge] {
        let stage = Stage::set(ground, 0).await;
        let points = each(&stage, 3, conflict_once).await;
        tell("conflict", ground, &points);
    }
}

/// One compactor freezes, another one does all the work, then the first one is resumed.
async fn conflict_once(stage: Arc<Stage>, nth: u64) -> Option<(String, String)> {
    let (_disk, world) = stage.copied();
    let frozen = Frozen::new();
    let which = Which::at_least(Which::Asks);
    let steps = Steps::nth(nth, which, frozen.act());
    let compactor = steps.compactor(&world);
    let now = stage.now;
    let mut slow = tokio::spawn(async move { compactor.run(now, ClosedPolicy::Now).await });
    if let Some(ended) = frozen.arrives_or_ends(&mut slow).await {
        ended.unwrap();
        return None;
    }
    let at = steps.at()?;
    let name = format!("frozen at {nth}, {at:?}");
    world.compacts(now).await;
    stage.shows(&world, nth, &name).await;
    frozen.thaws();
    let ended = slow.await.unwrap();
    let name = format!("{name}: {ended:?}");
    // The files that it was about to read may be merged, and these tests sweep them at once: that
    // ends its run. Any other error would be a false alarm.
    match &ended {
        Ok(report) => {
            assert!(report.failed.iter().all(|(_, error)| is_conflict(error)), "{name}");
        }
        Err(error) => assert!(is_conflict(error), "{name}"),
    }
    stage.shows(&world, nth, &name).await;
    stage.ends(&world, nth, &name).await;
    Some(at)
}

/// Tries the steps from `first` on, two at the same time, until there are no more.
async fn each<F>(
    stage: &Arc<Stage>,
    first: u64,
    once: impl Fn(Arc<Stage>, u64) -> F + Send + Sync + 'static,
) -> Vec<(String, String)>
where
    F: Future<Output = Option<(String, String)>> + Send + 'static,
{
    let points = Arc::new(Mutex::new(Vec::new()));
    let (once, next) = (Arc::new(once), Arc::new(std::sync::atomic::AtomicU64::new(first)));
    let stride = crate::place::stride();
    let lanes = (0..2).map(|_| {
        let (stage, once) = (Arc::clone(stage), Arc::clone(&once));
        let (next, points) = (Arc::clone(&next), Arc::clone(&points));
        tokio::spawn(async move {
            loop {
                let nth = next.fetch_add(stride, std::sync::atomic::Ordering::SeqCst);
                match once(Arc::clone(&stage), nth).await {
                    Some(point) => points.lock().unwrap().push(point),
                    None => return,
                }
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    Arc::try_unwrap(points).unwrap().into_inner().unwrap()
}
