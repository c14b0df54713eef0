//! Works off lanes: one command after the other, each with an answer.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::KafkaError;

use super::answer;
use super::caller::CommandCaller;
use super::desk::{AssignmentTable, AssignmentTicket, NewLane};
use super::partition::{JobWork, LaneJob};
use super::progress::ConsumeCounts;
use super::writer::{ResultWriter, WrittenRecord};

pub(crate) struct WorkerPool {
    pub(crate) desk: Arc<AssignmentTable>,
    pub(crate) caller: CommandCaller,
    pub(crate) writer: ResultWriter,
    pub(crate) counts: Arc<ConsumeCounts>,
    /// Why the process must end.
    failed: Mutex<Option<String>>,
}

/// An answer on its way to the brokers.
struct SentAnswer {
    written: WrittenRecord,
    offset: i64,
    /// Whether it is in the result topic.
    is_result: bool,
    first_at: Option<i64>,
}

impl WorkerPool {
    pub(crate) fn new(
        desk: Arc<AssignmentTable>,
        caller: CommandCaller,
        writer: ResultWriter,
        counts: Arc<ConsumeCounts>,
    ) -> WorkerPool {
        WorkerPool { desk, caller, writer, counts, failed: Mutex::new(None) }
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works off a lane until it is empty. The next command begins only after the brokers have
    /// acknowledged the answer to the one before: otherwise, after a crash, the next owner would send
    /// that one again behind it.
    pub(crate) async fn work_off(self: Arc<WorkerPool>, lane: NewLane) {
        while let Some(job) = self.desk.next_of(&lane) {
            match self.answer(job, &lane.ticket).await {
                Ok(Some(sent)) => self.finish(sent, &lane.ticket).await,
                Ok(None) => self.desk.gave_up(&lane.ticket),
                Err(error) => {
                    self.fail(&error);
                    self.desk.gave_up(&lane.ticket);
                }
            }
        }
    }

    /// Gets the answer, and hands it to the producer. `None` if the partition is left before.
    async fn answer(
        &self,
        job: LaneJob,
        ticket: &AssignmentTicket,
    ) -> Result<Option<SentAnswer>, KafkaError> {
        let LaneJob { source, key, work } = job;
        let (key, number, offset) = (key.as_deref(), ticket.partition, source.offset);
        let (written, is_result, first_at) = match work {
            JobWork::Repeat { value, at } => {
                self.counts.repeated();
                (self.writer.answer(number, &source, key, &value).await?, true, Some(at))
            }
            JobWork::DeadLetter { reason, value } => {
                tracing::warn!(partition = number, offset, "not a command: {reason}");
                self.counts.dead();
                let (value, reason) = (value.as_deref(), reason.as_str());
                let writer = &self.writer;
                (writer.dead_letter(number, &source, key, value, reason).await?, false, None)
            }
            JobWork::Send(command) => {
                let Some(found) = self.caller.answer(&command, ticket, offset).await else {
                    return Ok(None);
                };
                self.counts.outcome(found.outcome);
                let value = answer::value(&command, found.outcome, found.status, &found.document);
                (self.writer.answer(number, &source, key, &value).await?, true, None)
            }
        };
        Ok(Some(SentAnswer { written, offset, is_result, first_at }))
    }

    /// Waits for the acknowledgement; only then the offset may be committed.
    async fn finish(&self, sent: SentAnswer, ticket: &AssignmentTicket) {
        match sent.written.acknowledged().await {
            Ok(at) => {
                let at = Some(at).filter(|_| sent.is_result);
                self.desk.answered(ticket, sent.offset, at, sent.first_at);
            }
            Err(error) => {
                self.fail(&error);
                self.desk.gave_up(ticket);
            }
        }
    }

    fn fail(&self, error: &KafkaError) {
        let why = format!("cannot write an answer: {error}");
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}
