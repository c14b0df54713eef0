//! The service as one axum router: every route, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use engine::Engine;
use server::compress;
use server::spaces::HttpService;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::{AccessPolicy, App};
use crate::around::{LayerState, around, panicked};
use crate::docs::POLICY;
use crate::extract::no_such_path;
use crate::handlers::scrape;
use crate::problem::Problem;
use crate::problem_code::ApiErrorCode;
use crate::token::TokenService;
use crate::{openapi, pages};

/// Of the answer to a path that nobody has: a browser may show it, as one below `/console`.
const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// With the default [`AccessPolicy`].
pub fn app(engine: Arc<Engine>, tokens: Arc<TokenService>) -> Router {
    app_with(engine, tokens, AccessPolicy::default())
}

pub fn app_with(engine: Arc<Engine>, tokens: Arc<TokenService>, access: AccessPolicy) -> Router {
    let cors = access.cors_origins.layer();
    let (routes, _document) = openapi::routes().split_for_parts();
    let layer = LayerState::new(&access, Some(Arc::clone(&engine)));
    let has_console = access.has_console;
    let app = Arc::new(App::new(engine, tokens, access));
    let routes = routes
        .with_state(Arc::clone(&app))
        .merge(pages::routes(has_console))
        .merge(scrape::routes(app))
        .fallback(async || (PAGE_HEADERS, no_such_path()))
        .method_not_allowed_fallback(async || {
            Problem::new(ApiErrorCode::MethodNotAllowed, "see /docs for the methods of this path")
        })
        .layer(compress::layer())
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(layer, around));
    match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

/// Says to everybody that the space is not served.
pub fn closed_space(name: &str) -> HttpService {
    let access = AccessPolicy { space: Some(name.to_owned()), ..AccessPolicy::default() };
    let why = "this space is not served at the moment; the log of the server says why";
    Router::new()
        .fallback(async move || Problem::new(ApiErrorCode::StoreUnavailable, why).into_response())
        .layer(from_fn_with_state(LayerState::new(&access, None), around))
}
