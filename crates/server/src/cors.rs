//! CORS: pages of which other origins may call the API from a browser. By default none may.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

/// Most origins in the setting: more than one company has shops.
const ORIGINS_MAX: usize = 64;

/// How long a browser remembers what is allowed: the longest time that browsers accept is two hours.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Origins whose pages may call the API with the token of a user. Cookies are never accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<HeaderValue>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigins {
    #[error("{0:?} is no origin, want https://HOST or http://localhost:PORT, without a path")]
    NotAnOrigin(String),
    #[error("it has {0} origins, want at most {ORIGINS_MAX}")]
    TooMany(usize),
}

impl FromStr for AllowedOrigins {
    type Err = BadOrigins;

    fn from_str(text: &str) -> Result<AllowedOrigins, BadOrigins> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let origins: Vec<HeaderValue> = entries.map(origin).collect::<Result<_, _>>()?;
        match origins.len() {
            0..=ORIGINS_MAX => Ok(AllowedOrigins(origins)),
            more => Err(BadOrigins::TooMany(more)),
        }
    }
}

/// An origin as a browser writes it: in lower case, with neither path nor user, and without the usual port.
fn origin(entry: &str) -> Result<HeaderValue, BadOrigins> {
    let wrong = || BadOrigins::NotAnOrigin(entry.to_owned());
    let uri: Uri = entry.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(wrong()),
    };
    let written = format!("{scheme}://{authority}");
    let is_bare = written == entry && written == written.to_lowercase();
    if !is_bare || authority.as_str().contains('@') || authority.port_u16() == Some(usual) {
        return Err(wrong());
    }
    HeaderValue::from_str(&written).map_err(|_| wrong())
}

impl AllowedOrigins {
    /// `None` if no origin is allowed.
    pub fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let sent = [
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("x-request-id"),
        ];
        let read = [
            header::ETAG,
            header::RETRY_AFTER,
            HeaderName::from_static("idempotent-replayed"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("x-request-id"),
        ];
        let layer = CorsLayer::new().allow_origin(self.0.clone()).allow_methods(methods);
        Some(layer.allow_headers(sent).expose_headers(read).max_age(REMEMBERED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let cases = [
            ("nothing", "", Some(0)),
            ("one", "https://shop.example", Some(1)),
            ("two and a space", "https://shop.example, http://localhost:3000", Some(2)),
            ("a path", "https://shop.example/", None),
            ("no scheme", "shop.example", None),
            ("another scheme", "ftp://shop.example", None),
            ("capitals, which no browser sends", "https://Shop.example", None),
            ("the usual port, which no browser sends", "https://shop.example:443", None),
            ("a user", "https://ann@shop.example", None),
            ("everybody", "*", None),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<AllowedOrigins>().ok().map(|origins| origins.0.len());
            assert_eq!(found, want, "{name}");
        }
        let many = vec!["https://a.example"; ORIGINS_MAX + 1].join(",");
        assert_eq!(many.parse::<AllowedOrigins>(), Err(BadOrigins::TooMany(ORIGINS_MAX + 1)));
    }
}
