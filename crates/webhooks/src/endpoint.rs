//! Endpoints: what they ask for, and which values are accepted.

use std::collections::BTreeSet;

use hot::feed::REPORT_TYPE;
use serde_json::json;

use crate::WebhookError;
use crate::error::Result;
use crate::guard;
use crate::post::is_control;

/// Most endpoints of a data folder: each is read, leased and sent to on its own.
pub const ENDPOINTS_MAX: usize = 100;

const WEBHOOK_ID_LEN_MAX: usize = 64;

/// Longest description of an endpoint, in bytes of UTF-8: a sentence.
const DESCRIPTION_LEN_MAX: usize = 200;

const TYPES_MAX: usize = 50;

const TYPE_LEN_MAX: usize = 64;

const CAMPAIGN_LEN_MAX: usize = 64;

const REPORT_OF_ALL: &str =
    "has report.weekly, which is about all campaigns: leave it out, or the campaign";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its name; a new one is made if the caller names none. A repeat with the same name and values returns
    /// the endpoint that is there.
    pub webhook_id: Option<String>,
    pub url: String,
    pub description: Option<String>,
    /// Only events of these types. `None`: all but those that must be asked for by name
    /// ([`crate::Event::only_by_name`]). Whether a type exists is for the caller to check.
    pub types: Option<BTreeSet<String>>,
    pub campaign: Option<String>,
    /// Whether events of one code are posted one after the other.
    pub ordered: bool,
    /// The cursor behind which it begins. `None`: at what is the newest event when `run` first sees it. Read
    /// the newest cursor before the call, so that no event after the answer is missing.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub webhook_id: String,
    /// Where to post, in its normal form. It may have a secret in it, see [`Endpoint::url_without_query`].
    pub url: String,
    pub description: Option<String>,
    /// As in [`NewEndpoint::types`].
    pub types: Option<BTreeSet<String>>,
    pub campaign: Option<String>,
    pub ordered: bool,
    pub state: EndpointState,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// Deliveries that wait for their first or their next attempt.
    pub pending: u64,
    /// Attempts that failed since the last good one.
    pub failures: u64,
    /// When the first of them failed.
    pub failing_since: Option<i64>,
    /// Its secrets, oldest first; without the secrets themselves.
    pub secrets: Vec<SecretTimes>,
}

/// Whether an endpoint is sent to. Deliveries that wait stay until it is again; events since then are read from
/// the feed, as far as it keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointState {
    Active,
    Paused {
        /// When, in milliseconds since 1970.
        since: i64,
    },
    /// The receiver said that it is gone: 410.
    Disabled {
        why: String,
        /// When, in milliseconds since 1970.
        since: i64,
    },
}

/// From when to when a secret signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretTimes {
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it ends, if a newer one replaces it.
    pub until: Option<i64>,
}

/// What to change of an endpoint. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointChanges {
    pub url: Option<String>,
    /// `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Applies to events that are read from now on.
    pub types: Option<Option<BTreeSet<String>>>,
    /// The same.
    pub campaign: Option<Option<String>>,
    pub ordered: Option<bool>,
}

impl NewEndpoint {
    /// Writes the URL in its normal form. Fails with the first field that is not accepted.
    pub(crate) fn checked(self, allow_private: bool) -> Result<NewEndpoint> {
        if let Some(name) = &self.webhook_id {
            check_name(name)?;
        }
        let url = normal_url(&self.url, allow_private)?;
        check_values(self.description.as_deref(), self.types.as_ref(), self.campaign.as_deref())?;
        check_pair(self.types.as_ref(), self.campaign.as_deref())?;
        Ok(NewEndpoint { url, ..self })
    }

    /// What a repeat must have, too.
    pub(crate) fn request(&self) -> String {
        let NewEndpoint { webhook_id: _, url, description, types, campaign, ordered, cursor: _ } =
            self;
        json!([url, description, types, campaign, ordered]).to_string()
    }
}

impl Endpoint {
    /// The URL for readers who may not change it: its query, which may have a secret in it, is `...`.
    pub fn url_without_query(&self) -> String {
        match self.url.split_once('?') {
            Some((start, _)) => format!("{start}?..."),
            None => self.url.clone(),
        }
    }
}

