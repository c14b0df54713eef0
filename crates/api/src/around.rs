//! The layer around every request: it gives the request an id, writes a problem out, and counts.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::metrics;
use crate::problem::{Code, Problem};

/// Longest id that a client may give its request, in characters.
pub(crate) const REQUEST_ID_LEN_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id, writes its problem out, and counts it.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let body = serde_json::to_vec(&problem.body(&id)).unwrap_or_default();
        problem.headers(response.headers_mut());
        *response.body_mut() = Body::from(body);
        metrics::problem(problem.code());
        tracing::debug!(request_id = %id, code = problem.code().as_str(), "refused");
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics::request(route, &method, response.status(), begun.elapsed());
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
