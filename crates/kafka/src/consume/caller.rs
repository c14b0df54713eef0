//! Sends a command until couponry answers it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::CommandOutcome;
use super::batcher::CommandBatcher;
use super::command::CouponCommand;
use super::desk::AssignmentTicket;
use super::progress::ConsumeCounts;
use super::verdict::{CallVerdict, WaitScope, verdict};
use crate::http::{ApiClient, ApiReply, NoAnswer};

/// After the gate opens, requests begin within this time, not all at once.
const GATE_SPREAD: Duration = Duration::from_millis(500);

/// A line is logged at the first try without an answer, and at each so many tries.
const LOG_EVERY: u32 = 10;

/// The requests of a process, and what bounds them.
pub(crate) struct CommandCaller {
    batcher: CommandBatcher,
    /// One for each command that may be in flight.
    permits: Semaphore,
    /// Before this instant nobody sends.
    gate: Mutex<Instant>,
    counts: Arc<ConsumeCounts>,
}

impl CommandCaller {
    /// At most `in_flight` commands at the same time.
    pub(crate) fn new(
        api: ApiClient,
        in_flight: usize,
        counts: Arc<ConsumeCounts>,
    ) -> CommandCaller {
        let (batcher, permits) = (CommandBatcher::new(api), Semaphore::new(in_flight));
        CommandCaller { batcher, permits, gate: Mutex::new(Instant::now()), counts }
    }

    /// The answer to the command, whenever couponry gives one. `None` if the partition is left before:
    /// then no request is in flight.
    pub(crate) async fn answer(
        &self,
        command: &CouponCommand,
        ticket: &AssignmentTicket,
        seed: i64,
    ) -> Option<(CommandOutcome, ApiReply)> {
        for tries in 1.. {
            if self.waits_for_gate(ticket, seed).await {
                return None;
            }
            let reply = {
                let _permit = self.permits.acquire().await.ok()?;
                if ticket.is_closing() {
                    return None;
                }
                self.batcher.send(command, ticket).await?
            };
            match verdict(&reply, tries) {
                // No verdict ends without an answer.
                CallVerdict::Answer(outcome) => return Some((outcome, reply.ok()?)),
                CallVerdict::Again { wait, who } => {
                    self.log(command, &reply, tries);
                    if self.pauses(wait, who, ticket).await {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Waits while the gate is closed. Whether the partition is left.
    async fn waits_for_gate(&self, ticket: &AssignmentTicket, seed: i64) -> bool {
        loop {
            let open_at = *self.gate.lock();
            let left = open_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ticket.is_closing();
            }
            let share = seed.rem_euclid(64) as u32;
            if ticket.sleep(left + GATE_SPREAD * share / 64).await {
                return true;
            }
        }
    }

    /// Pauses before the next try. Whether the partition is left.
    async fn pauses(&self, wait: Duration, who: WaitScope, ticket: &AssignmentTicket) -> bool {
        self.counts.again.fetch_add(1, Ordering::Relaxed);
        match who {
            WaitScope::Lane => return ticket.sleep(wait).await,
            WaitScope::All => {}
            WaitScope::AllWithNewToken => {
                if let Err(why) = self.batcher.api.read_token() {
                    tracing::error!("{why}");
                }
            }
        }
        let mut gate = self.gate.lock();
        *gate = (*gate).max(Instant::now() + wait);
        ticket.is_closing()
    }

    fn log(&self, command: &CouponCommand, reply: &Result<ApiReply, NoAnswer>, tries: u32) {
        if tries % LOG_EVERY != 1 {
            return;
        }
        let verb = command.verb.as_str();
        match reply {
            Ok(ApiReply { problem: Some(problem), .. }) => {
                let (code, detail) = (&problem.code, problem.detail.as_deref().unwrap_or_default());
                tracing::warn!(verb, tries, code, "sending a command again: {code}: {detail}");
            }
            Ok(ApiReply { problem: None, .. }) => {}
            Err(error) => tracing::warn!(verb, tries, "sending a command again: {error}"),
        }
    }
}
