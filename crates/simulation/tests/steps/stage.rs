//! Opens, stops and resumes processes, and sweeps over the steps of a protocol.

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
use cql_session::{RowPage, StatementProfile, StatementRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use hot::{Applied, HotError};
use hot_cql::{self as cql, CqlHot};
use scylla::errors::ExecutionError;
use simulated_cluster::session::StatementTamper;
use tokio::sync::watch;

use hot_conformance::kit::{Kit, MemoryArchive, of};
use hot_conformance::run::to_its_end;
use hot_conformance::soundness::{Contradictions, contradictions};

use crate::simulated::ClusterFixture;

/// Days between two scenes. Some are sealed, and coupons are extended to later ones.
const DAYS_APART: i32 = 9;

/// One seed for all cases: a calm cluster draws only how long its messages take. The names of the
/// kit follow from it, too.
const SEED: u64 = 20_261_122_015;

/// More steps than the longest protocol has.
const STEPS_MAX: usize = 60;

/// A case stops after this number of failures.
const FAILURES_MAX: usize = 4;

/// Longest simulated time of one run.
const RUN_LIMIT: Duration = Duration::from_secs(240);

/// Most bytes printed of one failure.
const SAID_MAX: usize = 1_000;

/// How often a call without an answer is repeated.
const CALLS_MAX: usize = 10;

/// Statements of the background work of a process. They are not steps of a protocol.
const UPKEEP: [&str; 6] = [
    "INSERT INTO campaign_counts",
    "INSERT INTO closed",
    "UPDATE lease SET owner = null",
    // The numbers of rows, written once for many rows.
    "UPDATE lease SET returned_rows",
    "UPDATE partition_plan SET expiring_rows",
    "UPDATE partition_plan SET closed_rows",
];

pub(crate) type ChangeResult = Result<Applied, HotError>;

/// A cluster for a case, and its failures.
pub(crate) struct TestStage {
    /// A second process, which is never stopped, and the kit that makes names.
    pub(crate) kit: Kit,
    cluster: ClusterFixture,
    options: cql::CqlOptions,
    next_day: AtomicI32,
    covered: RefCell<BTreeMap<String, SweepCoverage>>,
    failures: RefCell<Vec<String>>,
}

/// The steps at which a sweep stopped its protocol, in the order of the first stop.
#[derive(Default)]
struct SweepCoverage {
    steps: Vec<&'static str>,
    runs: usize,
}

/// A process that can be stopped.
pub(crate) struct SteppedProcess {
    pub(crate) hot: Arc<CqlHot>,
    pub(crate) hand: Arc<ProcessHand>,
}

/// What each write of a process has to pass.
pub(crate) struct ProcessHand {
    state: Mutex<HandState>,
    /// The step before which the process is stopped now.
    stopped: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct HandState {
    stop: Option<StopPoint>,
    passed: usize,
    /// The answer to the next statement with this text is lost.
    loses: Option<&'static str>,
}

/// Where to stop a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StopPoint {
    /// Before the step of this number, from 0.
    Before(usize),
    /// Before the first statement that contains this text, also of the background work.
    At(&'static str),
}

impl ProcessHand {
    fn new() -> ProcessHand {
        ProcessHand { state: Mutex::default(), stopped: watch::Sender::new(None) }
    }

    /// Resumes the process up to `stop`.
    pub(crate) fn stop(&self, stop: StopPoint) {
        *self.state.lock().unwrap() = HandState { stop: Some(stop), ..HandState::default() };
        self.stopped.send_replace(None);
    }

    /// Resumes the process.
    pub(crate) fn let_go(&self) {
        *self.state.lock().unwrap() = HandState::default();
        self.stopped.send_replace(None);
    }

    /// Stops every write of the process from now on.
    pub(crate) fn stop_now(&self) {
        self.stopped.send_replace(Some("anything"));
    }

    /// Loses the answer to the next statement that contains this text, and stops the process before it reads what
    /// became of it.
    pub(crate) fn lose_answer(&self, to: &'static str) {
        *self.state.lock().unwrap() = HandState { loses: Some(to), ..HandState::default() };
        self.stopped.send_replace(None);
    }

    /// Waits until the process is stopped. Returns the step before which it is.
    pub(crate) async fn is_stopped(&self) -> &'static str {
        let mut stopped = self.stopped.subscribe();
        let step = stopped.wait_for(Option::is_some).await.unwrap();
        step.unwrap_or_default()
    }

    async fn pass(&self, cql: &'static str) {
        // A stopped process writes nothing, its background work included.
        if self.stopped.borrow().is_none() && self.meets(cql) {
            self.stopped.send_replace(Some(cql));
        }
        self.is_let_go().await;
    }

    async fn is_let_go(&self) {
        let mut stopped = self.stopped.subscribe();
        let _ = stopped.wait_for(Option::is_none).await;
    }

    /// Whether to lose the answer to this statement.
    fn loses(&self, cql: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        state.loses.take_if(|text| cql.contains(*text)).is_some()
    }

    /// Whether to stop the process before this statement.
    fn meets(&self, cql: &'static str) -> bool {
        let mut state = self.state.lock().unwrap();
        match state.stop {
            None => false,
            Some(StopPoint::At(text)) => cql.contains(text),
            Some(StopPoint::Before(_)) if UPKEEP.iter().any(|text| cql.starts_with(text)) => false,
            Some(StopPoint::Before(number)) => {
                let is_it = state.passed == number;
                state.passed += usize::from(!is_it);
                is_it
            }
        }
    }
}

/// Puts a hand around the statements of a process.
struct HandTamper(Arc<ProcessHand>);

impl StatementTamper for HandTamper {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let (hand, cql, writes) = (Arc::clone(&self.0), request.cql, writes(request));
        let reads_outcome = request.profile == StatementProfile::Serial;
        let held = async move {
            if writes {
                hand.pass(cql).await;
            } else if reads_outcome {
                hand.is_let_go().await;
            }
            None
        };
        held.boxed()
    }

    fn after(
        &self,
        request: &StatementRequest,
        result: Result<RowPage, ExecutionError>,
    ) -> Result<RowPage, ExecutionError> {
        if !self.0.loses(request.cql) {
            return result;
        }
        self.0.stopped.send_replace(Some(request.cql));
        Err(ExecutionError::RequestTimeout(request.profile.timeout()))
    }
}

