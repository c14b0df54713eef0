//! The pages for people, and the document for programs. Each is made once, but the answer to a search, and none before
//! somebody asks: a command has them in its process, too.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use server::compress::SharedCompression;

use crate::docs::{self, SearchIndex};
use crate::extract::no_such;
use crate::openapi;
use crate::problem_code::ApiErrorCode;

const HTML: &str = "text/html; charset=utf-8";

/// All stores of a process have the same.
static SITE: LazyLock<DocumentSite> = LazyLock::new(DocumentSite::new);

/// What is made of the document of the interface.
struct DocumentSite {
    /// By their paths: the document, and every page below `/docs` but the search.
    pages: HashMap<String, StaticPage>,
    search: SearchIndex,
}

pub(crate) fn routes(has_console: bool) -> Router {
    let home = docs::home_page(env!("CARGO_PKG_VERSION"), has_console);
    let fixed = |kind, text: String| {
        let page = StaticPage::new(kind, text);
        get(async move || page.answer())
    };
    Router::new()
        .route("/", fixed(HTML, home))
        .route("/docs", get(page))
        .route("/docs/search", get(search))
        .route("/docs/style.css", fixed("text/css; charset=utf-8", docs::STYLE.to_owned()))
        .route("/docs/problems", get(page))
        .route("/docs/problems/{code}", get(page))
        .route("/docs/shapes/{name}", get(page))
        .route("/docs/{group}", get(page))
        .route("/openapi.json", get(page))
}

impl DocumentSite {
    fn new() -> DocumentSite {
        let document = openapi::document();
        let mut pages = docs::api_pages(&document);
        pages.push(("/docs/problems".to_owned(), docs::problem_index()));
        let codes = ApiErrorCode::ALL.iter().map(|code| code.as_str());
        pages.extend(codes.filter_map(|code| {
            Some((format!("/docs/problems/{code}"), docs::problem_page(code)?))
        }));
        let pages = pages.into_iter().map(|(path, html)| (path, StaticPage::new(HTML, html)));
        let mut pages: HashMap<String, StaticPage> = pages.collect();
        let json = StaticPage::new("application/json", document.to_string());
        pages.insert("/openapi.json".to_owned(), json);
        DocumentSite { pages, search: SearchIndex::new(&document) }
    }
}

async fn page(uri: Uri) -> Response {
    SITE.pages.get(uri.path()).map_or_else(|| no_such("page").into_response(), StaticPage::answer)
}

/// What cannot be read is a search for nothing: a person stands before the page.
async fn search(query: Result<Query<HashMap<String, String>>, QueryRejection>) -> Response {
    let wanted = query.as_ref().ok().and_then(|query| query.get("q")).map_or("", String::as_str);
    response(HTML, SITE.search.page(wanted).into())
}

fn response(kind: &'static str, text: Bytes) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if kind == HTML {
        let policy = HeaderValue::from_static(docs::POLICY);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page that is the same for everybody.
#[derive(Clone, Debug)]
struct StaticPage {
    kind: &'static str,
    text: Bytes,
    compressed: SharedCompression,
}

impl StaticPage {
    fn new(kind: &'static str, text: String) -> StaticPage {
        StaticPage { kind, text: text.into(), compressed: SharedCompression::default() }
    }

    fn answer(&self) -> Response {
        let mut response = response(self.kind, self.text.clone());
        response.extensions_mut().insert(self.compressed.clone());
        response
    }
}
