//! Posts the notices of a round to a webhook, or hands them to the webhooks of the store; several at a time.

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use webhooks::{Announced, Webhooks};

use super::counts::NoticeCounts;
use super::memory::{Memory, Record};
use super::notice::Notice;
use super::plan::Plan;
use super::round::{CHUNK, Round};
use super::webhook::{Delivery, Webhook};
use crate::failure::CliError;

/// Posts that wait for an answer at a time.
const IN_FLIGHT_MAX: usize = 8;

/// Stop the round after this many consecutive failed deliveries. Notices are in the order of a
/// hash, so a few users at whom the receiver fails do not stop it.
const FAILED_IN_A_ROW_MAX: u64 = 20;

/// Most notices that may or may not have arrived: they are remembered in full.
const UNKNOWN_MAX: usize = 1_000;

#[derive(Clone, Copy)]
pub(super) enum Receiver<'a> {
    Address(&'a Webhook),
    /// Taken as soon as they are queued for all endpoints that ask for them: `serve` posts them.
    Endpoints(&'a Webhooks),
}

impl Receiver<'_> {
    async fn deliver(self, notice: Notice) -> (Notice, Delivery) {
        match self {
            Receiver::Address(webhook) => webhook.deliver(notice).await,
            Receiver::Endpoints(webhooks) => {
                let announcement = match notice.announcement() {
                    Ok(announcement) => announcement,
                    Err(error) => return (notice, Delivery::Refused(error.to_string())),
                };
                let delivery = match webhooks.announce(announcement).await {
                    Ok(Announced { full: 0, .. }) => Delivery::Taken,
                    Ok(Announced { full, .. }) => {
                        let why = format!("{full} webhooks have too many deliveries that wait");
                        Delivery::Failed(why)
                    }
                    Err(error) => Delivery::Failed(error.to_string()),
                };
                (notice, delivery)
            }
        }
    }
}

pub(super) struct Posts<'a> {
    pub(super) round: &'a Round<'a>,
    pub(super) receiver: Receiver<'a>,
    pub(super) memory: Memory,
    pub(super) counts: &'a mut NoticeCounts,
}

impl Posts<'_> {
    /// Posts everything. New notices come first: those that failed before may fail again, and must
    /// not delay the others.
    pub(super) async fn all(
        &mut self,
        plan: &mut Plan<'_>,
        pending: Vec<Notice>,
    ) -> Result<(), CliError> {
        let receiver = self.receiver;
        let (mut fresh, mut pending) = (VecDeque::new(), VecDeque::from(pending));
        let mut in_flight = FuturesUnordered::new();
        let (mut failed_in_a_row, mut unknown) = (0, pending.len());
        loop {
            while in_flight.len() < IN_FLIGHT_MAX && failed_in_a_row < FAILED_IN_A_ROW_MAX {
                if fresh.is_empty() && unknown < UNKNOWN_MAX {
                    fresh = self.begin(plan.take(CHUNK).await?)?;
                    unknown += fresh.len();
                }
                let Some(notice) = fresh.pop_front().or_else(|| pending.pop_front()) else { break };
                in_flight.push(receiver.deliver(notice));
            }
            let Some((notice, delivery)) = in_flight.next().await else { break };
            match delivery {
                Delivery::Taken => failed_in_a_row = 0,
                Delivery::Refused(_) => {}
                Delivery::Failed(_) => failed_in_a_row += 1,
            }
            unknown -= usize::from(!matches!(delivery, Delivery::Failed(_)));
            self.end(&notice, delivery)?;
        }
        self.counts.gave_up = failed_in_a_row >= FAILED_IN_A_ROW_MAX || unknown >= UNKNOWN_MAX;
        // These were not posted: the next round makes new ones.
        for notice in &fresh {
            self.memory.add(&Record::Done(notice.id.clone()))?;
        }
        self.memory.keep()
    }

    /// Remembers that the notices may arrive from now on, even if this process ends.
    fn begin(&mut self, notices: Vec<Notice>) -> Result<VecDeque<Notice>, CliError> {
        if notices.is_empty() {
            return Ok(VecDeque::new());
        }
        for notice in &notices {
            self.memory.add(&Record::Try(notice.line.clone()))?;
        }
        self.memory.keep()?;
        Ok(notices.into())
    }

    fn end(&mut self, notice: &Notice, delivery: Delivery) -> Result<(), CliError> {
        match delivery {
            Delivery::Taken => {
                self.memory.sent(notice)?;
                self.counts.add_sent(notice);
            }
            Delivery::Refused(why) => {
                self.memory.add(&Record::Done(notice.id.clone()))?;
                self.counts.refused += 1;
                self.counts.show(notice, &format!("refused: {why}"));
            }
            Delivery::Failed(why) => {
                self.counts.failed += 1;
                self.counts.show(notice, &format!("failed: {why}"));
            }
        }
        (self.round.progress)(self.counts.sent, self.counts.looked_at);
        self.memory.write_out()
    }
}
