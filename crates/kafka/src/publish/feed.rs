//! Pages of the event feed over HTTP.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::cursor::PublishCursor;
use super::event::{EventPage, PublishedEvent};
use crate::error::{BridgeError, Result};
use crate::http::{ApiClient, ApiReply};
use crate::stop::StopSignal;

/// Events of a page: the most that couponry gives. One page is one transaction.
const PAGE_EVENTS: &str = "1000";

/// The first pause after a failed request; each later one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(200);

/// The longest pause, unless `Retry-After` says more.
const WAIT_MAX: Duration = Duration::from_secs(5);

pub(crate) struct FeedClient<'a> {
    pub(crate) api: &'a ApiClient,
    pub(crate) runtime: &'a Runtime,
    pub(crate) stop: &'a StopSignal,
    pub(crate) types: Option<&'a str>,
    /// What couponry's console and metrics call this reader.
    pub(crate) reader: String,
}

#[derive(Debug)]
pub(crate) enum FeedAnswer {
    Page(EventPage),
    /// The events behind the cursor are gone; `next` is from where to go on.
    Gone {
        detail: String,
        next: String,
    },
}

#[derive(Deserialize)]
struct EventPageBody {
    data: Vec<Box<RawValue>>,
    next_cursor: String,
    has_more: bool,
}

impl FeedClient<'_> {
    /// The page behind the cursor. Asks until there is an answer.
    ///
    /// # Errors
    /// The server refuses in a way that no repeat changes.
    pub(crate) fn read(&self, cursor: &PublishCursor) -> Result<FeedAnswer> {
        let mut query = vec![("limit", PAGE_EVENTS)];
        query.extend(cursor.after.as_deref().map(|after| ("after", after)));
        query.extend(self.types.map(|types| ("type", types)));
        query.push(("reader", &self.reader));
        let mut wait = WAIT_FIRST;
        while !self.stop.is_asked() {
            let reply = self.runtime.block_on(self.api.get(&["v1", "events"], &query));
            let pause = match reply {
                Ok(ApiReply { problem: None, body, .. }) => {
                    return page(&body).map(FeedAnswer::Page);
                }
                Ok(ApiReply { problem: Some(problem), retry_after, .. }) => {
                    let detail = problem.detail.unwrap_or_default();
                    match (problem.status, problem.next_cursor) {
                        (410, Some(next)) => return Ok(FeedAnswer::Gone { detail, next }),
                        (401, _) => {
                            tracing::warn!("the token is not accepted; reading its file again");
                            if let Err(why) = self.api.read_token() {
                                tracing::error!("{why}");
                            }
                        }
                        (408 | 429 | 500 | 502..=504, _) => {
                            tracing::warn!("the server cannot answer: {}: {detail}", problem.code);
                        }
                        (400, _) if cursor.after.is_some() => {
                            let why =
                                "if the cursor is of another server, use another cursor topic";
                            return Err(BridgeError::failed(
                                problem.code,
                                format!("{detail}; {why}"),
                            ));
                        }
                        (_, _) => {
                            return Err(BridgeError::failed(problem.code, detail));
                        }
                    }
                    retry_after
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the server does not answer");
                    None
                }
            };
            self.stop.pause(pause.unwrap_or(wait).max(wait));
            wait = (wait * 2).min(WAIT_MAX);
        }
        Err(BridgeError::Stopped)
    }
}

fn page(body: &RawValue) -> Result<EventPage> {
    let because = |error| BridgeError::failed("the server's answer is no page of events", error);
    let body: EventPageBody = serde_json::from_str(body.get()).map_err(because)?;
    let events = body.data.into_iter().map(PublishedEvent::read).collect::<Result<_, _>>();
    let events = events.map_err(because)?;
    Ok(EventPage { events, next_cursor: body.next_cursor, has_more: body.has_more })
}
