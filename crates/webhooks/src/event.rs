//! What is posted: events of the feed, and announcements beside it.

use async_trait::async_trait;
use coupon::calendar::format_instant;
use coupon::time::Millis;
use serde_json::Value;

/// Largest `data` of an announcement, in bytes: common receivers accept bodies of 1 MB.
pub const DATA_BYTES_MAX: usize = 256 << 10;

/// The type of what [`crate::Webhooks::test`] posts.
pub(crate) const TEST_TYPE: &str = "webhook.test";

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

pub(crate) fn body(event_type: &str, at_ms: i64, data: &Value) -> String {
    let timestamp = format_instant(Millis(at_ms));
    serde_json::json!({ "type": event_type, "timestamp": timestamp, "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let data = serde_json::json!({ "event_id": "e1", "a\"b": 1 });
        assert_eq!(
            body("coupon.redeemed", 1_804_500_150_512, &data),
            "{\"type\":\"coupon.redeemed\",\"timestamp\":\"2027-03-08T10:02:30.512Z\",\
             \"data\":{\"event_id\":\"e1\",\"a\\\"b\":1}}"
        );
    }
}
