//! The event feed, as webhooks read it.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{
    Caller, Engine, EventType, EventsAnswer, EventsRequest, FeedStart, Happened, Role, ShownEvent,
};
use webhooks::{Event, Read, Source, Start};

use crate::views::FeedEventBody;

/// The events of an engine, each in the form of `GET /v1/events`.
pub struct WebhookFeed {
    engine: Arc<Engine>,
    caller: Caller,
}

impl WebhookFeed {
    pub fn new(engine: Arc<Engine>) -> WebhookFeed {
        let subject = "webhooks".parse().expect("a word makes a name");
        let caller = Caller::new(Role::Operator, subject);
        WebhookFeed { engine, caller }
    }
}

#[async_trait]
impl Source for WebhookFeed {
    async fn read(&self, after: Start<'_>, limit: usize) -> Read {
        let from = match after {
            Start::Newest => FeedStart::Newest,
            Start::After(cursor) => FeedStart::After(cursor.to_owned()),
        };
        let (types, limit) = (Some(EventType::all().collect()), Some(limit as u64));
        let request = EventsRequest { from, types, limit, ..EventsRequest::default() };
        match self.engine.events(&self.caller, request).await {
            Ok(EventsAnswer::Events(view)) => Read::Page {
                events: view.events.into_iter().map(event).collect(),
                next: view.next,
                is_end: view.is_end,
            },
            Ok(EventsAnswer::Gone { detail, go_on }) => {
                Read::Gone { next: go_on, why: detail.to_owned() }
            }
            Ok(EventsAnswer::NotKept) => Read::Unavailable { why: "no events are kept".to_owned() },
            Err(failure) => Read::Unavailable { why: format!("{failure:?}") },
        }
    }
}

fn event(shown: ShownEvent) -> Event {
    let event = &shown.event;
    let event_type = event.happened.event_type();
    let code = match &event.happened {
        Happened::Coupon(coupon) => Some(coupon.code.to_string()),
        Happened::AuditEvent { .. } => None,
    };
    Event {
        id: event.id.to_string(),
        cursor: event.cursor.clone(),
        event_type: event_type.as_str().to_owned(),
        only_by_name: event_type.is_left_out(),
        at_ms: event.at.0,
        campaign: event.happened.campaign().map(ToString::to_string),
        code,
        data: serde_json::to_value(FeedEventBody::from(shown)).unwrap_or_default(),
    }
}