impl EndpointChanges {
    /// Writes the URL in its normal form. Fails with the first field that is not accepted.
    pub(crate) fn checked(self, allow_private: bool) -> Result<EndpointChanges> {
        let url = self.url.as_deref().map(|url| normal_url(url, allow_private)).transpose()?;
        let description = self.description.as_ref().and_then(Option::as_deref);
        let campaign = self.campaign.as_ref().and_then(Option::as_deref);
        check_values(description, self.types.as_ref().and_then(Option::as_ref), campaign)?;
        Ok(EndpointChanges { url, ..self })
    }
}

pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> WebhookError {
    WebhookError::Invalid { field, why: why.into() }
}

fn check_length(field: &'static str, found: usize, max: usize) -> Result<()> {
    match (1..=max).contains(&found) {
        true => Ok(()),
        false => Err(invalid(field, format!("has a length of {found}, want 1 to {max}"))),
    }
}

fn check_name(name: &str) -> Result<()> {
    check_length("webhook_id", name.chars().count(), WEBHOOK_ID_LEN_MAX)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.~:".contains(c);
    match name.chars().find(|&c| !good(c)) {
        Some(found) => {
            Err(invalid("webhook_id", format!("has {found:?}, want A-Z a-z 0-9 - _ . ~ :")))
        }
        // A client removes these from a path before it sends it.
        None if [".", ".."].contains(&name) => Err(invalid("webhook_id", "is a step of a path")),
        None => Ok(()),
    }
}

/// As the URL is sent: the host in small letters, without a default port, dots in the path or a fragment.
fn normal_url(url: &str, allow_private: bool) -> Result<String> {
    let checked = guard::checked(url, allow_private);
    checked.map(String::from).map_err(|bad| invalid("url", bad.to_string()))
}

fn check_values(
    description: Option<&str>,
    types: Option<&BTreeSet<String>>,
    campaign: Option<&str>,
) -> Result<()> {
    if let Some(text) = description {
        if text.chars().any(is_control) {
            return Err(invalid("description", "has a control character"));
        }
        check_length("description", text.len(), DESCRIPTION_LEN_MAX)?;
    }
    if let Some(types) = types {
        if !(1..=TYPES_MAX).contains(&types.len()) {
            let why = format!("has {} types, want 1 to {TYPES_MAX}", types.len());
            return Err(invalid("types", why));
        }
        types.iter().try_for_each(|name| check_type("types", name))?;
    }
    campaign.map_or(Ok(()), |id| check_length("campaign_id", id.chars().count(), CAMPAIGN_LEN_MAX))
}

/// Refuses what would never be sent.
pub(crate) fn check_pair(types: Option<&BTreeSet<String>>, campaign: Option<&str>) -> Result<()> {
    match types.is_some_and(|types| types.contains(REPORT_TYPE)) && campaign.is_some() {
        true => Err(invalid("types", REPORT_OF_ALL)),
        false => Ok(()),
    }
}

