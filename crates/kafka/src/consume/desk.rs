//! The partitions of this process, shared by the thread of the consumer and the workers of lanes.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::partition::{CommandPartition, CommitPosition, LaneJob, TakenRecord};

/// All partitions that are assigned to this process.
#[derive(Debug)]
pub(crate) struct AssignmentTable {
    state: Mutex<AssignmentState>,
    /// A command has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct AssignmentState {
    partitions: BTreeMap<i32, AssignedPartition>,
    epochs: u64,
}

#[derive(Debug)]
struct AssignedPartition {
    partition: CommandPartition,
    closing: watch::Sender<bool>,
}

/// One assignment of a partition. A worker shows it with every call; after the revocation it opens
/// nothing any more.
#[derive(Clone, Debug)]
pub(crate) struct AssignmentTicket {
    pub(crate) partition: i32,
    epoch: u64,
    closing: watch::Receiver<bool>,
}

/// A job of a new lane, for a new worker.
#[derive(Debug)]
pub(crate) struct NewLane {
    pub(crate) ticket: AssignmentTicket,
    pub(crate) lane: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AssignmentLoad {
    pub(crate) partitions: usize,
    pub(crate) taken: usize,
    pub(crate) running: usize,
}

impl AssignmentTicket {
    /// Waits for `time`, or until the partition is to be left. Whether it is.
    pub(crate) async fn sleep(&self, time: Duration) -> bool {
        let mut closing = self.closing.clone();
        tokio::time::timeout(time, closing.wait_for(|it| *it)).await.is_ok()
    }

    /// Whether the partition is to be left: no new request may begin.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

impl AssignmentTable {
    pub(crate) fn new() -> AssignmentTable {
        AssignmentTable { state: Mutex::default(), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, AssignmentState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These partitions are assigned.
    pub(crate) fn join(&self, partitions: &[i32]) {
        let mut state = self.state();
        for &partition in partitions {
            state.epochs += 1;
            let assigned = AssignedPartition {
                partition: CommandPartition::new(state.epochs),
                closing: watch::Sender::new(false),
            };
            state.partitions.insert(partition, assigned);
        }
    }

    /// Ends the work for these partitions: commands that are not begun are dropped, and running ones are
    /// waited for at most so long. Returns what may be committed.
    pub(crate) fn leave(&self, partitions: &[i32], wait: Duration) -> Vec<(i32, CommitPosition)> {
        let mut state = self.state();
        for number in partitions {
            if let Some(assigned) = state.partitions.get_mut(number) {
                assigned.closing.send_replace(true);
                assigned.partition.close();
            }
        }
        let until = Instant::now() + wait;
        let is_running = |state: &AssignmentState| {
            let of = |number| state.partitions.get(number).map_or(0, |it| it.partition.running());
            partitions.iter().any(|number| of(number) > 0)
        };
        while is_running(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::error!("leaving partitions although commands are still running");
                break;
            }
            let woken = self.ended.wait_timeout(state, left);
            state = woken.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        let gone = |number: &i32| Some((*number, state.partitions.remove(number)?));
        let gone: Vec<_> = partitions.iter().filter_map(gone).collect();
        let position =
            |(number, it): (i32, AssignedPartition)| Some((number, it.partition.position()?));
        gone.into_iter().filter_map(position).collect()
    }

    /// The assigned partitions, each with its epoch: another one after each assignment.
    pub(crate) fn assigned(&self) -> Vec<(i32, u64)> {
        let state = self.state();
        let all = state.partitions.iter();
        all.map(|(number, assigned)| (*number, assigned.partition.epoch)).collect()
    }

    /// Whether commands wait that are not begun yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state().partitions.values().any(|assigned| assigned.partition.waiting() > 0)
    }

    /// Adds a message, unless its partition is gone.
    pub(crate) fn take(&self, partition: i32, taken: TakenRecord) {
        if let Some(assigned) = self.state().partitions.get_mut(&partition) {
            assigned.partition.take(taken);
        }
    }

    pub(crate) fn with<T>(
        &self,
        partition: i32,
        look: impl FnOnce(&mut CommandPartition) -> T,
    ) -> Option<T> {
        self.state().partitions.get_mut(&partition).map(|it| look(&mut it.partition))
    }

    /// Begins a job. Returns its lane if it needs a worker.
    pub(crate) fn begin(&self, number: i32, job: LaneJob, lane: &str) -> Option<NewLane> {
        let mut state = self.state();
        let AssignedPartition { partition, closing } = state.partitions.get_mut(&number)?;
        let needs_worker = partition.begin(job, lane);
        let (epoch, closing) = (partition.epoch, closing.subscribe());
        let ticket = AssignmentTicket { partition: number, epoch, closing };
        needs_worker.then(|| NewLane { ticket, lane: lane.to_owned() })
    }

    /// Changes the partition of a ticket, if it is still assigned.
    fn of<T>(
        &self,
        ticket: &AssignmentTicket,
        change: impl FnOnce(&mut CommandPartition) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let partition = &mut state.partitions.get_mut(&ticket.partition)?.partition;
        (partition.epoch == ticket.epoch).then(|| change(partition))
    }

    pub(crate) fn next_of(&self, NewLane { ticket, lane }: &NewLane) -> Option<LaneJob> {
        self.of(ticket, |partition| partition.next_of(lane)).flatten()
    }

    pub(crate) fn answered(
        &self,
        ticket: &AssignmentTicket,
        offset: i64,
        written_at: Option<i64>,
        first_at: Option<i64>,
    ) {
        self.of(ticket, |partition| partition.answered(offset, written_at, first_at));
        self.ended.notify_all();
    }

    pub(crate) fn gave_up(&self, ticket: &AssignmentTicket) {
        self.of(ticket, CommandPartition::gave_up);
        self.ended.notify_all();
    }

    /// What may be committed of each partition.
    pub(crate) fn positions(&self) -> Vec<(i32, CommitPosition)> {
        let state = self.state();
        let all = state.partitions.iter();
        all.filter_map(|(number, it)| Some((*number, it.partition.position()?))).collect()
    }

    pub(crate) fn first_unanswered(&self) -> Vec<(i32, i64)> {
        let state = self.state();
        let all = state.partitions.iter();
        all.filter_map(|(number, it)| Some((*number, it.partition.first_unanswered()?))).collect()
    }

    pub(crate) fn load(&self) -> AssignmentLoad {
        let state = self.state();
        let mut load =
            AssignmentLoad { partitions: state.partitions.len(), ..AssignmentLoad::default() };
        for assigned in state.partitions.values() {
            load.taken += assigned.partition.taken();
            load.running += assigned.partition.running();
        }
        load
    }
}
