//! Calls that will go away: their answers say so, and so does `/openapi.json`. docs/versions.md says how long before.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;

/// RFC 9745.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// RFC 8594.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Times are seconds since 1970.
pub(crate) struct DeprecatedRoute {
    method: Method,
    route: &'static str,
    since: u32,
    gone: u32,
    /// The page of this service that says what to call instead.
    page: &'static str,
}

pub(crate) const DEPRECATIONS: &[DeprecatedRoute] = &[];

impl DeprecatedRoute {
    pub(crate) fn of(method: &Method, route: &str) -> Option<&'static DeprecatedRoute> {
        DEPRECATIONS.iter().find(|it| it.method == method && it.route == route)
    }

    pub(crate) fn headers(&self, headers: &mut HeaderMap) {
        let gone = UNIX_EPOCH + Duration::from_secs(self.gone.into());
        let lines = [
            (DEPRECATION, format!("@{}", self.since)),
            (SUNSET, httpdate::fmt_http_date(gone)),
            (header::LINK, format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", self.page)),
        ];
        for (name, text) in lines {
            headers.append(name, HeaderValue::from_str(&text).expect("a header"));
        }
    }

    pub(crate) fn mark(&self, document: &mut Value) {
        let call = &mut document["paths"][self.route][self.method.as_str().to_ascii_lowercase()];
        if call.is_object() {
            call["deprecated"] = true.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OLD: DeprecatedRoute = DeprecatedRoute {
        method: Method::POST,
        route: "/v1/old/{id}",
        since: 1_800_000_000,
        gone: 1_830_000_000,
        page: "/docs/versions",
    };

    #[test]
    fn an_old_call_says_that_it_goes() {
        let mut headers = HeaderMap::new();
        OLD.headers(&mut headers);
        let text = |name: &str| headers[name].to_str().expect("text").to_owned();
        assert_eq!(text("deprecation"), "@1800000000");
        assert_eq!(text("sunset"), "Tue, 28 Dec 2027 13:20:00 GMT");
        assert_eq!(text("link"), "</docs/versions>; rel=\"deprecation\"; type=\"text/html\"");
        let mut document = json!({"paths": {"/v1/old/{id}": {"post": {}, "get": {}}}});
        OLD.mark(&mut document);
        let calls = &document["paths"]["/v1/old/{id}"];
        assert_eq!(calls, &json!({"post": {"deprecated": true}, "get": {}}));
    }

    #[test]
    fn each_is_a_call_of_the_document() {
        let document = crate::openapi::document();
        for it in DEPRECATIONS {
            let call = &document["paths"][it.route][it.method.as_str().to_ascii_lowercase()];
            assert_eq!(call["deprecated"], true, "{} {}", it.method, it.route);
            assert!(it.gone > it.since, "{} {}", it.method, it.route);
        }
    }
}
