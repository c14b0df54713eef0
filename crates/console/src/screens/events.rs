//! What happens, as it happens; and to whom it is posted.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use coupon::time::Millis;
use engine::{FeedReader, Happened, ShownEvent};
use futures::StreamExt;
use futures::stream::{Stream, iter, unfold};
use serde_json::json;
use tokio::time::sleep;
use webhooks::{Endpoint, EndpointState};

use crate::desk::{PageContext, member_of};
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::tails::EventTail;
use crate::trouble::ConsoleResult;

/// Endpoints of the page: all that there may be.
const ENDPOINTS: usize = 200;

/// How long a live tail goes on; the browser then asks again.
const TAIL_MAX: Duration = Duration::from_secs(15 * 60);

/// A reader that is behind for less is up to date, in milliseconds: what it has read is entered every ten seconds.
const LATE_MS: i64 = 60_000;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage<'a> {
    d: &'a PageContext,
    webhooks: Option<Vec<Endpoint>>,
    readers: Vec<FeedReader>,
    is_kept: bool,
    curl: String,
}

impl EventsPage<'_> {
    /// For how long a reader is behind; `None` if it is up to date.
    fn behind_ms(&self, reader: &FeedReader) -> Option<u64> {
        let behind_ms = reader.behind_ms(self.d.engine().now());
        (behind_ms >= LATE_MS).then_some(behind_ms.unsigned_abs())
    }
}

impl PageContext {
    /// The class and the words of the state of a webhook.
    pub(crate) fn webhook_state(&self, endpoint: &Endpoint) -> (&'static str, &'static str) {
        let t = self.t;
        match &endpoint.state {
            EndpointState::Active if endpoint.failures > 0 => ("paused", t.webhook_failing()),
            EndpointState::Active => ("running", t.webhook_active()),
            EndpointState::Paused { .. } => ("planned", t.phase(&CampaignPhase::Paused)),
            EndpointState::Disabled { .. } => ("ended", t.webhook_disabled()),
        }
    }

    /// The address of a webhook, as far as somebody may see it.
    pub(crate) fn webhook_url(&self, endpoint: &Endpoint) -> String {
        match self.may(ConsoleAction::ManageWebhooks) {
            true => endpoint.url.clone(),
            false => receiver(&endpoint.url),
        }
    }
}

/// Where an address leads, without what may be a secret of whoever receives there: a user, a query, and a path as
/// those of chat rooms.
fn receiver(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let more = if rest.len() > host.len() { "/…" } else { "" };
    format!("{scheme}://{host}{more}")
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let webhooks = match &desk.console.setup.webhooks {
        None => None,
        Some(webhooks) => Some(webhooks.list(None, ENDPOINTS).await?),
    };
    let page = EventsPage {
        d: &desk,
        webhooks,
        readers: desk.engine().feed_readers().await?,
        is_kept: desk.engine().hot().feed().is_some(),
        curl: desk.curl_get("/v1/events?limit=100"),
    };
    desk.page(&page)
}

/// `GET /console/events/tail`: what happens from now on, as server-sent events.
pub(crate) async fn tail(desk: PageContext) -> ConsoleResult {
    let tail = desk.console.tails.begin(desk.engine(), desk.reader()?).await?;
    let events = stream(desk, tail).take_until(sleep(TAIL_MAX));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// What each look finds, until the session is over.
fn stream(desk: PageContext, tail: EventTail) -> impl Stream<Item = Result<Event, Infallible>> {
    let looks = unfold((desk, tail), |(desk, mut tail)| async move {
        let look = tail.next().await?;
        let session = desk.member.as_ref()?.session.clone();
        member_of(&look.staff, session, desk.engine().now())?;
        let events = look.events.iter().map(|it| line(&desk, it)).collect::<Vec<String>>();
        Some((iter(events), (desk, tail)))
    });
    looks.flatten().map(|line| Ok(Event::default().data(line)))
}

fn line(desk: &PageContext, ShownEvent { event, code, .. }: &ShownEvent) -> String {
    let user = match &event.happened {
        Happened::Coupon(coupon) => coupon.user.as_ref().map(ToString::to_string),
        Happened::AuditEvent { .. } => None,
    };
    json!({
        "at": desk.t.clock(Millis(event.at.0), &desk.zone),
        "type": desk.t.event(event.happened.event_type().as_str()),
        "campaign": event.happened.campaign().map(ToString::to_string),
        "code": code,
        "user": user,
        "actor": event.actor.as_str(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_viewer_sees_of_an_address() {
        let cases = [
            ("a host", "https://a.example", "https://a.example"),
            ("a path", "https://a.example/hooks", "https://a.example/…"),
            ("a query", "https://a.example:8443?token=s3cret", "https://a.example:8443/…"),
            ("a user", "https://eva:s3cret@a.example/", "https://a.example/…"),
            ("two signs", "https://eva@s3cret@a.example/x@y", "https://a.example/…"),
            ("a fragment", "https://a.example#s3cret@b", "https://a.example/…"),
            ("no scheme", "a.example/s3cret", "://a.example/…"),
        ];
        for (name, url, want) in cases {
            assert_eq!(receiver(url), want, "{name}");
        }
    }
}