/// Whether a statement writes, so that it is a step.
fn writes(request: &StatementRequest) -> bool {
    match request.profile {
        StatementProfile::Write | StatementProfile::Change | StatementProfile::Again => true,
        StatementProfile::Bulk => !request.cql.starts_with("SELECT"),
        StatementProfile::Read | StatementProfile::Serial => false,
    }
}

/// How a stopped process continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopLength {
    ForEver,
    Thawed,
}

/// A sweep: its name in failures, the ways of the second process, and how the first one continues.
pub(crate) struct StepSweep<'a, W> {
    name: &'a str,
    ways: &'a [W],
    stops: &'a [StopLength],
}

impl<'a, W> StepSweep<'a, W> {
    pub(crate) fn of(name: &'a str, ways: &'a [W]) -> StepSweep<'a, W> {
        StepSweep { name, ways, stops: &[StopLength::ForEver, StopLength::Thawed] }
    }

    /// For a sweep in which a process that is stopped for ever would show nothing new.
    pub(crate) fn thawed(name: &'a str, ways: &'a [W]) -> StepSweep<'a, W> {
        StepSweep { name, ways, stops: &[StopLength::Thawed] }
    }
}

impl TestStage {
    pub(crate) async fn set() -> TestStage {
        let cluster = ClusterFixture::calm(SEED);
        // Few buckets, so that a partition is sealed in a moment; and this one machine has one
        // clock.
        let options = cql::CqlOptions {
            bucket_bits: 2,
            clock_bound_ms: 0,
            // Few, so that revoked coupons of a batch fill its first CQL partition.
            partition_rows: 32,
            ..ClusterFixture::options()
        };
        let archive = Arc::new(MemoryArchive::default());
        let second = cluster.process(options.clone(), archive.clone(), None).await;
        let kit = Kit::numbered(second, archive, SEED);
        TestStage {
            kit,
            cluster,
            options,
            next_day: AtomicI32::new(20_850),
            covered: RefCell::default(),
            failures: RefCell::default(),
        }
    }

    /// Opens one more process.
    pub(crate) async fn process(&self) -> SteppedProcess {
        let hand = Arc::new(ProcessHand::new());
        let archive = Arc::clone(&self.kit.archive);
        let tamper: Arc<dyn StatementTamper> = Arc::new(HandTamper(Arc::clone(&hand)));
        let hot = self.cluster.process(self.options.clone(), archive, Some(tamper)).await;
        SteppedProcess { hot, hand }
    }

