//! Works off lanes: one command after the other, each with an answer.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::KafkaError;

use super::answer;
use super::caller::Caller;
use super::desk::{Desk, NewLane, Ticket};
use super::partition::{Job, Work};
use super::progress::Counts;
use super::writer::{Writer, Written};

pub(crate) struct Workers {
    pub(crate) desk: Arc<Desk>,
    pub(crate) caller: Caller,
    pub(crate) writer: Writer,
    pub(crate) counts: Arc<Counts>,
    /// Why the process must end.
    failed: Mutex<Option<String>>,
}

/// An answer on its way to the brokers.
struct Sent {
    written: Written,
    offset: i64,
    /// Whether it is in the result topic.
    is_result: bool,
    first_at: Option<i64>,
}

impl Workers {
    pub(crate) fn new(
        desk: Arc<Desk>,
        caller: Caller,
        writer: Writer,
        counts: Arc<Counts>,
    ) -> Workers {
        Workers { desk, caller, writer, counts, failed: Mutex::new(None) }
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works off a lane until it is empty. The next command begins only after the brokers have
    /// acknowledged the answer to the one before: otherwise, after a crash, the next owner would send
    /// that one again behind it.
    pub(crate) async fn work_off(self: Arc<Workers>, lane: NewLane) {
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
    async fn answer(&self, job: Job, ticket: &Ticket) -> Result<Option<Sent>, KafkaError> {
        let Job { source, key, work } = job;
        let (key, number, offset) = (key.as_deref(), ticket.partition, source.offset);
        let (written, is_result, first_at) = match work {
            Work::Repeat { value, at } => {
                self.counts.repeated();
                (self.writer.answer(number, &source, key, &value).await?, true, Some(at))
            }
            Work::DeadLetter { reason, value } => {
                tracing::warn!(partition = number, offset, "not a command: {reason}");
                self.counts.dead();
                let (value, reason) = (value.as_deref(), reason.as_str());
                let writer = &self.writer;
                (writer.dead_letter(number, &source, key, value, reason).await?, false, None)
            }
            Work::Send(command) => {
                let Some(found) = self.caller.answer(&command, ticket, offset).await else {
                    return Ok(None);
                };
                self.counts.outcome(found.outcome);
                let value = answer::value(&command, found.outcome, found.status, &found.document);
                (self.writer.answer(number, &source, key, &value).await?, true, None)
            }
        };
        Ok(Some(Sent { written, offset, is_result, first_at }))
    }

    /// Waits for the acknowledgement; only then the offset may be committed.
    async fn finish(&self, sent: Sent, ticket: &Ticket) {
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
