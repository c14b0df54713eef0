//! Sends commands that wait at the same time in one request.

use std::collections::VecDeque;

use futures::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{Semaphore, oneshot};

use super::command::{CommandTarget, CommandVerb, CouponCommand};
use super::desk::AssignmentTicket;
use crate::http::{ApiClient, ApiReply, NoAnswer};

/// Requests under way. While they are, further commands wait, and go together in the next one.
const REQUESTS_MAX: usize = 4;

/// Most commands of a request; couponry takes 1,000.
const COMMANDS_MAX: usize = 500;

/// Most bytes of their bodies; couponry takes 1 MiB in all.
const BODIES_BYTES_MAX: usize = 768 << 10;

type CommandReply = Result<ApiReply, NoAnswer>;

pub(crate) struct CommandBatcher {
    pub(crate) api: ApiClient,
    places: Semaphore,
    waiting: Mutex<VecDeque<WaitingCommand>>,
}

struct WaitingCommand {
    command: CouponCommand,
    ticket: AssignmentTicket,
    /// Dropped if the command was not sent.
    tell: oneshot::Sender<CommandReply>,
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    operations: Vec<BatchOperation<'a>>,
}

#[derive(Serialize)]
struct BatchOperation<'a> {
    action: CommandVerb,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<&'a str>,
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<BatchResult>,
}

#[derive(Deserialize)]
struct BatchResult {
    status: u16,
    body: Box<RawValue>,
}

impl CommandBatcher {
    pub(crate) fn new(api: ApiClient) -> CommandBatcher {
        let places = Semaphore::new(REQUESTS_MAX);
        CommandBatcher { api, places, waiting: Mutex::default() }
    }

    /// Sends the command, with those that wait beside it. `None` if its partition is left before.
    pub(crate) async fn send(
        &self,
        command: &CouponCommand,
        ticket: &AssignmentTicket,
    ) -> Option<CommandReply> {
        let (tell, mut told) = oneshot::channel();
        let waits = WaitingCommand { command: command.clone(), ticket: ticket.clone(), tell };
        self.waiting.lock().push_back(waits);
        loop {
            let place = tokio::select! {
                biased;
                reply = &mut told => return reply.ok(),
                place = self.places.acquire() => place.ok()?,
            };
            let batch = self.next_batch();
            if batch.is_empty() {
                // Somebody else sends it.
                drop(place);
                return told.await.ok();
            }
            self.send_all(batch).await;
        }
    }

    /// What waits, without the commands of partitions that are left.
    fn next_batch(&self) -> Vec<WaitingCommand> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|it| !it.ticket.is_closing());
        let mut bytes = 0;
        let fits = |it: &&WaitingCommand| {
            bytes += it.command.body.get().len();
            bytes <= BODIES_BYTES_MAX
        };
        let count = waiting.iter().take(COMMANDS_MAX).take_while(fits).count();
        waiting.drain(..count).collect()
    }

    async fn send_all(&self, batch: Vec<WaitingCommand>) {
        let replies = match batch.len() {
            1 => self.one_by_one(&batch).await,
            _ => self.together(&batch).await,
        };
        for (WaitingCommand { tell, .. }, reply) in batch.into_iter().zip(replies) {
            let _is_gone = tell.send(reply);
        }
    }

    async fn one_by_one(&self, batch: &[WaitingCommand]) -> Vec<CommandReply> {
        let sent = batch.iter().map(async |WaitingCommand { command, .. }| {
            self.api.post(&command.path(), &command.body).await
        });
        join_all(sent).await
    }

    async fn together(&self, batch: &[WaitingCommand]) -> Vec<CommandReply> {
        let operations = batch.iter().map(|it| operation(&it.command)).collect();
        let reply = match to_raw_value(&BatchRequest { operations }) {
            Ok(body) => self.api.post(&["v1", "batch"], &body).await,
            Err(error) => Err(NoAnswer(error.to_string())),
        };
        let results = match reply {
            // An older couponry has no such call.
            Ok(ApiReply { status: 404 | 405, .. }) => return self.one_by_one(batch).await,
            Ok(ApiReply { problem: None, body, .. }) => {
                serde_json::from_str::<BatchAnswer>(body.get()).ok().map(|it| it.results)
            }
            refused => return batch.iter().map(|_| refused.clone()).collect(),
        };
        match results.filter(|results| results.len() == batch.len()) {
            Some(results) => {
                results.into_iter().map(|it| ApiReply::new(it.status, None, it.body)).collect()
            }
            None => {
                let why = || NoAnswer("an answer without a result for each command".to_owned());
                batch.iter().map(|_| Err(why())).collect()
            }
        }
    }
}

fn operation(command: &CouponCommand) -> BatchOperation<'_> {
    let (code, campaign_id) = match &command.target {
        CommandTarget::Coupon(code) => (Some(code.as_str()), None),
        CommandTarget::Campaign(id) => (None, Some(id.as_str())),
    };
    BatchOperation { action: command.verb, code, campaign_id, body: &command.body }
}
