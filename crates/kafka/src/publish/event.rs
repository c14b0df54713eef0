//! An event of the feed as a CloudEvent 1.0 in binary mode: headers, a key, and the event as value.

use rdkafka::message::OwnedHeaders;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::topics::headers_of;

/// Key of an event that is about no coupon and no campaign.
const STORE: &str = "store";

#[derive(Debug)]
pub(crate) struct PublishedEvent {
    /// Its name, the same whenever it is read.
    pub(crate) id: String,
    /// Its type, such as `coupon.redeemed`.
    pub(crate) kind: String,
    /// When it was accepted.
    pub(crate) at: String,
    /// The code of the coupon, else the campaign: events with one key are in order.
    pub(crate) key: String,
    subject: String,
    /// The event, byte for byte as the feed gives it.
    pub(crate) json: Box<RawValue>,
}

/// Some events, in the order of the feed.
#[derive(Debug)]
pub(crate) struct EventPage {
    pub(crate) events: Vec<PublishedEvent>,
    pub(crate) next_cursor: String,
    pub(crate) has_more: bool,
}

#[derive(Deserialize)]
struct EventFields {
    event_id: String,
    r#type: String,
    at: String,
    coupon: Option<EventCoupon>,
    change: Option<EventChange>,
}

#[derive(Deserialize)]
struct EventCoupon {
    code: String,
}

#[derive(Deserialize)]
struct EventChange {
    campaign_id: Option<String>,
    batch_id: Option<String>,
}

impl PublishedEvent {
    pub(crate) fn read(json: Box<RawValue>) -> Result<PublishedEvent, serde_json::Error> {
        let fields: EventFields = serde_json::from_str(json.get())?;
        let (key, subject) = match (fields.coupon, fields.change) {
            (Some(coupon), _) => (coupon.code.clone(), coupon.code),
            (None, Some(EventChange { campaign_id: Some(campaign), batch_id: Some(batch) })) => {
                let subject = format!("{campaign}/{batch}");
                (campaign, subject)
            }
            (None, Some(EventChange { campaign_id: Some(campaign), batch_id: None })) => {
                (campaign.clone(), campaign)
            }
            (None, Some(EventChange { campaign_id: None, .. }) | None) => {
                (STORE.into(), STORE.into())
            }
        };
        let EventFields { event_id: id, r#type: kind, at, .. } = fields;
        Ok(PublishedEvent { id, kind, at, key, subject, json })
    }

    pub(crate) fn headers(&self, source: &str) -> OwnedHeaders {
        headers_of([
            ("ce_specversion", "1.0"),
            ("ce_id", &self.id),
            ("ce_type", &self.kind),
            ("ce_source", source),
            ("ce_subject", &self.subject),
            ("ce_time", &self.at),
            ("content-type", "application/json"),
        ])
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    const COUPON: &str = r#"{"event_id": "e1", "cursor": "c", "type": "coupon.redeemed",
        "at": "2027-03-08T10:02:30.512Z", "actor": "shop:x", "coupon": {"code": "7K2M-9QXD",
        "campaign_id": "spring"}, "change": null}"#;

    fn change(campaign: &str, batch: &str) -> String {
        format!(
            r#"{{"event_id": "e2", "type": "batch.paused", "at": "t", "coupon": null,
                "change": {{"campaign_id": {campaign}, "batch_id": {batch}, "reason": null}}}}"#
        )
    }

    #[test]
    fn keys_and_subjects() {
        let cases = [
            ("a coupon", COUPON.to_owned(), "7K2M-9QXD", "7K2M-9QXD"),
            ("a batch", change(r#""spring""#, r#""first""#), "spring", "spring/first"),
            ("a campaign", change(r#""spring""#, "null"), "spring", "spring"),
            ("the store", change("null", "null"), "store", "store"),
        ];
        for (name, json, key, subject) in cases {
            let event = PublishedEvent::read(RawValue::from_string(json.clone()).expect("JSON"));
            let event = event.expect(name);
            assert_eq!((event.key.as_str(), event.subject.as_str()), (key, subject), "{name}");
            assert_eq!(event.json.get(), json, "{name}: byte for byte");
        }
    }

    #[test]
    fn headers_of_a_cloud_event() {
        let event = PublishedEvent::read(RawValue::from_string(COUPON.to_owned()).expect("JSON"));
        let headers = event.expect("an event").headers("/couponry");
        let found: Vec<(String, String)> = headers
            .iter()
            .map(|it| {
                let value = String::from_utf8(it.value.expect("a value").to_vec());
                (it.key.to_owned(), value.expect("UTF-8"))
            })
            .collect();
        let want = [
            ("ce_specversion", "1.0"),
            ("ce_id", "e1"),
            ("ce_type", "coupon.redeemed"),
            ("ce_source", "/couponry"),
            ("ce_subject", "7K2M-9QXD"),
            ("ce_time", "2027-03-08T10:02:30.512Z"),
            ("content-type", "application/json"),
        ];
        let want = want.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found, want);
    }
}
