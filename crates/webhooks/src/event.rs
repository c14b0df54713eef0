//! What is posted: events of the feed, and announcements beside it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

/// Largest `data` of an announcement, in bytes: common receivers accept bodies of 1 MB.
pub const DATA_BYTES_MAX: usize = 256 << 10;

/// The type of what [`crate::Webhooks::test`] posts.
pub const TEST_TYPE: &str = "webhook.test";

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id, the same whenever it is read. It is the header `webhook-id`.
    pub id: String,
    /// The cursor behind it.
    pub cursor: String,
    pub event_type: String,
    /// Whether only endpoints that name its type get it: holds.
    pub only_by_name: bool,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    pub campaign: Option<String>,
    /// Events of one code come in their order.
    pub code: Option<String>,
    /// The event as the feed shows it.
    pub data: Value,
}

/// Something to post that is not in the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// Its id: a repeat with the same id adds nothing. It is the header `webhook-id`.
    pub id: String,
    pub event_type: String,
    /// Whether only endpoints that name its type get it.
    pub only_by_name: bool,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The campaigns that it is about: an endpoint of one campaign gets it if this one is among them.
    pub campaigns: Vec<String>,
    /// What it says; at most [`DATA_BYTES_MAX`] as JSON.
    pub data: Value,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Endpoints that asked for it and will get it, or got it by an earlier call with the same id.
    pub endpoints: usize,
    /// Endpoints that asked for it and have too many deliveries that wait. Announce it again later.
    pub full: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// Behind the newest event: answer with an empty page and its cursor.
    Newest,
    After(&'a str),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// Some events, oldest first.
    Page {
        /// Of all types. There may be none.
        events: Vec<Event>,
        /// The cursor behind the last of them, or behind where the read ended.
        next: String,
        /// Whether there were no more at the time.
        is_end: bool,
    },
    /// Events behind the cursor are missing.
    Gone {
        /// Where to go on.
        next: String,
        /// Why, for the operator; it is shown in the log of deliveries.
        why: String,
    },
    /// The feed cannot be read now. It is asked again.
    Unavailable { why: String },
}

/// The event feed. [`crate::Webhooks::run`] reads it page by page; endpoints at the same cursor share a read.
#[async_trait]
pub trait Source: Send + Sync {
    /// At most `limit` events of all types behind `after`.
    async fn read(&self, after: Start<'_>, limit: usize) -> Read;
}

/// What is to be queued for the endpoints that ask for it: an event, or an announcement.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'a> {
    /// The header `webhook-id`.
    pub id: &'a str,
    pub event_type: &'a str,
    /// Whether only endpoints that name its type get it.
    pub only_by_name: bool,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    pub campaigns: &'a [String],
    pub code: Option<&'a str>,
    pub data: &'a Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header `webhook-id`.
    pub id: String,
    pub event_type: String,
    pub body: String,
}

impl Matter<'_> {
    pub fn is_for(&self, types: Option<&BTreeSet<String>>, campaign: Option<&str>) -> bool {
        let typed = match types {
            Some(types) => types.contains(self.event_type),
            None => !self.only_by_name,
        };
        typed && campaign.is_none_or(|campaign| self.campaigns.iter().any(|it| it == campaign))
    }

    pub fn message(&self) -> Message {
        let Matter { id, event_type, at_ms, data, .. } = self;
        let body =
            serde_json::json!({ "type": event_type, "timestamp": instant(*at_ms), "data": data });
        Message {
            id: (*id).to_owned(),
            event_type: (*event_type).to_owned(),
            body: body.to_string(),
        }
    }
}

impl<'a> From<&'a Event> for Matter<'a> {
    fn from(event: &'a Event) -> Matter<'a> {
        Matter {
            id: &event.id,
            event_type: &event.event_type,
            only_by_name: event.only_by_name,
            at_ms: event.at_ms,
            campaigns: event.campaign.as_slice(),
            code: event.code.as_deref(),
            data: &event.data,
        }
    }
}

impl<'a> From<&'a Announcement> for Matter<'a> {
    fn from(it: &'a Announcement) -> Matter<'a> {
        Matter {
            id: &it.id,
            event_type: &it.event_type,
            only_by_name: it.only_by_name,
            at_ms: it.at_ms,
            campaigns: &it.campaigns,
            code: None,
            data: &it.data,
        }
    }
}

/// An instant in the form of RFC 3339, with milliseconds.
fn instant(at_ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    format!("{instant:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, campaign: Option<&str>) -> Event {
        Event {
            id: "e1".to_owned(),
            cursor: "c1".to_owned(),
            event_type: event_type.to_owned(),
            only_by_name: event_type == "coupon.held",
            at_ms: 1_804_500_150_512,
            campaign: campaign.map(str::to_owned),
            code: None,
            data: serde_json::json!({ "event_id": "e1", "a\"b": 1 }),
        }
    }

    #[test]
    fn filters() {
        let types = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let (redeemed, held) = ("coupon.redeemed", "coupon.held");
        let cases: [(_, _, Option<BTreeSet<String>>, _, _); 9] = [
            ("everything", event(redeemed, Some("c")), None, None, true),
            ("its type", event(redeemed, None), types(&[held, redeemed]), None, true),
            ("another type", event(redeemed, None), types(&[held]), None, false),
            ("a hold", event(held, None), None, None, false),
            ("a hold by name", event(held, None), types(&[held]), None, true),
            ("its campaign", event(redeemed, Some("c")), None, Some("c"), true),
            ("another campaign", event(redeemed, Some("d")), None, Some("c"), false),
            ("no campaign", event(redeemed, None), None, Some("c"), false),
            ("only the type", event(redeemed, Some("d")), types(&[redeemed]), Some("c"), false),
        ];
        for (name, event, types, campaign, want) in cases {
            assert_eq!(Matter::from(&event).is_for(types.as_ref(), campaign), want, "{name}");
        }
    }

    #[test]
    fn an_announcement_is_for_each_of_its_campaigns() {
        let campaigns = vec!["a".to_owned(), "b".to_owned()];
        let announcement = Announcement {
            id: "n1".to_owned(),
            event_type: "coupons.expiring".to_owned(),
            only_by_name: false,
            at_ms: 0,
            campaigns,
            data: Value::Null,
        };
        let matter = Matter::from(&announcement);
        for (campaign, want) in [("a", true), ("b", true), ("c", false)] {
            assert_eq!(matter.is_for(None, Some(campaign)), want, "{campaign}");
        }
    }

    #[test]
    fn bodies() {
        let event = event("coupon.redeemed", None);
        assert_eq!(
            Matter::from(&event).message().body,
            "{\"type\":\"coupon.redeemed\",\"timestamp\":\"2027-03-08T10:02:30.512Z\",\
             \"data\":{\"event_id\":\"e1\",\"a\\\"b\":1}}"
        );
    }
}