    /// A shop campaign with limit 1 that is valid to the end of a day of its own.
    pub(crate) fn draft(&self) -> Campaign {
        let day = Day(self.next_day.fetch_add(DAYS_APART, Ordering::Relaxed));
        Campaign { expires_at: day.end(), ..self.kit.draft() }
    }

    /// Runs `act` on a first process once for each of its steps, each way of the second process and
    /// each way in which the first process continues. Then `judge` checks the state and the answer
    /// of the first process, if any.
    pub(crate) async fn sweep<S, T, W: Copy + Debug>(
        &self,
        sweep: StepSweep<'_, W>,
        scene: impl AsyncFn() -> S,
        act: impl AsyncFn(&CqlHot, &S) -> T,
        pick_up: impl AsyncFn(&S, W),
        judge: impl AsyncFn(&S, W, Option<T>),
    ) {
        let StepSweep { name, ways, stops } = sweep;
        let first = self.process().await;
        let mut failed = 0;
        let ways = ways.iter().flat_map(|way| stops.iter().map(|stopped| (*way, *stopped)));
        for (way, stopped) in ways {
            for number in 0..=STEPS_MAX {
                assert!(number < STEPS_MAX, "{name} does not end");
                if failed == FAILURES_MAX {
                    return;
                }
                let met = RefCell::new(None);
                let run = async {
                    let scene = scene().await;
                    first.hand.stop(StopPoint::Before(number));
                    let mut acting = Box::pin(act(&first.hot, &scene));
                    let answer = tokio::select! {
                        biased;
                        answer = &mut acting => Some(answer),
                        step = first.hand.is_stopped() => {
                            *met.borrow_mut() = Some(step);
                            None
                        }
                    };
                    // A frozen process is not polled.
                    let mut acting = Some(acting).filter(|_| answer.is_none());
                    if stopped == StopLength::ForEver {
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
                let run = async {
                    let ran = tokio::time::timeout(RUN_LIMIT, run).await;
                    ran.expect("it comes to an end");
                };
                let ran = to_its_end(run).await;
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

    /// Counts a step of a case that is not a sweep.
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

    /// Prints the steps at which the sweep stopped.
    pub(crate) fn report(&self) {
        for (name, covered) in &*self.covered.borrow() {
            eprintln!("{name}: {} runs, stopped before", covered.runs);
            for step in &covered.steps {
                eprintln!("    {}", short(step));
            }
        }
    }

    /// Checks the cluster for damage. Counts may differ.
    pub(crate) async fn is_sound(&self) {
        // A stopped process loses the counts that it had not written.
        let Contradictions { faults, drifts: _ } = contradictions(&*self.kit.hot).await;
        faults.into_iter().for_each(|fault| self.failed(format!("in the end: {fault}")));
    }

    /// Checks that the answer to a change is true: an accepted change is in the history of its
    /// coupon, and a change that was not made is in no history of `among`.
    pub(crate) async fn is_true(&self, answer: &ChangeResult, change: &Change, among: &[Coupon]) {
        match answer {
            Ok(applied) if !is_refused(applied) => {
                let said = of(applied);
                let now = self.kit.coupon(said.code()).await;
                assert!(now.events().starts_with(said.events()), "said {said:?}, is {now:?}");
            }
            Ok(_) | Err(HotError::Unavailable(_)) => {
                for coupon in among {
                    // A process that finishes an issue writes the operation of the one that began
                    // it.
                    let done = coupon.events().iter().any(|event| {
                        event.operation == change.operation
                            && event.kind.as_str() == kind(&change.action)
                    });
                    assert!(!done, "answered {answer:?}, and {coupon:?}");
                }
            }
            // The caller repeats the request.
            Err(HotError::Unknown(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// The kind of the event that an action leaves.
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

/// The answer of a call. If its error allows it, the call is repeated.
pub(crate) async fn patiently<T>(call: impl AsyncFn() -> Result<T, HotError>) -> T {
    for _ in 0..CALLS_MAX {
        match call().await {
            Err(HotError::Unavailable(why) | HotError::Unknown(why)) => {
                eprintln!("repeated after: {why}");
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

/// The name of a statement: its beginning and its end.
pub(crate) fn short(cql: &str) -> String {
    const HEAD: usize = 44;
    const TAIL: usize = 48;
    match cql.len() > HEAD + TAIL + 4 {
        true => format!("{} … {}", &cql[..HEAD], &cql[cql.len() - TAIL..]),
        false => cql.to_owned(),
    }
}
