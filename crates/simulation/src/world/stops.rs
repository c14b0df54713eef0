//! Stops a process before or after one of its next writes to the cluster or to the bucket, so that
//! every order of steps is interrupted between every two of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cql_session::{RowPage, StatementRequest};
use futures::future::BoxFuture;
use scylla::errors::ExecutionError;
use tokio::sync::{Notify, watch};

use crate::bucket::{BucketTamper, BucketWrite};
use crate::steps;
use simulated_cluster::session::{SimulatedProcess, StatementTamper};
use simulated_cluster::trace::Trace;

/// The step after which nothing may enter a partition any more.
pub(crate) const CLOSING: &str = "plan: is closing";

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessStop {
    /// It never does anything again.
    Kill,
    /// It does nothing for this long.
    Freeze(Duration),
}

/// Which step it is stopped at.
#[derive(Clone, Copy, Debug)]
struct ArmedStop {
    /// Writes that it still makes.
    passes: u64,
    /// Whether the write is made.
    after: bool,
    stop: ProcessStop,
}

/// The steps at which a process is stopped: its writes to one store.
#[derive(Default)]
struct PendingStops {
    armed: Option<ArmedStop>,
    /// Stops at the next of a certain step: by its name whether it is made, and the stop.
    aimed: BTreeMap<&'static str, (bool, ProcessStop)>,
    /// Stops that are due after a write whose answer has not come: one for each write.
    due: BTreeMap<String, ProcessStop>,
}

/// One process, from its start to its end.
pub(crate) struct ProcessLife {
    pub(crate) process: SimulatedProcess,
    trace: Trace,
    dead: watch::Sender<bool>,
    cluster: Mutex<PendingStops>,
    bucket: Mutex<PendingStops>,
    /// Told before each [`CLOSING`] of any process.
    closings: Arc<Notify>,
}

impl PendingStops {
    /// The stop before this write, or `None`. A stop after it is kept until its answer comes.
    fn met(&mut self, write: &str, step: &str) -> Option<ProcessStop> {
        let counted = self.counted();
        let (after, stop) = self.aimed.remove(step).or(counted)?;
        if after {
            self.due.insert(write.to_owned(), stop);
            return None;
        }
        Some(stop)
    }

    /// Counts a write; a stop if this is the one.
    fn counted(&mut self) -> Option<(bool, ProcessStop)> {
        let it = self.armed.as_mut()?;
        if it.passes > 0 {
            it.passes -= 1;
            return None;
        }
        self.armed.take().map(|it| (it.after, it.stop))
    }
}

impl ProcessLife {
    pub(crate) fn new(
        process: SimulatedProcess,
        trace: Trace,
        closings: Arc<Notify>,
    ) -> ProcessLife {
        let (cluster, bucket) = (Mutex::default(), Mutex::default());
        ProcessLife { process, trace, dead: watch::Sender::new(false), cluster, bucket, closings }
    }

    /// Stops the process at the statement after the next `passes` ones that write.
    pub(crate) fn stop_at(&self, passes: u64, after: bool, stop: ProcessStop) {
        of(&self.cluster).armed = Some(ArmedStop { passes, after, stop });
    }

    /// Stops the process at the write to the bucket after the next `passes` ones, unless it will be
    /// stopped at one already, which it has not come to.
    pub(crate) fn stop_at_bucket(&self, passes: u64, after: bool, stop: ProcessStop) {
        of(&self.bucket).armed.get_or_insert(ArmedStop { passes, after, stop });
    }

    /// Stops the process at its next step of this name: so rare steps are hit, too.
    pub(crate) fn stop_at_step(&self, step: &'static str, after: bool, stop: ProcessStop) {
        for store in [&self.cluster, &self.bucket] {
            of(store).aimed.insert(step, (after, stop));
        }
    }

    /// Lets the process go on for good.
    pub(crate) fn disarm(&self) {
        *of(&self.cluster) = PendingStops::default();
        *of(&self.bucket) = PendingStops::default();
    }

    /// Counts that what it had in memory is lost.
    pub(crate) fn lost_memory(&self) {
        self.trace.fault("process killed");
    }

    /// Does it now.
    pub(crate) fn stop(&self, stop: ProcessStop) {
        match stop {
            ProcessStop::Kill => {
                self.trace.say(self.process.name(), "is killed");
                self.end();
            }
            ProcessStop::Freeze(long) => {
                self.trace
                    .say(self.process.name(), format!("is frozen for {} ms", long.as_millis()));
                self.process.freeze(long);
            }
        }
    }

    /// It has flushed, and ends: what it was frozen in never goes on.
    pub(crate) fn exit(&self) {
        self.trace.say(self.process.name(), "ends");
        self.end();
    }

    fn end(&self) {
        self.process.kill();
        self.dead.send_replace(true);
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Returns when the process is killed.
    pub(crate) async fn died(&self) {
        let mut dead = self.dead.subscribe();
        // The sender lives as long as `self`.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// The answer of a call of this process; `None` if it is killed before.
    pub(crate) async fn alive<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.died() => None,
            // The answer of a process that was killed at its last step is never sent.
            answer = call => (!self.is_dead()).then_some(answer),
        }
    }

    fn stopped(&self, when: &str, step: &str, stop: ProcessStop) {
        let how = match stop {
            ProcessStop::Kill => "killed",
            ProcessStop::Freeze(_) => "frozen",
        };
        self.trace.say(self.process.name(), format!("{how} {when} {step}"));
        self.trace.reached(format!("{how} {when} {step}"));
        self.trace.fault("process stopped at a step");
        self.stop(stop);
    }
}

fn of(store: &Mutex<PendingStops>) -> MutexGuard<'_, PendingStops> {
    store.lock().expect("no holder panics")
}

impl StatementTamper for ProcessLife {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        if let Some(step) = steps::name(request) {
            if step == CLOSING {
                self.closings.notify_waiters();
            }
            let met = of(&self.cluster).met(step, step);
            if let Some(stop) = met {
                self.stopped("before", step, stop);
            }
        }
        // A process that is stopped here sends the statement when it goes on.
        let process = self.process.clone();
        Box::pin(async move {
            process.gate().await;
            None
        })
    }

    fn after(
        &self,
        request: &StatementRequest,
        result: Result<RowPage, ExecutionError>,
    ) -> Result<RowPage, ExecutionError> {
        if let Some(step) = steps::name(request) {
            let due = of(&self.cluster).due.remove(step);
            if let Some(stop) = due {
                self.stopped("after", step, stop);
            }
        }
        result
    }
}

impl BucketTamper for ProcessLife {
    fn before(&self, write: &BucketWrite<'_>) {
        let step = write.step();
        let met = of(&self.bucket).met(&write.to_string(), &step);
        if let Some(stop) = met {
            self.stopped("before", &step, stop);
        }
    }

    fn after(&self, write: &BucketWrite<'_>) {
        let due = of(&self.bucket).due.remove(&write.to_string());
        if let Some(stop) = due {
            self.stopped("after", &write.step(), stop);
        }
    }
}