pub(crate) fn check_type(field: &'static str, name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
    check_length(field, name.len(), TYPE_LEN_MAX)?;
    match name.chars().all(good) {
        true => Ok(()),
        false => Err(invalid(field, format!("has {name:?}, want A-Z a-z 0-9 . _"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewEndpoint {
        NewEndpoint {
            webhook_id: None,
            url: "https://hooks.example/".to_owned(),
            description: None,
            types: None,
            campaign: None,
            ordered: false,
            cursor: None,
        }
    }

    #[test]
    fn values() {
        let named = |name: &str| NewEndpoint { webhook_id: Some(name.to_owned()), ..new() };
        let described = |text: &str| NewEndpoint { description: Some(text.to_owned()), ..new() };
        let typed = |types: &[&str]| NewEndpoint {
            types: Some(types.iter().map(|&name| name.to_owned()).collect()),
            ..new()
        };
        let many = |count: usize| NewEndpoint {
            types: Some((0..count).map(|nth| format!("t{nth}")).collect()),
            ..new()
        };
        let of = |length: usize| NewEndpoint { campaign: Some("x".repeat(length)), ..new() };
        let at = |url: &str| NewEndpoint { url: url.to_owned(), ..new() };
        let text = |length: usize| "x".repeat(length);
        let cases = [
            ("the plain one", new(), None),
            ("a name", named("whk_A-z.~:9"), None),
            ("the longest name", named(&text(WEBHOOK_ID_LEN_MAX)), None),
            ("a longer name", named(&text(WEBHOOK_ID_LEN_MAX + 1)), Some("webhook_id")),
            ("no name", named(""), Some("webhook_id")),
            ("a slash", named("a/b"), Some("webhook_id")),
            ("a step of a path", named(".."), Some("webhook_id")),
            ("the longest description", described(&text(DESCRIPTION_LEN_MAX)), None),
            ("a longer one", described(&text(DESCRIPTION_LEN_MAX + 1)), Some("description")),
            ("two lines", described("a\nb"), Some("description")),
            ("turned text", described("a\u{202e}b"), Some("description")),
            ("a type", typed(&["coupon.redeemed"]), None),
            ("no types", typed(&[]), Some("types")),
            ("a type with a space", typed(&["coupon redeemed"]), Some("types")),
            ("the longest type", typed(&[&text(TYPE_LEN_MAX)]), None),
            ("a longer type", typed(&[&text(TYPE_LEN_MAX + 1)]), Some("types")),
            ("as many types as there may be", many(TYPES_MAX), None),
            ("one more", many(TYPES_MAX + 1), Some("types")),
            ("the report of all campaigns", typed(&[REPORT_TYPE]), None),
            (
                "the report of one campaign",
                NewEndpoint { types: typed(&[REPORT_TYPE]).types, ..of(1) },
                Some("types"),
            ),
            ("the longest campaign", of(CAMPAIGN_LEN_MAX), None),
            ("a longer campaign", of(CAMPAIGN_LEN_MAX + 1), Some("campaign_id")),
            ("no https", at("http://hooks.example/"), Some("url")),
            ("a private address", at("https://10.0.0.1/"), Some("url")),
        ];
        for (name, endpoint, want) in cases {
            let found = match endpoint.checked(false) {
                Ok(_) => None,
                Err(WebhookError::Invalid { field, .. }) => Some(field),
                Err(other) => panic!("{name}: {other}"),
            };
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn urls_have_one_form() {
        let cases = [
            ("without a path", "https://Hooks.Example", "https://hooks.example/"),
            ("the default port", "https://hooks.example:443/in", "https://hooks.example/in"),
            ("dots", "https://hooks.example/a/../in", "https://hooks.example/in"),
            ("a tab", "https://hooks.example/\tin ", "https://hooks.example/in"),
            ("a fragment", "https://hooks.example/in?k=1#x", "https://hooks.example/in?k=1"),
            ("Korean", "https://쿠폰.example/쿠", "https://xn--2l7bi8e.example/%EC%BF%A0"),
        ];
        for (name, typed, want) in cases {
            let new = NewEndpoint { url: typed.to_owned(), ..new() };
            assert_eq!(new.checked(false).unwrap().url, want, "{name}");
            let changes =
                EndpointChanges { url: Some(typed.to_owned()), ..EndpointChanges::default() };
            assert_eq!(changes.checked(false).unwrap().url.as_deref(), Some(want), "{name}");
        }
    }

    #[test]
    fn queries_are_hidden() {
        let endpoint = |url: &str| Endpoint {
            webhook_id: String::new(),
            url: url.to_owned(),
            description: None,
            types: None,
            campaign: None,
            ordered: false,
            state: EndpointState::Active,
            created_at: 0,
            pending: 0,
            failures: 0,
            failing_since: None,
            secrets: Vec::new(),
        };
        let cases = [
            ("no query", "https://hooks.example/in", "https://hooks.example/in"),
            ("a query", "https://hooks.example/in?key=1", "https://hooks.example/in?..."),
            ("two of them", "https://hooks.example/in?a?b", "https://hooks.example/in?..."),
        ];
        for (name, url, want) in cases {
            assert_eq!(endpoint(url).url_without_query(), want, "{name}");
        }
    }
}
