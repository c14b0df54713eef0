//! The event feed, as a caller may read it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::{Campaign, CampaignWorth, Prefix};
use coupon::code::{Code, CodeText};
use coupon::ids::{CampaignId, ReaderName};
use coupon::text::clipped;
use coupon::time::Millis;
use hot::feed::{
    CouponEventKind, EventType, FeedEvent, FeedGone, FeedRead, FeedStart, Happened, REPORT_TYPE,
};

use crate::failure::{Failure, Result, must_lie};
use crate::{Caller, Engine, NOTICE_TYPE, Role};

/// Events of a page if the caller does not say.
pub const EVENTS_DEFAULT: usize = 100;

/// Most events of a page: some 500 KB of JSON.
pub const EVENTS_MAX: usize = 1_000;

/// Most events that one call looks at, of which its filter may leave none: some 60 ms, most of which it waits.
const LOOKED_AT_MAX: usize = 10_000;

/// Longest pause between two such looks: a read that took longer waited for a disk or a cluster.
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// Events that a filter looks at before it lets others have the processor: some 0.3 ms.
const FILTERED_AT_ONCE: usize = 250;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsRequest {
    pub from: FeedStart,
    /// Only these types. `None`: all but those of [`EventType::is_left_out`].
    pub types: Option<BTreeSet<EventType>>,
    pub campaign: Option<CampaignId>,
    /// At most so many; [`EVENTS_DEFAULT`] by default.
    pub limit: Option<u64>,
    /// The reader, if it wants to be listed among those of the feed.
    pub reader: Option<ReaderName>,
}

/// Some events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsView {
    pub events: Vec<ShownEvent>,
    /// Where to go on. It has moved also if no event passed the filter.
    pub next: String,
    /// Whether there were no more at the time.
    pub is_end: bool,
}

/// An event, with what people read of its coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownEvent {
    pub event: FeedEvent,
    /// `None`: it is about no coupon.
    pub code: Option<String>,
    /// What the coupon is worth, if it was issued: whoever tells its user needs no other call.
    pub worth: Option<CampaignWorth>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsAnswer {
    Events(EventsView),
    /// The cursor leads to nothing any more.
    Gone {
        detail: &'static str,
        go_on: String,
    },
    /// The store keeps no events.
    NotKept,
}

/// As much as is repeated of a name that is none: all names are shorter.
const EVENT_NAME_SHOWN: usize = 64;

/// What a webhook can ask for, by name.
pub fn webhook_types() -> impl Iterator<Item = &'static str> {
    EventType::all().map(EventType::as_str).chain([NOTICE_TYPE, REPORT_TYPE])
}

/// What is wrong with the types that somebody names for a webhook, if one of them does not exist.
pub fn unknown_webhook_type<'a>(mut named: impl Iterator<Item = &'a String>) -> Option<String> {
    let unknown = named.find(|name| !webhook_types().any(|known| known == name.as_str()))?;
    let all: Vec<&str> = webhook_types().collect();
    Some(format!("has {:?}, want {}", clipped(unknown, EVENT_NAME_SHOWN), all.join(", ")))
}

impl Engine {
    /// The cursor behind what has happened so far. `None`: the store keeps no events.
    ///
    /// # Errors
    /// Those of [`Engine::events`].
    pub async fn newest_event(&self, caller: &Caller) -> Result<Option<String>> {
        let request =
            EventsRequest { from: FeedStart::Newest, limit: Some(1), ..EventsRequest::default() };
        Ok(match self.events(caller, request).await? {
            EventsAnswer::Events(view) => Some(view.next),
            EventsAnswer::Gone { go_on, .. } => Some(go_on),
            EventsAnswer::NotKept => None,
        })
    }

