//! The partitions of this process, shared by the thread of the consumer and the workers of lanes.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::partition::{CommandPartition, CommitPosition, LaneJob};

/// All partitions that are assigned to this process.
#[derive(Debug, Default)]
pub(crate) struct AssignmentTable {
    state: Mutex<AssignmentState>,
    /// A command has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct AssignmentState {
    partitions: BTreeMap<i32, CommandPartition>,
    epochs: u64,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// These partitions are assigned.
    pub(crate) fn join(&self, partitions: &[i32]) {
        let mut state = self.state.lock();
        for &partition in partitions {
            state.epochs += 1;
            let assigned = CommandPartition::new(state.epochs);
            state.partitions.insert(partition, assigned);
        }
    }

    /// Ends the work for these partitions: commands that are not begun are dropped, and running ones are
    /// waited for at most so long. Returns what may be committed.
    pub(crate) fn leave(&self, partitions: &[i32], wait: Duration) -> Vec<(i32, CommitPosition)> {
        let mut state = self.state.lock();
        for number in partitions {
            if let Some(partition) = state.partitions.get_mut(number) {
                partition.close();
            }
        }
        let is_running = |state: &mut AssignmentState| {
            let of = |number| state.partitions.get(number).map_or(0, CommandPartition::running);
            partitions.iter().any(|number| of(number) > 0)
        };
        if self.ended.wait_while_for(&mut state, is_running, wait).timed_out() {
            tracing::error!("leaving partitions although commands are still running");
        }
        let gone = |number: &i32| Some((*number, state.partitions.remove(number)?.position()?));
        partitions.iter().filter_map(gone).collect()
    }

    /// What `look` finds in each assigned partition.
    pub(crate) fn each<T>(&self, look: impl Fn(&CommandPartition) -> Option<T>) -> Vec<(i32, T)> {
        let state = self.state.lock();
        let all = state.partitions.iter();
        all.filter_map(|(number, partition)| Some((*number, look(partition)?))).collect()
    }

    /// `None` if the partition is gone.
    pub(crate) fn with<T>(
        &self,
        partition: i32,
        look: impl FnOnce(&mut CommandPartition) -> T,
    ) -> Option<T> {
        self.state.lock().partitions.get_mut(&partition).map(look)
    }

    /// Begins a job. Returns its lane if it needs a worker.
    pub(crate) fn begin(&self, number: i32, job: LaneJob, lane: &str) -> Option<NewLane> {
        let mut state = self.state.lock();
        let partition = state.partitions.get_mut(&number)?;
        let needs_worker = partition.begin(job, lane);
        let (epoch, closing) = (partition.epoch, partition.closing.subscribe());
        let ticket = AssignmentTicket { partition: number, epoch, closing };
        needs_worker.then(|| NewLane { ticket, lane: lane.to_owned() })
    }

    /// Changes the partition of a ticket, if it is still assigned.
    fn of<T>(
        &self,
        ticket: &AssignmentTicket,
        change: impl FnOnce(&mut CommandPartition) -> T,
    ) -> Option<T> {
        let mut state = self.state.lock();
        let partition = state.partitions.get_mut(&ticket.partition)?;
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

    pub(crate) fn load(&self) -> AssignmentLoad {
        let state = self.state.lock();
        let all = state.partitions.values();
        AssignmentLoad {
            partitions: state.partitions.len(),
            taken: all.clone().map(CommandPartition::taken).sum(),
            running: all.map(CommandPartition::running).sum(),
        }
    }
}
