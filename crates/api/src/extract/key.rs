//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), for clients that have no other name for a request.
//!
//! couponry remembers names for ever, in the field that has one: `issue_ref`, `order_ref`, `campaign_id`. The header
//! is another way to write that field, so it needs no memory of its own. A call without such a field refuses the
//! header: whoever sends it relies on it.

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method};

use crate::problem::{Problem, Result};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The calls that have a use for a key: each is a POST to this path, and the key another way to write this field.
pub(crate) const KEYED: [(&str, &str); 8] = [
    ("/v1/campaigns", "campaign_id"),
    ("/v1/campaigns/{campaign_id}/issue", "issue_ref"),
    ("/v1/campaigns/{campaign_id}/batches", "batch_id"),
    ("/v1/coupons/{code}/redeem", "order_ref"),
    ("/v1/coupons/{code}/revoke", "revoke_ref"),
    ("/v1/people/{user_id}/erase", "erasure_id"),
    ("/v1/webhooks", "webhook_id"),
    ("/v1/webhooks/{webhook_id}/rotate-secret", "rotate_ref"),
];

#[derive(Debug, Default)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey> {
        let mut all = parts.headers.get_all(HEADER).iter();
        let Some(line) = all.next() else { return Ok(IdempotencyKey(None)) };
        let text = line.to_str().ok().filter(|_| all.next().is_none()).map(bare);
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Ok(IdempotencyKey(Some(text.to_owned()))),
            None => Err(fault("is no single text".to_owned())),
        }
    }
}

impl IdempotencyKey {
    /// The name of the request: that in its body or its query, or this key. `Invalid` if both are there and differ.
    pub(crate) fn or_in<'a>(
        &'a self,
        field: &str,
        in_body: Option<&'a str>,
    ) -> Result<Option<&'a str>> {
        match (self.0.as_deref(), in_body) {
            (Some(key), Some(name)) if key != name => Err(fault(format!(
                "is not the {field} of the request, and both name this request: send one of them"
            ))),
            (key, name) => Ok(name.or(key)),
        }
    }

    /// Writes the key into a field that names what the request creates, if the field is empty.
    pub(crate) fn fill(self, name: &str, field: &mut Option<String>) -> Result<()> {
        self.or_in(name, field.as_deref())?;
        *field = field.take().or(self.0);
        Ok(())
    }
}

/// Refuses a header that protects a change, and that its call would ignore. Reads are safe without one.
pub(crate) fn unread_header(request: &Request) -> Option<Problem> {
    let (method, route) = (request.method(), request.extensions().get::<MatchedPath>()?.as_str());
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return None;
    }
    let is_read = |name: &str| match name {
        "Idempotency-Key" => method == Method::POST && KEYED.iter().any(|(path, _)| *path == route),
        "If-Match" => method == Method::PATCH && route == "/v1/campaigns/{campaign_id}",
        _ => false,
    };
    let mut headers =
        ["Idempotency-Key", "If-Match", "If-None-Match", "If-Unmodified-Since"].into_iter();
    let name = headers.find(|name| request.headers().contains_key(*name) && !is_read(name))?;
    let detail = "is not read by this call, so it would protect nothing: leave it out";
    Some(Problem::of_field(name, detail))
}

fn fault(detail: String) -> Problem {
    Problem::of_field("Idempotency-Key", detail)
}

/// The draft writes a key in quotes; most clients write none.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_name() {
        let key = |text: &str| IdempotencyKey(Some(bare(text).to_owned()));
        let cases = [
            ("neither", IdempotencyKey(None), None, Some(None)),
            ("the body", IdempotencyKey(None), Some("a"), Some(Some("a"))),
            ("the key", key("a"), None, Some(Some("a"))),
            ("a key in quotes", key("\"a\""), None, Some(Some("a"))),
            ("both", key("a"), Some("a"), Some(Some("a"))),
            ("a contradiction", key("b"), Some("a"), None),
        ];
        for (name, key, in_body, want) in cases {
            assert_eq!(key.or_in("issue_ref", in_body).ok(), want, "{name}");
        }
    }
}
