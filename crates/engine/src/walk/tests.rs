use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cold::ColdStore;
use compactor::{ClosedPolicy, CompactionProgress, CompactionSettings, Compactor};
use coupon::calendar::Zone;
use coupon::code::{Code, CodeText};
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::imported::{ImportRun, ImportedState, arrive};
use coupon::time::Millis;
use hot::{ColdMark, Partitions};
use hot_sqlite::SqliteHot;
use tempfile::TempDir;

use super::*;
use crate::testing::{admin, clock, opened, request, stream};
use crate::{AdminChange, CampaignDraft, Clock, NewExpiry};

/// A walk reads each of the partitions below in about ten chunks.
const SMALL: usize = 40;

/// Coupons of the partition that is over: hot deletes them in several transactions.
const OVER: usize = 450;

/// Coupons of the partition that is open.
const OPEN: usize = 90;

/// Coupons of each partition in an earlier compaction.
const EARLIER: usize = 60;

/// What a walk is about to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Hot,
    Cold,
}

thread_local! {
    /// A compaction that runs before one of the reads.
    static DUE: RefCell<Option<(Read, usize, Compactor)>> = const { RefCell::new(None) };
}

/// Where the two reads of a walk can be overtaken.
pub(super) async fn meanwhile(read: Read) {
    let due = DUE.with_borrow_mut(|due| match due {
        Some((at, 0, _)) if *at == read => due.take(),
        Some((at, left, _)) => {
            *left -= usize::from(*at == read);
            None
        }
        None => None,
    });
    if let Some((_, _, compactor)) = due {
        compactor.run(now(), ClosedPolicy::Now).await.unwrap();
    }
}

fn now() -> Millis {
    clock().now()
}

/// Noon of the day `days` days before today.
fn ago(days: i32) -> Millis {
    Day(now().day().0 - days).start().plus_ms(43_200_000)
}

struct World {
    engine: Arc<Engine>,
    hot: Arc<SqliteHot>,
    cold: Arc<ColdStore>,
}

impl World {
    fn open(at: &Path) -> World {
        // Longer than the machine stops for while it does other things.
        let look_up_max = Duration::from_secs(300);
        let options =
            cold::ColdOptions { retention: Duration::ZERO, look_up_max, ..Default::default() };
        let (engine, hot) = opened(at, options, *b"the tests' key..", &clock());
        let cold = Arc::clone(engine.cold());
        World { engine, hot, cold }
    }

    async fn campaign(&self, id: &str, stock: u64, partition: Day) {
        let draft = CampaignDraft {
            id: id.parse().ok(),
            stock: Some(stock),
            valid_from: Some(ago(400)),
            expires_at: Some(partition.end()),
            cancel_days: Some(0),
            per_user_limit: Some(Some(100)),
            ..CampaignDraft::default()
        };
        self.engine.create_campaign(&admin(), draft).await.unwrap();
    }

    async fn import(&self, campaign: &str, file: &str) {
        let done = self.engine.import(&admin(), request(campaign), stream(file), |_| {}).await;
        let counts = done.unwrap().into_inner().import;
        assert_eq!(counts.rejected, 0, "{counts:?}");
    }

    /// Coupons of the partition `day`, closed and open ones in turn.
    async fn coupons(&self, campaign: &str, round: usize, count: usize, day: Day) {
        let at = |instant: Millis| coupon::calendar::format_instant(instant);
        let mut file =
            "code,valid_from,expires_at,state,user_id,redeemed_at,order_ref\n".to_owned();
        for nth in 0..count {
            let code = format!("U{}{round}{nth:05}", campaign.to_uppercase());
            let (from, end) = (at(ago(500)), at(day.end()));
            let rest = match nth % 4 {
                0 => ",,,".to_owned(),
                1 => format!("issued,u{nth},,"),
                2 => format!("redeemed,u{nth},{},{nth}", at(ago(200))),
                _ => "void,,,".to_owned(),
            };
            file.push_str(&format!("{code},{from},{end},{rest}\n"));
        }
        self.import(campaign, &file).await;
    }

    fn compactor(&self, watch: compactor::ProgressWatch) -> Compactor {
        let settings =
            CompactionSettings { partition_files_max: 2, ..CompactionSettings::default() };
        Compactor::new(self.hot.clone(), Arc::clone(&self.cold), settings, watch)
    }

