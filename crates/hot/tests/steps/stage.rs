//! Where processes are opened, stopped and let go on, and the sweep over the steps of a protocol.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::apply::{Action, Change};
use coupon::campaign::Campaign;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::Day;
use futures::future::BoxFuture;
use hot::cql::{self, CqlHot, Gate, Keyspace, SchemaOptions, Target};
use hot::{Applied, Finding, HotError};
use tokio::sync::watch;

use crate::kit::{Kit, MemoryArchive, keys, of, ran};

/// Days between two scenes: some of them are sealed, and coupons are extended to those behind.
const DAYS_APART: i32 = 9;

/// Steps of the longest protocol, and some.
const STEPS_MAX: usize = 60;

/// A case that has failed so often is not worth its time any more.
const FAILURES_MAX: usize = 4;

/// How long one run may take.
const RUN_LIMIT: Duration = Duration::from_secs(240);

/// Bytes of one failure.
const SAID_MAX: usize = 1_000;

/// How often a call is repeated that ended without an answer.
const CALLS_MAX: usize = 10;

/// What the upkeep of a process writes beside every protocol: not a step of any.
const UPKEEP: [&str; 6] = [
    "INSERT INTO tally",
    "INSERT INTO closed",
    "UPDATE lease SET owner = null",
    // How many rows there are, which is written once for many of them.
    "UPDATE lease SET returned_rows",
    "UPDATE day_plan SET expiring_rows",
    "UPDATE day_plan SET closed_rows",
];

pub(crate) type Answer = Result<Applied, HotError>;

/// One keyspace for all cases, and what became of them.
pub(crate) struct Stage {
    /// A second process, which nobody stops, and the names for everything.
    pub(crate) kit: Kit,
    options: cql::Options,
    next_day: AtomicI32,
    covered: RefCell<BTreeMap<String, Covered>>,
    failures: RefCell<Vec<String>>,
}

/// Steps at which a sweep has stopped its protocol, in the order in which they were met first.
#[derive(Default)]
struct Covered {
    steps: Vec<&'static str>,
    runs: usize,
}

/// A process that can be stopped.
pub(crate) struct Process {
    pub(crate) hot: Arc<CqlHot>,
    pub(crate) hand: Arc<Hand>,
}

/// What holds a process: the gate that each of its writes passes.
pub(crate) struct Hand {
    state: Mutex<HandState>,
    /// The step before which the process was stopped, as long as it is.
    stopped: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct HandState {
    stop: Option<Stop>,
    passed: usize,
}

/// Where a process is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Before the step of this number, from 0.
    Before(usize),
    /// Before the first statement, also of the upkeep, that contains this.
    At(&'static str),
}

impl Hand {
    fn new() -> Hand {
        Hand { state: Mutex::default(), stopped: watch::Sender::new(None) }
    }

    /// The process goes on, up to `stop`.
    pub(crate) fn stop(&self, stop: Stop) {
        *self.state.lock().unwrap() = HandState { stop: Some(stop), passed: 0 };
        self.stopped.send_replace(None);
    }

    /// The process goes on.
    pub(crate) fn let_go(&self) {
        *self.state.lock().unwrap() = HandState::default();
        self.stopped.send_replace(None);
    }

    /// From now on the process writes nothing.
    pub(crate) fn stop_now(&self) {
        self.stopped.send_replace(Some("anything"));
    }

    /// Waits until the process has been stopped; before which step.
    pub(crate) async fn is_stopped(&self) -> &'static str {
        let mut stopped = self.stopped.subscribe();
        let step = stopped.wait_for(Option::is_some).await.unwrap();
        step.unwrap_or_default()
    }

    async fn pass(&self, cql: &'static str) {
        // Once it is stopped nothing of the process passes, the upkeep neither.
        if self.stopped.borrow().is_none() && self.meets(cql) {
            self.stopped.send_replace(Some(cql));
        }
        let mut stopped = self.stopped.subscribe();
        let _ = stopped.wait_for(Option::is_none).await;
    }

    /// Whether the process is to be stopped before this statement.
    fn meets(&self, cql: &'static str) -> bool {
        let mut state = self.state.lock().unwrap();
        match state.stop {
            None => false,
            Some(Stop::At(text)) => cql.contains(text),
            Some(Stop::Before(_)) if UPKEEP.iter().any(|text| cql.starts_with(text)) => false,
            Some(Stop::Before(number)) => {
                let is_it = state.passed == number;
                state.passed += usize::from(!is_it);
                is_it
            }
        }
    }
}

/// How a process that was stopped goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    ForEver,
    Thawed,
}

/// What is swept: its name in failures, the ways in which a second process picks up, and how the
/// first one goes on.
pub(crate) struct Sweep<'a, W> {
    name: &'a str,
    ways: &'a [W],
    stops: &'a [Stopped],
}

