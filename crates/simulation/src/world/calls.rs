//! Makes calls of callers, and writes down what was asked and told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use coupon::apply::{Change, Outcome as Decided};
use coupon::code::{Code, CodeText};
use coupon::ids::{Actor, OperationId, OrderRef};
use coupon::imported::ImportRun;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::{Applied, CouponSnapshot, Coupons, HotError, Imports};
use router::{Directory, Found};

use super::machine::SimulatedMachine;
use crate::check::history::{RecordedAnswer, RecordedCall, RecordedRequest};
use simulated_cluster::trace::Trace;

/// All calls of a seed, in the order in which they began.
pub(crate) struct CallRecorder {
    trace: Trace,
    calls: Mutex<Vec<RecordedCall>>,
    /// No call begins after so many.
    up_to: AtomicU64,
    operations: AtomicU64,
}

impl CallRecorder {
    pub(crate) fn new(trace: Trace) -> CallRecorder {
        let (up_to, operations) = (AtomicU64::new(0), AtomicU64::new(0));
        CallRecorder { trace, calls: Mutex::default(), up_to, operations }
    }

    /// Lets calls begin until there were `up_to` since the start of the seed.
    pub(crate) fn allow(&self, up_to: u64) {
        self.up_to.store(up_to, Ordering::Relaxed);
    }

    /// Whether another call may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.count() < self.up_to.load(Ordering::Relaxed)
    }

    /// Calls so far.
    pub(crate) fn count(&self) -> u64 {
        self.with(|calls| calls.len() as u64)
    }

    /// A name of an attempt that no other has. An order names its other changes by the last two bits.
    pub(crate) fn operation(&self) -> OperationId {
        OperationId((u128::from(self.operations.fetch_add(1, Ordering::Relaxed)) + 1) << 2)
    }

    /// Writes down that a call begins; `None` if no more may begin.
    pub(crate) fn begin(
        &self,
        process: usize,
        clock: Millis,
        asked: RecordedRequest,
    ) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let began_ms = self.trace.at_ms();
        let told = RecordedAnswer::Unknown("it was never answered".into());
        let at = self.with(|calls| {
            calls.push(RecordedCall { process, began_ms, ended_ms: None, clock, asked, told });
            calls.len() - 1
        });
        if self.trace.on() {
            let text = self.with(|calls| format!("call {at}: {:?}", calls[at].asked));
            self.trace.say(format!("process {process}"), text);
        }
        Some(at)
    }

    /// Writes down the answer of a call.
    pub(crate) fn end(&self, at: usize, told: RecordedAnswer) {
        let now = self.trace.at_ms();
        if self.trace.on() {
            let process = self.with(|calls| calls[at].process);
            self.trace.say(format!("process {process}"), format!("answers call {at}: {told:?}"));
        }
        self.with(|calls| {
            calls[at].ended_ms = Some(now);
            calls[at].told = told;
        });
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<RecordedCall> {
        self.with(|calls| calls.clone())
    }

    /// The answer of one call, as far as it is known.
    pub(crate) fn told(&self, at: usize) -> RecordedAnswer {
        self.with(|calls| calls[at].told.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<RecordedCall>) -> T) -> T {
        work(&mut self.calls.lock().expect("no holder panics"))
    }
}

/// Asks a process, and writes down what it answers, whenever that is. The caller may stop waiting;
/// the call goes on all the same, as it does behind an HTTP connection that was closed.
pub(crate) fn ask(
    recorder: &Arc<CallRecorder>,
    process: usize,
    machine: &Arc<SimulatedMachine>,
    asked: RecordedRequest,
) -> Option<(usize, tokio::task::JoinHandle<()>)> {
    let at = recorder.begin(process, machine.now(), asked.clone())?;
    let (recorder, machine) = (Arc::clone(recorder), Arc::clone(machine));
    let operation = recorder.operation();
    let handle = tokio::spawn(async move {
        let told = machine.life.alive(answer(&machine, asked, operation)).await;
        if let Some(told) = told {
            recorder.end(at, told);
        }
    });
    Some((at, handle))
}

/// What a process answers.
async fn answer(
    machine: &SimulatedMachine,
    asked: RecordedRequest,
    operation: OperationId,
) -> RecordedAnswer {
    let told = match asked {
        RecordedRequest::Issue { campaign, change } => machine
            .hot
            .issue(&campaign, change)
            .await
            .map(|it| RecordedAnswer::Applied(Box::new(it))),
        RecordedRequest::Change { code, change } => changed(machine, &code, change).await,
        RecordedRequest::Shared { campaign, change } => {
            let found = Found::Shared { campaign };
            machine.hot.apply(&found, change).await.map(|it| RecordedAnswer::Applied(Box::new(it)))
        }
        RecordedRequest::Order { order, changes } => {
            ordered(machine, &order, changes).await.map(RecordedAnswer::Order)
        }
        RecordedRequest::Read { code } => {
            coupon_of(machine, &code).await.map(|it| RecordedAnswer::Read(it.map(Box::new)))
        }
        RecordedRequest::Import { campaign, batch, lines } => {
            let run = ImportRun { actor: Actor::new("admin:import"), operation, at: machine.now() };
            machine.hot.import(&campaign, &batch, lines, run).await.map(RecordedAnswer::Imported)
        }
    };
    told.unwrap_or_else(|error| RecordedAnswer::of_error(&error))
}

async fn changed(
    machine: &SimulatedMachine,
    code: &Code,
    change: Change,
) -> Result<RecordedAnswer, HotError> {
    let applied = match find(machine, code).await? {
        Some(found) => machine.hot.apply(&found, change).await?,
        None => not_found(),
    };
    Ok(RecordedAnswer::Applied(Box::new(applied)))
}

/// As the engine answers.
fn not_found() -> Applied {
    Applied { outcome: Decided::Refused(Refusal::NotFound), snapshot: None }
}

async fn ordered(
    machine: &SimulatedMachine,
    order: &OrderRef,
    changes: Vec<(Code, Change)>,
) -> Result<Vec<Applied>, HotError> {
    let mut all = Vec::with_capacity(changes.len());
    for (code, change) in changes {
        all.push(find(machine, &code).await?.map(|found| (found, change)));
    }
    if let Some(changes) = all.iter().cloned().collect() {
        return machine.hot.apply_all(order, changes).await;
    }
    let mut answers = Vec::with_capacity(all.len());
    for it in all {
        answers.push(match it {
            Some((found, change)) => machine.hot.dry_run(&found, change).await?,
            None => not_found(),
        });
    }
    Ok(answers)
}

/// The coupon of a code, wherever it is.
pub(super) async fn coupon_of(
    machine: &SimulatedMachine,
    code: &Code,
) -> Result<Option<CouponSnapshot>, HotError> {
    match find(machine, code).await? {
        Some(Found::Coupon(address)) => machine.hot.read(&address).await,
        Some(Found::Shared { .. }) | None => Ok(None),
    }
}

async fn find(machine: &SimulatedMachine, code: &Code) -> Result<Option<Found>, HotError> {
    let text: CodeText = code.as_str().parse().expect("a code is the text of a code");
    let directory: &dyn Directory<Error = HotError> = machine.hot.as_ref();
    machine.router.find(&text, directory).await
}