    async fn compact(&self, at: Millis) {
        let report = self.compactor(Arc::new(|_| {})).run(at, ClosedPolicy::Now).await.unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
    }

    /// Every coupon, read by its code.
    async fn by_code(&self, codes: impl IntoIterator<Item = &Code>) -> BTreeMap<Code, Coupon> {
        let mut read = BTreeMap::new();
        for code in codes {
            let text = CodeText::from(code.clone());
            let view = self.engine.coupon(&admin(), &text, None).await.unwrap();
            read.insert(code.clone(), view.coupon);
        }
        read
    }
}

/// A compaction in a thread of its own that waits before each step.
struct Stepped {
    go: Option<Sender<()>>,
    at: Receiver<CompactionProgress>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stepped {
    fn begin(world: &World) -> Stepped {
        let (go, may) = channel::<()>();
        let (tell, at) = channel();
        let may = std::sync::Mutex::new(may);
        let compactor = world.compactor(Arc::new(move |step| {
            // No step waits after the test lets it run to its end.
            let _ = tell.send(step);
            let _ = may.lock().unwrap().recv();
        }));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let report = runtime.block_on(compactor.run(now(), ClosedPolicy::Now)).unwrap();
            assert!(report.failed.is_empty(), "{:?}", report.failed);
        });
        let _ = at.recv();
        Stepped { go: Some(go), at, thread: Some(thread) }
    }

    /// Lets it run until its next step. Returns whether there was one.
    fn step(&mut self) -> bool {
        let go = self.go.as_ref().unwrap();
        go.send(()).is_ok() && self.at.recv().is_ok()
    }

    /// Lets it run to its end.
    fn end(mut self) {
        self.go = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The coupons of a walk, by call.
#[derive(Default)]
struct Seen(Vec<Coupon>);

impl Seen {
    async fn next(&mut self, walk: &mut CouponWalk) -> bool {
        let Some(sifted) = walk.next_of(|_| true).await.unwrap() else { return false };
        let snapshots = sifted.rows;
        assert!(snapshots.len() <= 2 * SMALL, "{} coupons at a time", snapshots.len());
        self.0.extend(snapshots.into_iter().map(|snapshot| snapshot.coupon));
        true
    }

    async fn rest(&mut self, walk: &mut CouponWalk) {
        while self.next(walk).await {}
    }

    /// Checks that each coupon comes once, in order and unchanged.
    fn is(&self, want: &BTreeMap<Code, Coupon>, name: &str) {
        let at =
            |coupon: &Coupon| (Day::expiry_day_of(coupon.lasts_until()), coupon.code().clone());
        for pair in self.0.windows(2) {
            assert!(at(&pair[0]) < at(&pair[1]), "{name}: {:?}", [at(&pair[0]), at(&pair[1])]);
        }
        for coupon in &self.0 {
            assert_eq!(want.get(coupon.code()), Some(coupon), "{name}");
        }
        let seen: std::collections::BTreeSet<&Code> = self.0.iter().map(Coupon::code).collect();
        let missed: Vec<&Code> = want.keys().filter(|code| !seen.contains(code)).collect();
        assert!(missed.is_empty(), "{name}: missed {} such as {:?}", missed.len(), missed.first());
    }
}

/// Two partitions with every kind of coupon: one that is over, one that is open. With `ground` each
/// has two files and archived markers already, so that the next commit is a merge.
async fn prepared(at: &Path, ground: bool) -> BTreeMap<Code, Coupon> {
    let world = World::open(at);
    let (over, open) = (Day(now().day().0 - 100), Day(now().day().0 + 100));
    world.campaign("c", 20, open).await;
    let earlier = if ground { 2 } else { 0 };
    for round in 0..earlier {
        world.coupons("c", 2 * round, EARLIER, over).await;
        world.coupons("c", 2 * round + 1, EARLIER, open).await;
        // At an instant when both partitions were open.
        world.compact(ago(90)).await;
    }
    world.coupons("c", 2 * earlier, OVER, over).await;
    world.coupons("c", 2 * earlier + 1, OPEN, open).await;
    let user = |nth: usize| format!("m{nth}").parse().ok();
    for nth in 0..20 {
        let name = format!("r{nth}").parse().ok();
        let (by, campaign) = (admin(), "c".parse().unwrap());
        let issued = world.engine.issue(&by, &campaign, user(nth), name).await.unwrap();
        let code: CodeText = issued.into_inner().code.parse().unwrap();
        if nth % 2 == 0 {
            let order = format!("o{nth}").parse().unwrap();
            world.engine.redeem(&by, &code, user(nth), order, Default::default()).await.unwrap();
        }
    }
    let mut seen = Seen::default();
    seen.rest(&mut Arc::clone(&world.engine).walk_by(SMALL, None)).await;
    assert_eq!(seen.0.len(), 2 * earlier * EARLIER + OVER + OPEN + 20);
    let want = world.by_code(seen.0.iter().map(Coupon::code)).await;
    seen.is(&want, "before");
    want
}

/// A whole compaction between two chunks of a walk, for each chunk.
#[tokio::test]
async fn beside_a_whole_compaction() {
    for ground in [false, true] {
        let template = TempDir::new().unwrap();
        let want = prepared(template.path(), ground).await;
        for calls in 0.. {
            let folder = TempDir::new().unwrap();
            copy(template.path(), folder.path());
            let world = World::open(folder.path());
            let mut walk = Arc::clone(&world.engine).walk_by(SMALL, None);
            let (mut seen, mut over) = (Seen::default(), false);
            for _ in 0..calls {
                over |= !seen.next(&mut walk).await;
            }
            world.compact(now()).await;
            seen.rest(&mut walk).await;
            seen.is(&want, &format!("ground {ground}, after {calls} calls"));
            if over {
                let mut again = Seen::default();
                again.rest(&mut Arc::clone(&world.engine).walk_by(SMALL, None)).await;
                again.is(&want, "after it");
                let left = world.hot.partitions().await.unwrap();
                assert_eq!(left.len(), 1, "the partition that was over is emptied: {left:?}");
                break;
            }
        }
    }
}

/// A whole compaction between the two reads of a chunk, or before both.
#[tokio::test]
async fn overtaken() {
    for ground in [false, true] {
        let template = TempDir::new().unwrap();
        let want = prepared(template.path(), ground).await;
        for (read, after) in [Read::Hot, Read::Cold].into_iter().flat_map(|it| {
            // The first chunk, one in the middle, and both ends of the partition that is over.
            [0, 1, 4, 11, 12, 13].map(move |after| (it, after))
        }) {
            let folder = TempDir::new().unwrap();
            copy(template.path(), folder.path());
            let world = World::open(folder.path());
            let compactor = world.compactor(Arc::new(|_| {}));
            DUE.set(Some((read, after, compactor)));
            let mut seen = Seen::default();
            seen.rest(&mut Arc::clone(&world.engine).walk_by(SMALL, None)).await;
            assert!(DUE.take().is_none(), "{read:?}, {after}: the compaction did not run");
            seen.is(&want, &format!("ground {ground}, before {read:?} number {after}"));
        }
    }
}

/// A compaction and a walk step by step: from each step of the compaction, after some chunks of the
/// walk.
#[tokio::test]
async fn beside_a_compaction_step_by_step() {
    for ground in [false, true] {
        let template = TempDir::new().unwrap();
        let want = prepared(template.path(), ground).await;
        let mut steps_made = Vec::new();
        // Calls before the compaction begins, and its steps before the walk continues.
        for (calls, before) in [0, 2].into_iter().flat_map(|it| (0..=4).map(move |n| (it, n))) {
            let name = format!("ground {ground}, {calls} calls, {before} steps");
            let folder = TempDir::new().unwrap();
            copy(template.path(), folder.path());
            let world = World::open(folder.path());
            let mut walk = Arc::clone(&world.engine).walk_by(SMALL, None);
            let mut seen = Seen::default();
            for _ in 0..calls {
                seen.next(&mut walk).await;
            }
            let mut compaction = Stepped::begin(&world);
            let mut steps = (0..before).filter(|_| compaction.step()).count();
            while seen.next(&mut walk).await {
                steps += usize::from(compaction.step());
            }
            compaction.end();
            seen.is(&want, &name);
            steps_made.push(steps);
        }
        assert!(steps_made.iter().any(|steps| *steps > 8), "{steps_made:?}");
    }
}

/// The first compaction is about to make the tables.
#[tokio::test]
async fn before_there_are_tables() {
    let folder = TempDir::new().unwrap();
    let want = prepared(folder.path(), false).await;
    let world = World::open(folder.path());
    world.hot.raise_cold_mark(ColdMark { begun: Some(0), committed: None }).await.unwrap();
    let mut seen = Seen::default();
    seen.rest(&mut Arc::clone(&world.engine).walk_by(SMALL, None)).await;
    seen.is(&want, "no table yet");
}

/// An extension takes a coupon to a later partition, which may be a new one.
#[tokio::test]
async fn extended_during_a_walk() {
    // Which of the coupons, and how often it comes.
    for (name, nth, want) in [("ahead of the walk", OPEN - 2, 1), ("behind the walk", 0, 2)] {
        let folder = TempDir::new().unwrap();
        let world = World::open(folder.path());
        let open = Day(now().day().0 + 100);
        world.campaign("c", 0, open).await;
        world.coupons("c", 0, OPEN, open).await;
        let mut walk = Arc::clone(&world.engine).walk_by(SMALL, None);
        let mut seen = Seen::default();
        seen.next(&mut walk).await;
        let code: CodeText = format!("UC0{:05}", nth / 4 * 4).parse().unwrap();
        let expiry = NewExpiry::At(open.end().plus_days(3));
        world.engine.extend(&admin(), &code, expiry, AdminChange::default()).await.unwrap();
        seen.rest(&mut walk).await;
        let copies: Vec<u64> = seen
            .0
            .iter()
            .filter(|coupon| CodeText::from(coupon.code().clone()) == code)
            .map(Coupon::version)
            .collect();
        assert_eq!(copies.len(), want, "{name}: {copies:?}");
        assert_eq!(copies.last(), Some(&2), "{name}: the newest version comes last");
        assert_eq!(seen.0.len(), OPEN + want - 1, "{name}");
    }
}

/// A file is merged and swept while it is read: the walk continues with the merged file.
#[tokio::test]
async fn swept_during_a_walk() {
    // More than one row group, so that one is not read yet.
    const ROWS: usize = 70_000;
    let folder = TempDir::new().unwrap();
    let world = World::open(folder.path());
    let day = Day(now().day().0 - 100);
    world.campaign("c", 0, Day(now().day().0 + 100)).await;
    world.import("c", "code\nUNUSED01\n").await;
    world.hot.raise_cold_mark(ColdMark { begun: Some(9), committed: None }).await.unwrap();
    world.cold.create().await.unwrap();
    let run = ImportRun { actor: Actor::new("admin:cli"), operation: OperationId(7), at: ago(300) };
    let coupon = |nth: usize| {
        let genesis = Genesis {
            code: format!("U{nth:09}").parse().unwrap(),
            campaign: "c".parse().unwrap(),
            batch: "old".parse().unwrap(),
            valid_from: ago(400),
            expires_at: day.end(),
            zone: Zone::utc(),
            created_at: ago(300),
        };
        arrive(genesis, &ImportedState::VOID, &run)
    };
    let mut replaced = Vec::new();
    let mut seen = Seen::default();
    let mut walk = Arc::clone(&world.engine).walk_by(SMALL, None);
    for archive_commit in 1..=2 {
        let on = world.cold.partition(day).await.unwrap();
        let mut writer = world.cold.writer(day, archive_commit, 0, &[]).await.unwrap();
        for first in (0..ROWS).step_by(10_000) {
            writer.push((first..first + 10_000).map(coupon).collect()).await.unwrap();
        }
        let files = writer.finish().await.unwrap();
        world.cold.commit(&on, archive_commit, &files, &replaced, u64::MAX).await.unwrap();
        replaced = world.cold.partition(day).await.unwrap().files;
        if archive_commit == 1 {
            seen.next(&mut walk).await;
        }
    }
    let swept = world.cold.sweep(now()).await.unwrap();
    assert_eq!(swept.files, 1, "the file that is read was swept");
    seen.rest(&mut walk).await;
    let codes: Vec<&str> = seen.0.iter().map(|coupon| coupon.code().as_str()).collect();
    assert_eq!(codes.len(), ROWS + 1);
    assert!(codes[..ROWS].is_sorted_by(|one, other| one < other));
}