impl<'a, W> Sweep<'a, W> {
    pub(crate) fn of(name: &'a str, ways: &'a [W]) -> Sweep<'a, W> {
        Sweep { name, ways, stops: &[Stopped::ForEver, Stopped::Thawed] }
    }

    /// Where a process that is stopped for ever would show nothing more.
    pub(crate) fn thawed(name: &'a str, ways: &'a [W]) -> Sweep<'a, W> {
        Sweep { name, ways, stops: &[Stopped::Thawed] }
    }
}

impl Stage {
    /// `None` where this machine cannot have the cluster.
    pub(crate) async fn set(nodes: usize) -> Option<Stage> {
        let start = move || testcluster::shared(nodes);
        let cluster = tokio::task::spawn_blocking(start).await.unwrap()?;
        let target = format!("cql://{}/steps", cluster.addresses()).parse::<Target>().unwrap();
        // Few places, so that a shelf is sealed in a moment; and this one machine has one clock.
        let options = cql::Options {
            bucket_bits: 2,
            clock_bound_ms: 0,
            // So few that what comes back to a batch fills its first partition.
            partition_rows: 32,
            // Room for a machine that does other things besides.
            call_limit: Duration::from_secs(60),
            patience: testcluster::STEADY_PATIENCE,
            ..cql::Options::of(&target)
        };
        let keyspace = Keyspace::connect(&options).await.unwrap();
        keyspace.apply(&SchemaOptions::default()).await.unwrap();
        let archive = Arc::new(MemoryArchive::default());
        let second = CqlHot::connect(options.clone(), keys(), archive.clone());
        let kit = Kit::new(Arc::new(second.await.unwrap()), archive);
        Some(Stage {
            kit,
            options,
            next_day: AtomicI32::new(20_850),
            covered: RefCell::default(),
            failures: RefCell::default(),
        })
    }

