//! The guard of every route: it knows who asks, asks the table of roles, checks where a form comes from, and
//! writes out what went wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::Console;
use crate::desk::PageContext;
use crate::fields::FormFields;
use crate::roles::ConsoleAction;
use crate::screens::sign_in;
use crate::session::{is_token, sign};
use crate::signing::ROTATE_MS;
use crate::trouble::{ConsoleError, ConsoleResult};

/// Longest form, in bytes: the largest has some twenty short fields and metadata of 4 KiB.
const FORM_BYTES_MAX: usize = 64 * 1_024;

/// Longest time in which a form arrives: as long as the API waits for a body.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The kind of a form that is no upload.
const ENCODED: &[u8] = b"application/x-www-form-urlencoded";

/// What a route is for. `None`: anyone may ask, also without an account.
pub(crate) type RouteGuard = (Arc<Console>, Option<ConsoleAction>);

pub(crate) async fn guard(
    State((console, action)): State<RouteGuard>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let desk = match PageContext::of(&console, &parts).await {
        Ok(desk) => desk,
        Err(trouble) => return trouble.without_desk(),
    };
    let request = Request::from_parts(parts, body);
    let mut response = match let_in(&desk, action, request).await {
        Ok(request) => next.run(request).await,
        Err(trouble) => trouble.into_response(),
    };
    if let Some(trouble) = response.extensions_mut().remove::<Arc<ConsoleError>>() {
        response = match &*trouble {
            ConsoleError::SignedOut(kept) => sign_in::again(&desk, kept),
            other => other.page(&desk),
        };
    }
    if let Some(member) = &desk.member
        && desk.now.0 - member.session.at >= ROTATE_MS
        && !response.headers().contains_key(header::SET_COOKIE)
    {
        sign(&console, &desk, &member.session, &mut response);
    }
    response
}

/// The request with its desk and its form, if it may go on.
async fn let_in(
    desk: &PageContext,
    action: Option<ConsoleAction>,
    request: Request,
) -> ConsoleResult<Request> {
    let (mut parts, body) = request.into_parts();
    let is_form = parts.method == Method::POST;
    if is_form && is_foreign(&parts.headers) {
        return Err(ConsoleError::Foreign);
    }
    let is_encoded = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().get(..ENCODED.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(ENCODED))
    });
    let (fields, body) = match is_form && is_encoded {
        true => (form(body, FORM_TIMEOUT).await?, Body::empty()),
        false => (FormFields::default(), body),
    };
    if let Some(action) = action {
        let Some(member) = &desk.member else { return Err(signed_out(is_form, fields)) };
        if !action.is_for(member.role) {
            return Err(ConsoleError::Forbidden);
        }
        // The form of an upload has its token in its first part. No other form may be of another kind: it
        // would have none.
        let may_be_uploaded = action == ConsoleAction::Import;
        if is_form && !is_encoded && !may_be_uploaded {
            return Err(ConsoleError::Foreign);
        }
        if is_form && is_encoded && !is_token(desk, member, fields.shown("csrf")) {
            return Err(signed_out(is_form, fields));
        }
    }
    parts.extensions.insert(desk.clone());
    parts.extensions.insert(fields);
    Ok(Request::from_parts(parts, body))
}

async fn form(body: Body, within: Duration) -> ConsoleResult<FormFields> {
    let bytes = timeout(within, to_bytes(body, FORM_BYTES_MAX)).await;
    let bytes = bytes.map_err(|_| ConsoleError::TooSlow)?.map_err(|_| ConsoleError::TooLong)?;
    Ok(FormFields::parse(&String::from_utf8_lossy(&bytes)))
}

/// What becomes of somebody without a session: a page waits behind the sign-in, and a form keeps its input.
fn signed_out(is_form: bool, fields: FormFields) -> ConsoleError {
    ConsoleError::SignedOut(is_form.then_some(fields))
}

/// Whether a browser says that another site has sent the form. One that says nothing is old, or no browser; the
/// token of the form and the cookie, which no other site can send, decide then.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, from)| from != host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn bodies_of_forms() {
        let moment = Duration::from_millis(10);
        let endless = futures::stream::pending::<Result<&str, std::io::Error>>();
        let slow = form(Body::from_stream(endless), moment).await;
        assert!(matches!(slow, Err(ConsoleError::TooSlow)), "{slow:?}");
        let of = |len: usize| Body::from(format!("a={}", "x".repeat(len - 2)));
        assert!(form(of(FORM_BYTES_MAX), FORM_TIMEOUT).await.is_ok());
        let long = form(of(FORM_BYTES_MAX + 1), FORM_TIMEOUT).await;
        assert!(matches!(long, Err(ConsoleError::TooLong)), "{long:?}");
    }

    #[test]
    fn forms_of_other_sites() {
        type HeaderPairs = &'static [(&'static str, &'static str)];
        let cases: [(&str, HeaderPairs, bool); 8] = [
            ("the same origin", &[("sec-fetch-site", "same-origin")], false),
            ("typed", &[("sec-fetch-site", "none")], false),
            ("a sister site", &[("sec-fetch-site", "same-site")], true),
            ("another site", &[("sec-fetch-site", "cross-site")], true),
            ("an older browser", &[("origin", "http://a:1"), ("host", "a:1")], false),
            ("an older browser, elsewhere", &[("origin", "http://b"), ("host", "a:1")], true),
            ("an opaque origin", &[("origin", "null"), ("host", "a:1")], true),
            ("no browser", &[("host", "a:1")], false),
        ];
        for (name, headers, want) in cases {
            let mut map = HeaderMap::new();
            for (header, value) in headers {
                map.insert(*header, HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign(&map), want, "{name}");
        }
    }
}
