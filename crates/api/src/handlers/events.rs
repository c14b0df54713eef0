//! The event feed.

mod follow;

use std::collections::BTreeSet;

use axum::Extension;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use engine::{EventType, EventsAnswer, EventsRequest, FeedStart};
use serde::Deserialize;
use server::accept::ShutdownFlag;
use utoipa::IntoParams;

use crate::answer::JsonAnswer;
use crate::bodies::FieldReader;
use crate::closed;
use crate::extract::{QueryParams, ReadingCaller, StreamSession, accepts};
use crate::paging::LIMITS;
use crate::problem::{Problem, Result};
use crate::views::FeedBody;

/// Which events to read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// The `next_cursor` of the call before, or the `cursor` of the last event that you have dealt with.
    /// `newest`: only what happens from now on. If it is left out, the oldest events come first.
    #[param(
        min_length = 1,
        max_length = 512,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "8a6f03b1c2d4e597-1042-5be90c17"
    )]
    after: Option<String>,
    /// The most events of a page: 1 to 1,000. If it is left out, it is 100.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, example = 100)]
    limit: Option<String>,
    /// Only events of these types, separated by commas. If it is left out, all but `coupon.held` and `coupon.released`.
    #[param(value_type = Option<Vec<closed::EventType>>, style = Form, explode = false, max_items = 19)]
    r#type: Option<String>,
    /// Only events of this campaign.
    campaign_id: Option<String>,
    /// How you call yourself: then the console and the metrics show how far you are behind. Use one name
    /// for each consumer; 1 to 64 letters, digits or `-_.~:`.
    #[param(example = "warehouse")]
    reader: Option<String>,
}

impl EventParams {
    fn read(self) -> Result<EventsRequest> {
        let mut reading = FieldReader::default();
        let types = self.r#type.as_deref().and_then(|text| {
            let words: Vec<_> = EventType::all().map(|it| (it.as_str(), it)).collect();
            let types = text.split(',').map(|one| reading.one_of("type", Some(one), &words));
            types.collect::<Option<BTreeSet<EventType>>>()
        });
        let request = EventsRequest {
            from: match self.after.as_deref() {
                None => FeedStart::Oldest,
                Some("newest") => FeedStart::Newest,
                Some(cursor) => FeedStart::After(cursor.to_owned()),
            },
            types,
            campaign: reading.may("campaign_id", self.campaign_id.as_deref()),
            limit: reading.number("limit", self.limit.as_deref(), LIMITS),
            reader: reading.may("reader", self.reader.as_deref()),
        };
        reading.done(Some(request))
    }
}

/// Follow what happens
///
/// Every accepted change of a coupon, a campaign and a batch, once, in the order in which the store made
/// them; those of one coupon in the order of its versions. Read on with `after` and the `next_cursor` of the answer, also
/// if it had no events: then wait a moment before the next call.
///
/// Store the cursor together with what you do for its events: after a crash you then begin where you
/// were. A call that is repeated gets the same events, with the same `event_id`.
///
/// With the header `Accept: text/event-stream` the answer is a stream of server-sent events: each has its
/// cursor as `id`, its type as `event`, and what is an item of `data` here as `data`. It goes on for
/// 15 minutes, or until its token is no longer good; then ask again with the last `id` as `Last-Event-ID`. A server has at most 256 streams,
/// and 32 for one caller.
///
/// Events are kept for `events_keep`, seven days by default. If you come later, or if the store was
/// restored from a backup or moved, the answer is CURSOR_GONE, with the cursor to go on from.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", params(EventParams),
    responses((status = 200, description = "Some events, or all that come", content(
        (FeedBody = "application/json"),
        (String = "text/event-stream",
            example = "id: 8a6f03b1c2d4e597-1042-5be90c17\nevent: coupon.redeemed\ndata: {…}\n\n"),
    )))
)]
pub(crate) async fn list_events(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    stopping: Option<Extension<ShutdownFlag>>,
    headers: HeaderMap,
    QueryParams(params): QueryParams<EventParams>,
) -> Result<Response> {
    let mut request = params.read()?;
    let is_stream = accepts(&headers, "text/event-stream");
    if let Some(seen) = follow::last_seen(&headers).filter(|_| is_stream) {
        request.from = seen;
    }
    // What goes wrong at once is an answer of its own, not a stream that breaks off.
    let view = match app.engine.events(&caller, request.clone()).await? {
        EventsAnswer::Events(view) => view,
        EventsAnswer::Gone { detail, go_on } => return Err(Problem::cursor_gone(detail, go_on)),
        EventsAnswer::NotKept => {
            let why = "it keeps no events: events_keep is 0";
            return Err(Problem::not_kept(why));
        }
    };
    match is_stream {
        false => Ok(JsonAnswer::ok(FeedBody::from(view)).into_response()),
        true => {
            let stopping = stopping.map(|Extension(it)| it).unwrap_or_default();
            let places = follow::places(&app, &caller)?;
            let session = StreamSession::of(&app, caller, &headers);
            Ok(follow::stream(app, session, request, view, stopping, places))
        }
    }
}
