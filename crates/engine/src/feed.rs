//! The event feed, as a caller may read it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use coupon::campaign::Prefix;
use coupon::code::{Code, CodeText};
use coupon::ids::{CampaignId, ReaderName};
use coupon::time::Millis;
use hot::feed::{EventType, FeedEvent, FeedGone, FeedRead, FeedStart, Happened};

use crate::failure::must_lie;
use crate::failure::{Failure, Result};
use crate::{Caller, Engine, Role};

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
    /// Each with the code as people read it, if it is about a coupon.
    pub events: Vec<(Option<String>, FeedEvent)>,
    /// Where to go on. It has moved also if no event passed the filter.
    pub next: String,
    /// Whether there were no more at the time.
    pub is_end: bool,
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

impl Engine {
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
                let (events, next) = (self.printed(events).await?, next.clone());
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
                let events = self.printed(events).await?;
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

    async fn printed(&self, events: Vec<FeedEvent>) -> Result<Vec<(Option<String>, FeedEvent)>> {
        let mut prefixes: HashMap<CampaignId, Option<Prefix>> = HashMap::new();
        let mut printed = Vec::with_capacity(events.len());
        for event in events {
            let Happened::Coupon(coupon) = &event.happened else {
                printed.push((None, event));
                continue;
            };
            let campaign = &coupon.owner.campaign;
            if !prefixes.contains_key(campaign) {
                let row = self.hot.campaign(campaign, self.now()).await?;
                let prefix = row.and_then(|row| row.campaign.code_prefix.clone());
                prefixes.insert(campaign.clone(), prefix);
            }
            let prefix = prefixes.get(campaign).and_then(Option::as_ref);
            printed.push((Some(self.printed_with(&coupon.code, prefix)), event));
        }
        Ok(printed)
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
