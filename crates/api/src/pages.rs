//! The pages for people, and the document for programs. Made once, when the service starts.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::docs;
use crate::extract::no_such;

pub(crate) fn routes(document: &Value) -> Router {
    let (api, home) = (docs::api_page(document), docs::home_page(env!("CARGO_PKG_VERSION")));
    let (index, json) = (docs::problem_index(), document.to_string());
    Router::new()
        .route("/", get(async move || page(home)))
        .route("/docs", get(async move || page(api)))
        .route("/docs/style.css", get(async || typed("text/css; charset=utf-8", docs::STYLE)))
        .route("/docs/problems", get(async move || page(index)))
        .route("/docs/problems/{code}", get(problem))
        .route("/openapi.json", get(async move || typed("application/json", json)))
}

async fn problem(Path(code): Path<String>) -> Response {
    docs::problem_page(&code).map_or_else(|| no_such("page").into_response(), page)
}

fn page(html: String) -> Response {
    let mut response = Html(html).into_response();
    let policy = HeaderValue::from_static(docs::POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn typed(kind: &'static str, text: impl IntoResponse) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