    /// # Errors
    /// `Forbidden` for users; `Invalid` for a cursor of another store.
    pub async fn events(&self, caller: &Caller, request: EventsRequest) -> Result<EventsAnswer> {
        if caller.role == Role::User {
            return Err(Failure::Forbidden("users read their own coupons instead".to_owned()));
        }
        must_lie("limit", request.limit, 1, EVENTS_MAX as u64)?;
        let Some(feed) = self.hot.feed() else { return Ok(EventsAnswer::NotKept) };
        let limit = request.limit.map_or(EVENTS_DEFAULT, |limit| limit as usize);
        let (mut from, mut events, mut looked_at) = (request.from.clone(), Vec::new(), 0);
        loop {
            let some = if looked_at == 0 { limit } else { FILTERED_AT_ONCE };
            let began = tokio::time::Instant::now();
            let read = feed.events(from.clone(), some).await;
            if let (Err(_), FeedStart::After(next)) = (&read, &from)
                && looked_at > 0
            {
                // Returns what was read before it: the next call gets the error.
                let (events, next) = (self.shown(events).await?, next.clone());
                return Ok(EventsAnswer::Events(EventsView { events, next, is_end: false }));
            }
            let page = match read? {
                FeedRead::Page(page) => page,
                FeedRead::Unknown => {
                    return Err(Failure::invalid("after", "is no cursor of this store's events"));
                }
                FeedRead::Gone { why, go_on } => {
                    let detail = match why {
                        FeedGone::TooOld => "events behind this cursor were deleted for their age",
                        FeedGone::Restored => {
                            "the store was restored from a backup: what happened behind \
                             next_cursor, and you may have read, did not survive"
                        }
                        FeedGone::Moved => {
                            "the store was moved: its events begin anew at next_cursor, and events \
                             before that you have not read are gone"
                        }
                    };
                    return Ok(EventsAnswer::Gone { detail, go_on });
                }
            };
            if let Some(reader) = request.reader.as_ref().filter(|_| looked_at == 0) {
                let oldest = page.events.first().map(|event| Millis(event.at.0));
                self.note_feed_reader(caller, reader, oldest.unwrap_or_else(|| self.now())).await;
            }
            looked_at += page.events.len();
            let mut next = page.next;
            let mut is_end = page.is_end;
            for event in page.events {
                if events.len() == limit {
                    is_end = false;
                    break;
                }
                next.clone_from(&event.cursor);
                if passes(&request, &event) {
                    events.push(event);
                }
            }
            if is_end || events.len() == limit || looked_at >= LOOKED_AT_MAX {
                let events = self.shown(events).await?;
                return Ok(EventsAnswer::Events(EventsView { events, next, is_end }));
            }
            from = FeedStart::After(next);
            // The filter lets little pass: this caller can wait, and others need the processors for a change.
            tokio::time::sleep(began.elapsed().min(PAUSE_MAX)).await;
        }
    }

    /// Deletes events that are older than `kept_ms` milliseconds, and returns how many.
    pub async fn forget_events(&self, kept_ms: i64) -> Result<u64> {
        let before = self.now().plus_ms(-kept_ms);
        let mut forgotten = 0;
        loop {
            match self.hot.forget_events(before).await? {
                0 => return Ok(forgotten),
                more => forgotten += more as u64,
            }
        }
    }

    async fn shown(&self, events: Vec<FeedEvent>) -> Result<Vec<ShownEvent>> {
        let mut campaigns: HashMap<CampaignId, Option<Arc<Campaign>>> = HashMap::new();
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            let (mut code, mut worth) = (None, None);
            if let Happened::Coupon(coupon) = &event.happened {
                let id = &coupon.owner.campaign;
                if !campaigns.contains_key(id) {
                    let row = self.hot.campaign(id, self.now()).await?;
                    campaigns.insert(id.clone(), row.map(|row| row.campaign));
                }
                let campaign = campaigns.get(id).and_then(Option::as_deref);
                let prefix = campaign.and_then(|it| it.code_prefix.as_ref());
                code = Some(self.printed_with(&coupon.code, prefix));
                let is_issued = coupon.kind == CouponEventKind::Issued;
                worth = campaign.filter(|_| is_issued).map(|it| it.worth.clone());
            }
            shown.push(ShownEvent { event, code, worth });
        }
        Ok(shown)
    }

    /// What was typed as a code, as people read it: without a prefix if it is a minted one.
    pub fn printed_text(&self, text: &CodeText) -> String {
        match text.minted().filter(|code| self.router.opens(code)) {
            Some(code) => code.printed(None),
            None => text.foreign().to_string(),
        }
    }

    /// A code as people read it: a minted one in groups of four, after the prefix of its campaign.
    pub(crate) fn printed_with(&self, code: &Code, prefix: Option<&Prefix>) -> String {
        // No foreign code opens: an import rejects the line of one that does.
        match self.router.opens(code) {
            true => code.printed(prefix.map(|prefix| prefix.as_str())),
            false => code.to_string(),
        }
    }
}

fn passes(request: &EventsRequest, event: &FeedEvent) -> bool {
    let event_type = event.happened.event_type();
    let of_type = match &request.types {
        Some(types) => types.contains(&event_type),
        None => !event_type.is_left_out(),
    };
    of_type && request.campaign.as_ref().is_none_or(|it| event.happened.campaign() == Some(it))
}
