//! What happens, as it happens; and to whom it is posted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use coupon::time::Millis;
use engine::{Caller, EventsAnswer, EventsRequest, FeedEvent, FeedStart, Happened};
use futures::stream::{Stream, try_unfold};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use webhooks::{Endpoint, EndpointState};

use crate::desk::Desk;
use crate::text::Texts;
use crate::trouble::Trouble;

/// Endpoints of the page: all that there may be.
const ENDPOINTS: usize = 200;

/// How often a live tail looks for events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a live tail goes on; the browser then asks again.
const TAIL_MAX: Duration = Duration::from_secs(15 * 60);

/// Events that one look may bring.
const EVENTS: u64 = 50;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage<'a> {
    d: &'a Desk,
    t: Texts,
    webhooks: Option<Vec<Row>>,
    is_kept: bool,
    curl: String,
}

/// An endpoint.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) state: &'static str,
    pub(crate) label: &'static str,
    pub(crate) pending: u64,
    pub(crate) failures: u64,
}

pub(crate) fn row(t: Texts, endpoint: &Endpoint) -> Row {
    let (state, label) = match &endpoint.state {
        EndpointState::Active if endpoint.failures > 0 => ("paused", t.webhook_failing()),
        EndpointState::Active => ("running", t.webhook_active()),
        EndpointState::Paused { .. } => ("planned", t.phase_paused()),
        EndpointState::Disabled { .. } => ("ended", t.webhook_disabled()),
    };
    Row {
        id: endpoint.webhook_id.clone(),
        url: endpoint.url.clone(),
        state,
        label,
        pending: endpoint.pending,
        failures: endpoint.failures,
    }
}

/// `GET /console/events`
pub(crate) async fn page(desk: Desk) -> Result<Response, Trouble> {
    let webhooks = match &desk.console.webhooks {
        None => None,
        Some(webhooks) => {
            let found = webhooks.list(None, ENDPOINTS).await?;
            Some(found.iter().map(|endpoint| row(desk.t, endpoint)).collect())
        }
    };
    let page = EventsPage {
        d: &desk,
        t: desk.t,
        webhooks,
        is_kept: desk.engine().hot().feed().is_some(),
        curl: desk.curl("GET", "/v1/events?limit=100", &json!(null)),
    };
    desk.page(&page)
}

/// A live tail: where it stands, and its place among those that there may be.
struct Tail {
    desk: Desk,
    caller: Caller,
    from: FeedStart,
    _permit: OwnedSemaphorePermit,
}

/// `GET /console/events/tail`: what happens from now on, as server-sent events.
pub(crate) async fn tail(desk: Desk) -> Result<Response, Trouble> {
    let permit = Arc::clone(&desk.console.tails).try_acquire_owned();
    let permit = permit.map_err(|_| Trouble::Busy)?;
    let caller = desk.reader()?;
    let mut tail = Tail { desk, caller, from: FeedStart::Newest, _permit: permit };
    // Now, not with the first look: what happens in between belongs to the tail.
    tail.look().await?;
    let events = stream(tail).take_until(sleep(TAIL_MAX));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

fn stream(tail: Tail) -> impl Stream<Item = Result<Event, Infallible>> {
    let steps = try_unfold(tail, |mut tail| async move {
        sleep(LOOK_EVERY).await;
        let lines = tail.look().await?;
        Ok::<_, Trouble>(Some((lines, tail)))
    });
    let lines =
        steps.map_ok(|lines| futures::stream::iter(lines.into_iter().map(Ok::<_, Trouble>)));
    // A store that fails ends the stream; the browser asks again.
    lines
        .try_flatten()
        .take_while(|line| std::future::ready(line.is_ok()))
        .map(|line| Ok(Event::default().data(line.unwrap_or_default())))
}

impl Tail {
    /// What has happened since the last look, each as JSON.
    async fn look(&mut self) -> Result<Vec<String>, Trouble> {
        if !self.desk.is_signed_in().await? {
            return Err(Trouble::SignedOut(None));
        }
        let request = EventsRequest {
            from: self.from.clone(),
            types: None,
            campaign: None,
            limit: Some(EVENTS),
        };
        match self.desk.engine().events(&self.caller, request).await? {
            EventsAnswer::Events(view) => {
                self.from = FeedStart::After(view.next);
                let lines =
                    view.events.iter().map(|(code, event)| self.line(code.as_deref(), event));
                Ok(lines.collect())
            }
            EventsAnswer::Gone { go_on, .. } => {
                self.from = FeedStart::After(go_on);
                Ok(Vec::new())
            }
            EventsAnswer::NotKept => Err(Trouble::NotKept),
        }
    }

    fn line(&self, code: Option<&str>, event: &FeedEvent) -> String {
        let user = match &event.happened {
            Happened::Coupon(coupon) => coupon.user.as_ref().map(ToString::to_string),
            Happened::Deed { .. } => None,
        };
        json!({
            "at": self.desk.t.clock(Millis(event.at.0), &self.desk.zone),
            "type": event.happened.event_type().as_str(),
            "campaign": event.happened.campaign().map(ToString::to_string),
            "code": code,
            "user": user,
            "actor": event.actor.as_str(),
        })
        .to_string()
    }
}
