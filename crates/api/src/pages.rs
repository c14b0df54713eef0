//! The pages for people, and the document for programs. Each is made once.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::compress::Elsewhere;
use crate::docs;
use crate::extract::no_such;
use crate::problem::Code;

const HTML: &str = "text/html; charset=utf-8";

static PROBLEMS: LazyLock<HashMap<&str, Page>> = LazyLock::new(|| {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    codes.filter_map(|code| Some((code, Page::new(HTML, docs::problem_page(code)?)))).collect()
});

pub(crate) fn routes(document: &Value) -> Router {
    let (api, home) = (docs::api_page(document), docs::home_page(env!("CARGO_PKG_VERSION")));
    let (index, json) = (docs::problem_index(), document.to_string());
    let fixed = |kind, text: String| {
        let page = Page::new(kind, text);
        get(async move || page.answer())
    };
    Router::new()
        .route("/", fixed(HTML, home))
        .route("/docs", fixed(HTML, api))
        .route("/docs/style.css", fixed("text/css; charset=utf-8", docs::STYLE.to_owned()))
        .route("/docs/problems", fixed(HTML, index))
        .route("/docs/problems/{code}", get(problem))
        .route("/openapi.json", fixed("application/json", json))
}

async fn problem(Path(code): Path<String>) -> Response {
    PROBLEMS.get(&*code).map_or_else(|| no_such("page").into_response(), Page::answer)
}

/// A page that is the same for everybody.
#[derive(Clone, Debug)]
struct Page {
    kind: &'static str,
    text: Bytes,
    compressed: Elsewhere,
}

impl Page {
    fn new(kind: &'static str, text: String) -> Page {
        Page { kind, text: text.into(), compressed: Elsewhere::default() }
    }

    fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.text.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if self.kind == HTML {
            let policy = HeaderValue::from_static(docs::POLICY);
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response.extensions_mut().insert(self.compressed.clone());
        response
    }
}
