//! Works off lanes: one command after the other, each with an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rdkafka::error::KafkaError;

use super::answer;
use super::caller::CommandCaller;
use super::desk::{AssignmentTable, AssignmentTicket, NewLane};
use super::partition::{JobWork, LaneJob};
use super::progress::ConsumeCounts;
use super::writer::ResultWriter;

pub(crate) struct WorkerPool {
    pub(crate) desk: Arc<AssignmentTable>,
    pub(crate) caller: Arc<CommandCaller>,
    pub(crate) writer: ResultWriter,
    pub(crate) counts: Arc<ConsumeCounts>,
    /// Why the process must end.
    failed: Mutex<Option<String>>,
}

impl WorkerPool {
    pub(crate) fn new(
        desk: Arc<AssignmentTable>,
        caller: Arc<CommandCaller>,
        writer: ResultWriter,
        counts: Arc<ConsumeCounts>,
    ) -> WorkerPool {
        WorkerPool { desk, caller, writer, counts, failed: Mutex::new(None) }
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    /// Works off a lane until it is empty. The next command begins only after the brokers have
    /// acknowledged the answer to the one before: otherwise, after a crash, the next owner would send
    /// that one again behind it.
    pub(crate) async fn work_off(self: Arc<WorkerPool>, lane: NewLane) {
        while let Some(job) = self.desk.next_of(&lane) {
            let answered = self.answer(job, &lane.ticket).await;
            if let Err(error) = &answered {
                let why = format!("cannot write an answer: {error}");
                self.failed.lock().get_or_insert(why);
            }
            if !answered.unwrap_or(false) {
                self.desk.gave_up(&lane.ticket);
                // A later command must not be sent while this one has no answer.
                return;
            }
        }
    }

    /// Gets the answer, and waits until the brokers have acknowledged it: only then the offset may be
    /// committed. False if the partition is left before there is an answer.
    async fn answer(&self, job: LaneJob, ticket: &AssignmentTicket) -> Result<bool, KafkaError> {
        let LaneJob { source, key, work } = job;
        let (key, number, offset) = (key.as_deref(), ticket.partition, source.offset);
        let (value, first_at) = match work {
            JobWork::Repeat { value, at } => {
                self.counts.repeated.fetch_add(1, Ordering::Relaxed);
                (value, Some(at))
            }
            JobWork::DeadLetter { reason, value } => {
                tracing::warn!(partition = number, offset, "not a command: {reason}");
                self.counts.dead.fetch_add(1, Ordering::Relaxed);
                let value = value.as_deref();
                self.writer.dead_letter(number, &source, key, value, &reason).await?;
                self.desk.answered(ticket, offset, None, None);
                return Ok(true);
            }
            JobWork::Send(command) => {
                let Some((outcome, reply)) = self.caller.answer(&command, ticket, offset).await
                else {
                    return Ok(false);
                };
                self.counts.outcome(outcome);
                (answer::value(&command, outcome, reply.status, &reply.body), None)
            }
        };
        let at = self.writer.answer(number, &source, key, &value).await?;
        self.desk.answered(ticket, offset, Some(at), first_at);
        Ok(true)
    }
}
