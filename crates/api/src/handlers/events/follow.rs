//! The event feed as a stream (`text/event-stream`, the WHATWG standard of server-sent events).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use engine::{Caller, EventsAnswer, EventsRequest, EventsView, FeedStart};
use futures::stream::unfold;
use passwords::places::TakenPlace;
use server::accept::ShutdownFlag;

use crate::app::App;
use crate::extract::{StreamSession, read_turn};
use crate::guesses::EVERYBODY;
use crate::problem::{Problem, Result};
use crate::views::FeedEventBody;

/// With `no`, nginx sends on what comes at once, whatever its configuration says.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How often a stream looks for what happened.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a stream is silent: shorter than proxies wait.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// How long a stream lasts. Then the client asks again, with a token that is still good, and goes on.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The last event that a client which asks again has seen.
pub(super) fn last_seen(headers: &HeaderMap) -> Option<FeedStart> {
    // One that is no text is no cursor, either: it is refused as such.
    let seen = String::from_utf8_lossy(headers.get("last-event-id")?.as_bytes());
    (!seen.is_empty()).then(|| FeedStart::After(seen.into_owned()))
}

struct EventStream {
    app: Arc<App>,
    session: StreamSession,
    request: EventsRequest,
    ready: VecDeque<String>,
    has_more: bool,
    begun: Instant,
    said: Instant,
    stopping: ShutdownFlag,
    _places: StreamPlaces,
}

/// The place of a stream among those of its caller, and among all of them.
pub(super) type StreamPlaces = (TakenPlace, TakenPlace);

/// # Errors
/// TOO_MANY where the caller has as many as one may have, or all are taken.
pub(super) fn places(app: &App, caller: &Caller) -> Result<StreamPlaces> {
    let too_many = |what| Problem::too_many(what, 5_000);
    let of_caller = app.event_streams_of.take(&caller.to_string());
    let of_caller =
        of_caller.ok_or_else(|| too_many("too many streams of events of this caller"))?;
    let of_all = app.event_streams.take(EVERYBODY);
    Ok((of_caller, of_all.ok_or_else(|| too_many("too many streams of events"))?))
}

/// What follows `first`, until the stream has lasted long enough, its session is over, the service stops, or the
/// store fails: the client asks again then, with the id of the last event.
pub(super) fn stream(
    app: Arc<App>,
    session: StreamSession,
    request: EventsRequest,
    first: EventsView,
    stopping: ShutdownFlag,
    places: StreamPlaces,
) -> Response {
    let now = Instant::now();
    let mut following = EventStream {
        app,
        session,
        request,
        ready: VecDeque::new(),
        has_more: false,
        begun: now,
        said: now,
        stopping,
        _places: places,
    };
    following.take(first);
    let pieces = unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), following))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

impl EventStream {
    fn take(&mut self, view: EventsView) {
        self.has_more = !view.is_end;
        for event in view.events {
            let body = FeedEventBody::from(event);
            self.ready.push_back(body.as_sent());
        }
        self.request.from = FeedStart::After(view.next);
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.said = Instant::now();
                return Some(piece);
            }
            if self.begun.elapsed() > LASTS
                || self.stopping.is_set()
                || self.session.is_over().await
            {
                return None;
            }
            if self.said.elapsed() > SILENT_MAX {
                self.said = Instant::now();
                // Without data it is no event, but the client remembers the cursor.
                let FeedStart::After(cursor) = &self.request.from else { return None };
                return Some(format!("id: {cursor}\n\n"));
            }
            if !self.has_more {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let caller = &self.session.caller;
            let Ok(_turn) = read_turn(&self.app, caller, None).await else {
                // Later, also if there is more.
                self.has_more = false;
                continue;
            };
            match self.app.engine.events(caller, self.request.clone()).await {
                Ok(EventsAnswer::Events(view)) => self.take(view),
                // The next request gets the problem.
                Ok(EventsAnswer::Gone { .. } | EventsAnswer::NotKept) | Err(_) => return None,
            }
        }
    }
}
