//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1) of what people change.
//!
//! A tag covers what a change can change, and not the counts of a campaign: it tells whether somebody else was
//! faster. So it is no tag for caches, and there is no `If-None-Match`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::FieldFault;

use crate::problem::{Problem, Result};

const TAGS_MAX: usize = 16;

/// Longest list of them, in characters: with quotes, comma and space.
pub(crate) const IF_MATCH_LEN_MAX: usize = TAGS_MAX * 20;

pub(crate) struct TaggedResponse<T>(pub(crate) u64, pub(crate) T);

impl<T: IntoResponse> IntoResponse for TaggedResponse<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{:016x}\"", self.0)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// The tags one of which what is to be changed must have; `None`: whatever it has.
pub(crate) struct IfMatch(pub(crate) Option<Vec<u64>>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch> {
        let mut tags = Vec::new();
        let lines = parts.headers.get_all(header::IF_MATCH);
        for line in lines {
            let line = line.to_str().ok().and_then(read);
            let fault =
                || FieldFault::new("If-Match", "is no list of tags such as \"0123456789abcdef\"");
            match line.ok_or_else(|| Problem::invalid(vec![fault()]))? {
                // Any: what is not there is not found anyway.
                TagCondition::Any => return Ok(IfMatch(None)),
                TagCondition::OneOf(some) => tags.extend(some),
            }
        }
        let is_asked = parts.headers.contains_key(header::IF_MATCH);
        Ok(IfMatch(is_asked.then_some(tags)))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum TagCondition {
    Any,
    OneOf(Vec<u64>),
}

/// A line of the header; `None` if it is none.
fn read(line: &str) -> Option<TagCondition> {
    if line.len() > IF_MATCH_LEN_MAX {
        return None;
    }
    if line.trim() == "*" {
        return Some(TagCondition::Any);
    }
    let mut tags = Vec::new();
    for one in line.split(',').map(str::trim) {
        // A weak tag is the same as none here, as the standard wants it.
        let (is_weak, one) = one.strip_prefix("W/").map_or((false, one), |strong| (true, strong));
        let text = one.strip_prefix('"')?.strip_suffix('"')?;
        // A tag that is none of ours is one of another state.
        let tag = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        tags.extend(tag.filter(|_| !is_weak));
    }
    (tags.len() <= TAGS_MAX).then_some(TagCondition::OneOf(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |tags: &[u64]| Some(TagCondition::OneOf(tags.to_vec()));
        let many = vec!["\"0000000000000001\""; TAGS_MAX + 1].join(",");
        let cases = [
            ("one", "\"00000000000000ff\"", of(&[255])),
            ("two", "\"00000000000000ff\", \"0000000000000001\"", of(&[255, 1])),
            ("any", " * ", Some(TagCondition::Any)),
            ("a weak one", "W/\"00000000000000ff\"", of(&[])),
            ("of somebody else", "\"abc\"", of(&[])),
            ("no quotes", "00000000000000ff", None),
            ("nothing", "", None),
            ("too many", &many, None),
        ];
        for (name, line, want) in cases {
            assert_eq!(read(line), want, "{name}");
        }
    }
}
