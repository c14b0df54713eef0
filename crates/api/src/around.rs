//! The layer around every request: it gives the request an id, writes a problem out, counts, and logs.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Code, Problem};
use crate::request_log::{Ended, trace_id};
use crate::{metrics, request_log};

/// Longest id that a client may give its request, in characters.
pub(crate) const REQUEST_ID_LEN_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id, writes its problem out, counts it, and logs what was refused.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trace = trace_id(request.headers()).map(str::to_owned);
    let mut response = next.run(request).await;
    let mut refused = None;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let body = serde_json::to_vec(&problem.body(&id)).unwrap_or_default();
        problem.headers(response.headers_mut());
        *response.body_mut() = Body::from(body);
        metrics::problem(problem.code());
        refused = Some(problem.code());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, took) = (response.status(), begun.elapsed());
    metrics::request(route, &method, status, took);
    if let Some(code) = refused {
        let (id, trace, method) = (id.as_str(), trace.as_deref(), &method);
        request_log::refused(&Ended { id, trace, method, route, status, code, took });
    }
    response
}

/// The id that the client gave the request, if it is short and visible; else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fits = |id: &&str| {
        (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic())
    };
    given.filter(fits).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// The answer where a handler panicked.
pub(crate) fn panicked() -> Response {
    // The panic itself has been logged by its hook.
    Problem::new(Code::Internal, "see the log of the server").into_response()
}
