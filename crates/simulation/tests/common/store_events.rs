//! The events of a store, as webhooks read them.

use std::sync::Arc;

use async_trait::async_trait;
use hot::HotStore;
use hot::feed::{FeedEvent, FeedRead, FeedStart, Happened};
use serde_json::json;
use webhooks::{Event, Read, Source, Start};

pub(crate) struct StoreEvents(pub(crate) Arc<dyn HotStore>);

fn event_of(event: &FeedEvent) -> Event {
    let event_type = event.happened.event_type();
    let (code, version) = match &event.happened {
        Happened::Coupon(coupon) => (Some(coupon.code.to_string()), Some(coupon.version)),
        Happened::AuditEvent { .. } => (None, None),
    };
    let campaign = event.happened.campaign().map(ToString::to_string);
    let data = json!({ "code": code, "version": version, "campaign": campaign });
    Event {
        id: event.id.to_string(),
        cursor: event.cursor.clone(),
        event_type: event_type.as_str().to_owned(),
        only_by_name: event_type.is_left_out(),
        at_ms: event.at.0,
        campaign,
        code,
        data,
    }
}

#[async_trait]
impl Source for StoreEvents {
    async fn read(&self, after: Start<'_>, limit: usize) -> Read {
        let start = match after {
            Start::Newest => FeedStart::Newest,
            Start::After(cursor) => FeedStart::After(cursor.to_owned()),
        };
        match self.0.feed().expect("events").events(start, limit).await {
            Ok(FeedRead::Page(page)) => Read::Page {
                events: page.events.iter().map(event_of).collect(),
                next: page.next,
                is_end: page.is_end,
            },
            Ok(FeedRead::Gone { go_on, why }) => {
                Read::Gone { next: go_on, why: format!("{why:?}") }
            }
            Ok(FeedRead::Unknown) => Read::Unavailable { why: "no cursor of this store".into() },
            Err(error) => Read::Unavailable { why: error.to_string() },
        }
    }
}
