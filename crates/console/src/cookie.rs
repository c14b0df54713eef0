//! Cookies: how each is named, and where a browser sends it.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

pub(crate) const SESSION: CookieKind =
    CookieKind { name: "couponry_session", path: "/console", same_site: "Strict" };

/// A cookie that no script reads. Over https its name begins with `__Host-`: no other host of the domain, and nobody
/// between who speaks http, can put one of their own in its place (RFC 6265bis, section 4.1.3.2).
pub(crate) struct CookieKind {
    pub(crate) name: &'static str,
    /// Where a browser sends it. Over https that is everywhere on this host, as the prefix wants it.
    pub(crate) path: &'static str,
    pub(crate) same_site: &'static str,
}

impl CookieKind {
    /// Its value in a request. Over https only under the name with the prefix: anybody may have put the other.
    pub(crate) fn read(&self, is_https: bool, headers: &HeaderMap) -> Option<String> {
        match is_https {
            true => value(headers, &format!("__Host-{}", self.name)),
            false => value(headers, self.name),
        }
    }

    /// The line that gives it to a browser for some seconds; 0 takes it back.
    pub(crate) fn line(&self, is_https: bool, value: &str, seconds: i64) -> String {
        let CookieKind { name, path, same_site } = self;
        let (prefix, path, secure) = match is_https {
            true => ("__Host-", "/", "; Secure"),
            false => ("", *path, ""),
        };
        let rest = format!("HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}");
        format!("{prefix}{name}={value}; Path={path}; {rest}")
    }
}

pub(crate) fn set(response: &mut Response, line: &str) {
    if let Ok(line) = HeaderValue::from_str(line) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}

pub(crate) fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}
