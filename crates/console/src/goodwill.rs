//! Goodwill: coupons that a support agent gives to a customer by themselves, and why.
//!
//! A campaign is meant for it if its metadata say so, as shops can read them, too. The reason is a part of the
//! `issue_ref`: an issue has no other place for one.

use coupon::campaign::Campaign;
use coupon::ids::IssueRef;
use serde_json::{Map, Value};

use crate::fields::FormFields;

const KEY: &str = "goodwill";

coupon::words! {
    /// Why somebody gets a coupon. The words are in `issue_ref`s.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum GoodwillReason {
        Delay = "late-delivery",
        Goods = "faulty-goods",
        Coupon = "coupon-failed",
        Service = "bad-service",
        Other = "other",
    }
    else BadGoodwill "is {0:?}, want a reason of the list"
}

impl GoodwillReason {
    /// The reason within an `issue_ref` that [`GoodwillReason::reference`] has made, and what was typed about it.
    pub(crate) fn of(reference: &IssueRef) -> Option<(GoodwillReason, Option<String>)> {
        let (key, rest) = reference.as_str().split_once(':')?;
        let (word, rest) = rest.split_once(':')?;
        let reason = word.parse().ok().filter(|_| key == KEY)?;
        Some((reason, rest.rsplit_once(':').map(|(text, _)| text.replace('_', " "))))
    }

    /// The `issue_ref` of a gift, which has a name of its own; with what somebody has typed about it.
    pub(crate) fn reference(self, text: Option<&str>, gift: &str) -> String {
        let text =
            text.map(|it| format!("{}:", it.split_whitespace().collect::<Vec<_>>().join("_")));
        format!("{KEY}:{}:{}{gift}", self.as_str(), text.unwrap_or_default())
    }
}

fn object(metadata: Option<&str>) -> Option<Map<String, Value>> {
    match metadata.map(serde_json::from_str) {
        None => Some(Map::new()),
        Some(Ok(Value::Object(object))) => Some(object),
        Some(Ok(_) | Err(_)) => None,
    }
}

pub(crate) fn is_meant(campaign: &Campaign) -> bool {
    let object = object(campaign.metadata.as_deref());
    object.is_some_and(|object| object.get(KEY) == Some(&Value::Bool(true)))
}

impl FormFields {
    /// The metadata of a form, which has a box for what [`is_meant`] reads.
    pub(crate) fn metadata(&self) -> Option<String> {
        let typed = self.get("metadata");
        if self.get(KEY).is_some() { with(typed) } else { typed.map(str::to_owned) }
    }

    pub(crate) fn set_metadata(&mut self, campaign: &Campaign) {
        self.set("metadata", &without(campaign.metadata.as_deref()).unwrap_or_default());
        self.set(KEY, if is_meant(campaign) { "true" } else { "" });
    }
}

fn without(metadata: Option<&str>) -> Option<String> {
    match object(metadata) {
        Some(mut object) if object.contains_key(KEY) => {
            // `remove` would put the last one into its place.
            object.retain(|key, _| key != KEY);
            (!object.is_empty()).then(|| Value::Object(object).to_string())
        }
        Some(_) | None => metadata.map(str::to_owned),
    }
}

/// What is no object stays: it is refused by its name.
fn with(metadata: Option<&str>) -> Option<String> {
    match object(metadata) {
        Some(mut object) => {
            object.insert(KEY.to_owned(), Value::Bool(true));
            Some(Value::Object(object).to_string())
        }
        None => metadata.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_with_and_without() {
        let cases = [
            ("none", None, Some(r#"{"goodwill":true}"#)),
            ("others", Some(r#"{"a":1}"#), Some(r#"{"a":1,"goodwill":true}"#)),
            ("no object", Some("1"), Some("1")),
        ];
        for (name, plain, meant) in cases {
            assert_eq!(with(plain).as_deref(), meant, "{name}");
            assert_eq!(without(meant).as_deref(), plain, "{name}");
        }
        assert_eq!(without(Some(r#"{ "a": 1 }"#)).as_deref(), Some(r#"{ "a": 1 }"#), "as it came");
    }

    #[test]
    fn reasons_in_references() {
        let made = GoodwillReason::Delay.reference(None, "gift-1");
        let typed = GoodwillReason::Other.reference(Some("쿠폰  1:1 문의"), "gift-1");
        let longest = GoodwillReason::Other.reference(Some(&"가".repeat(25)), &"1".repeat(36));
        let text = Some("쿠폰 1:1 문의".to_owned());
        let cases = [
            ("made here", made.as_str(), Some((GoodwillReason::Delay, None))),
            ("with a text", typed.as_str(), Some((GoodwillReason::Other, text))),
            ("of a shop", "order:late-delivery:1", None),
            ("an unknown one", "goodwill:rain:1", None),
            ("no reason", "goodwill", None),
        ];
        for (name, reference, want) in cases {
            let reference: IssueRef = reference.parse().expect("a reference");
            assert_eq!(GoodwillReason::of(&reference), want, "{name}");
        }
        assert!(longest.parse::<IssueRef>().is_ok(), "{} bytes", longest.len());
    }
}
