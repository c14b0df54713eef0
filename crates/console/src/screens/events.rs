//! What happens, as it happens; and to whom it is posted.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use coupon::time::Millis;
use engine::{FeedEvent, FeedReader, Happened};
use futures::StreamExt;
use futures::stream::{Stream, iter, unfold};
use serde_json::json;
use tokio::time::sleep;
use webhooks::{Endpoint, EndpointState};

use crate::desk::{PageContext, member_of};
use crate::roles::ConsoleAction;
use crate::screens::campaigns::CampaignPhase;
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
    webhooks: Option<Vec<WebhookRow>>,
    readers: Vec<ReaderRow>,
    is_kept: bool,
    curl: String,
}

struct ReaderRow {
    name: String,
    by: String,
    is_late: bool,
    behind: String,
    asked: String,
}

impl ReaderRow {
    fn of(desk: &PageContext, reader: FeedReader) -> ReaderRow {
        let (t, now) = (desk.t, desk.engine().now());
        let behind_ms = reader.behind_ms(now);
        let is_late = behind_ms >= LATE_MS;
        ReaderRow {
            is_late,
            behind: match is_late {
                true => t.long_time(behind_ms.unsigned_abs()),
                false => t.up_to_date().to_owned(),
            },
            asked: t.moment(Millis(reader.seen_at), &desk.zone),
            name: reader.name,
            by: reader.by,
        }
    }
}

pub(crate) struct WebhookRow {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) state: &'static str,
    pub(crate) label: &'static str,
    pub(crate) pending: u64,
    pub(crate) failures: u64,
}

pub(crate) fn row(desk: &PageContext, endpoint: &Endpoint) -> WebhookRow {
    let t = desk.t;
    let (state, label) = match &endpoint.state {
        EndpointState::Active if endpoint.failures > 0 => ("paused", t.webhook_failing()),
        EndpointState::Active => ("running", t.webhook_active()),
        EndpointState::Paused { .. } => ("planned", t.phase(&CampaignPhase::Paused)),
        EndpointState::Disabled { .. } => ("ended", t.webhook_disabled()),
    };
    WebhookRow {
        id: endpoint.webhook_id.clone(),
        url: match desk.may(ConsoleAction::ManageWebhooks) {
            true => endpoint.url.clone(),
            false => receiver(&endpoint.url),
        },
        state,
        label,
        pending: endpoint.pending,
        failures: endpoint.failures,
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

/// `GET /console/events`
pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let webhooks = match &desk.console.webhooks {
        None => None,
        Some(webhooks) => {
            let found = webhooks.list(None, ENDPOINTS).await?;
            Some(found.iter().map(|endpoint| row(&desk, endpoint)).collect())
        }
    };
    let readers = desk.engine().feed_readers().await?;
    let page = EventsPage {
        d: &desk,
        webhooks,
        readers: readers.into_iter().map(|it| ReaderRow::of(&desk, it)).collect(),
        is_kept: desk.engine().hot().feed().is_some(),
        curl: desk.curl("GET", "/v1/events?limit=100", &json!(null)),
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
        let events = look.events.iter().map(|(code, event)| line(&desk, code.as_deref(), event));
        let events: Vec<String> = events.collect();
        Some((iter(events), (desk, tail)))
    });
    looks.flatten().map(|line| Ok(Event::default().data(line)))
}

fn line(desk: &PageContext, code: Option<&str>, event: &FeedEvent) -> String {
    let user = match &event.happened {
        Happened::Coupon(coupon) => coupon.user.as_ref().map(ToString::to_string),
        Happened::AuditEvent { .. } => None,
    };
    json!({
        "at": desk.t.clock(Millis(event.at.0), &desk.zone),
        "type": event.happened.event_type().as_str(),
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
