//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), for clients that have no other name for a request.
//!
//! couponry remembers names for ever, in the field that has one: `issue_ref`, `revoke_ref`, `order_ref`. The header
//! is another way to write that field, so it needs no memory of its own.

use axum::extract::FromRequestParts;
use axum::http::HeaderName;
use axum::http::request::Parts;
use engine::Fault;

use crate::problem::Problem;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, if it has one.
#[derive(Debug)]
pub(crate) struct Key(Option<String>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Key, Problem> {
        let mut all = parts.headers.get_all(HEADER).iter();
        let Some(line) = all.next() else { return Ok(Key(None)) };
        let text = line.to_str().ok().filter(|_| all.next().is_none()).map(bare);
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Ok(Key(Some(text.to_owned()))),
            None => Err(fault("is no single text".to_owned())),
        }
    }
}

impl Key {
    /// The name of the request: that in its body, or this key.
    ///
    /// # Errors
    /// `Invalid`, if both are there and differ.
    pub(crate) fn or_in<'a>(
        &'a self,
        field: &str,
        in_body: Option<&'a str>,
    ) -> Result<Option<&'a str>, Problem> {
        match (self.0.as_deref(), in_body) {
            (Some(key), Some(name)) if key != name => Err(fault(format!(
                "is not the {field} of the body, and both name this request: send one of them"
            ))),
            (key, name) => Ok(name.or(key)),
        }
    }
}

fn fault(detail: String) -> Problem {
    Problem::invalid(vec![Fault::new("Idempotency-Key", detail)])
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
        let key = |text: &str| Key(Some(bare(text).to_owned()));
        let cases = [
            ("neither", Key(None), None, Some(None)),
            ("the body", Key(None), Some("a"), Some(Some("a"))),
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