    /// Opens one more process.
    pub(crate) async fn process(&self) -> Process {
        let hand = Arc::new(Hand::new());
        let holds = Arc::clone(&hand);
        let gate = Gate::new(move |cql| -> BoxFuture<'static, ()> {
            let hand = Arc::clone(&holds);
            Box::pin(async move { hand.pass(cql).await })
        });
        let options = cql::Options { gate: Some(gate), ..self.options.clone() };
        let archive = Arc::clone(&self.kit.archive);
        let hot = CqlHot::connect(options, keys(), archive).await.unwrap();
        Process { hot: Arc::new(hot), hand }
    }

    /// A campaign for a shop, limit 1, that works to the end of a day that is nobody else's.
    pub(crate) fn draft(&self) -> Campaign {
        let day = Day(self.next_day.fetch_add(DAYS_APART, Ordering::Relaxed));
        Campaign { expires_at: day.end(), ..self.kit.draft() }
    }

    /// Runs `act` on a first process once for each of its steps, for each way of `ways` in which a
    /// second one picks up, and for the ways in which the first one goes on: in turn, or with
    /// `COUPONRY_TEST_EVERY_STEP` each. Then `judge` looks at
    /// what stands, and at the answer of the first process if it came to one.
    pub(crate) async fn sweep<S, T, W: Copy + Debug>(
        &self,
        sweep: Sweep<'_, W>,
        scene: impl AsyncFn() -> S,
        act: impl AsyncFn(&CqlHot, &S) -> T,
        pick_up: impl AsyncFn(&S, W),
        judge: impl AsyncFn(&S, W, Option<T>),
    ) {
        let Sweep { name, ways, stops } = sweep;
        let first = self.process().await;
        let mut failed = 0;
        let every = std::env::var_os("COUPONRY_TEST_EVERY_STEP").is_some();
        let ways = ways.iter().flat_map(|way| stops.iter().map(|stopped| (*way, *stopped)));
        for (nth, (way, stopped)) in ways.enumerate() {
            for number in 0..=STEPS_MAX {
                assert!(number < STEPS_MAX, "{name} does not end");
                // At each step in each way, for ever or for a while in turn: in the next way the
                // other one.
                if !every && stops.len() == 2 && (nth / 2 + nth + number) % 2 == 1 {
                    continue;
                }
                if failed == FAILURES_MAX {
                    return;
                }
                let met = RefCell::new(None);
                let run = async || {
                    // As if there had been no run before.
                    *met.borrow_mut() = None;
                    first.hand.let_go();
                    let scene = scene().await;
                    first.hand.stop(Stop::Before(number));
                    let mut acting = Box::pin(act(&first.hot, &scene));
                    let answer = tokio::select! {
                        biased;
                        answer = &mut acting => Some(answer),
                        step = first.hand.is_stopped() => {
                            *met.borrow_mut() = Some(step);
                            None
                        }
                    };
                    // A frozen process is not polled either.
                    let mut acting = Some(acting).filter(|_| answer.is_none());
                    if stopped == Stopped::ForEver {
                        acting = None;
                    }
                    pick_up(&scene, way).await;
                    let answer = match (answer, acting) {
                        (None, Some(acting)) => {
                            first.hand.let_go();
                            Some(acting.await)
                        }
                        (answer, _) => answer,
                    };
                    judge(&scene, way, answer).await;
                };
                let run = async || {
                    let ran = tokio::time::timeout(RUN_LIMIT, run()).await;
                    ran.expect("it comes to an end");
                };
                let ran = ran(name, run).await;
                first.hand.let_go();
                let step = *met.borrow();
                let at = match step {
                    Some(step) => format!("{stopped:?}, before {number}: `{}`", short(step)),
                    None => "not stopped".to_owned(),
                };
                if let Err(said) = ran {
                    self.failed(format!("{name}, {at}; {way:?}: {said}"));
                    failed += 1;
                }
                self.cover(name, step);
                if step.is_none() {
                    break;
                }
            }
        }
    }

    fn cover(&self, name: &str, step: Option<&'static str>) {
        let mut covered = self.covered.borrow_mut();
        let of = covered.entry(name.to_owned()).or_default();
        of.runs += 1;
        if let Some(step) = step.filter(|step| !of.steps.contains(step)) {
            of.steps.push(step);
        }
    }

    /// A step of a case that is no sweep.
    pub(crate) fn stopped_at(&self, name: &str, step: &'static str) {
        self.cover(name, Some(step));
    }

    pub(crate) fn failed(&self, mut what: String) {
        what.truncate(what.floor_char_boundary(SAID_MAX));
        eprintln!("FAILED {what}");
        self.failures.borrow_mut().push(what);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    /// Which steps were stopped at.
    pub(crate) fn report(&self) {
        for (name, covered) in &*self.covered.borrow() {
            eprintln!("{name}: {} runs, stopped before", covered.runs);
            for step in &covered.steps {
                eprintln!("    {}", short(step));
            }
        }
    }

    /// Nothing in the keyspace contradicts itself, but for counts.
    pub(crate) async fn is_sound(&self) {
        for finding in self.kit.hot.examine().await.unwrap() {
            match finding {
                // What a stopped process had counted and not written down is missing from then on.
                Finding::Sound(_) | Finding::Drifted(_) => {}
                Finding::Fault(why) => self.failed(format!("examined in the end: {why}")),
            }
        }
    }

    /// What a process answered of a change is true: what it says was done stands in the history of
    /// its coupon, and what it says was not done stands in none of `codes`.
    pub(crate) async fn is_true(&self, answer: &Answer, change: &Change, among: &[Coupon]) {
        match answer {
            Ok(applied) if !is_refused(applied) => {
                let said = of(applied);
                let now = self.kit.coupon(said.code()).await;
                assert!(now.events().starts_with(said.events()), "said {said:?}, is {now:?}");
            }
            Ok(_) | Err(HotError::Unavailable(_)) => {
                for coupon in among {
                    // Whoever finishes an issue does so in the name of the one who began it.
                    let done = coupon.events().iter().any(|event| {
                        event.operation == change.operation && event.kind() == kind(&change.action)
                    });
                    assert!(!done, "answered {answer:?}, and {coupon:?}");
                }
            }
            // The caller asks again.
            Err(HotError::Unknown(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// The event that an action leaves.
fn kind(action: &Action) -> &'static str {
    match action {
        Action::Issue { .. } => "issued",
        Action::Redeem { .. } => "redeemed",
        Action::CancelRedemption { .. } => "redemption_cancelled",
        Action::Revoke { .. } => "revoked",
        Action::Void { .. } => "voided",
        Action::Extend { .. } => "extended",
        Action::Hold { .. } | Action::Release { .. } => "none",
    }
}

pub(crate) fn is_refused(applied: &Applied) -> bool {
    matches!(applied.outcome, coupon::apply::Outcome::Refused(_))
}

/// The answer of a call, which is repeated as its error says it may be.
pub(crate) async fn patiently<T>(call: impl AsyncFn() -> Result<T, HotError>) -> T {
    for _ in 0..CALLS_MAX {
        match call().await {
            Err(HotError::Unavailable(why) | HotError::Unknown(why)) => {
                eprintln!("asked again after: {why}");
            }
            answer => return answer.unwrap(),
        }
    }
    panic!("no answer");
}

/// How many of these coupons a user holds.
pub(crate) fn held_by<'a>(coupons: &'a [Coupon], user: &UserId) -> Vec<&'a Coupon> {
    coupons.iter().filter(|coupon| coupon.holder() == Some(user)).collect()
}

/// A statement as a name: its beginning and its end.
pub(crate) fn short(cql: &str) -> String {
    const HEAD: usize = 44;
    const TAIL: usize = 48;
    match cql.len() > HEAD + TAIL + 4 {
        true => format!("{} … {}", &cql[..HEAD], &cql[cql.len() - TAIL..]),
        false => cql.to_owned(),
    }
}
