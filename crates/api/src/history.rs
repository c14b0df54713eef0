//! `POST /v1/history/query`, for the process that answers SQL: a service of its own, beside the one
//! that redeems, with the same tokens and the same problems.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use engine::{Engine, Role};
use futures::future::BoxFuture;
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::ToSchema;

use crate::app::{AccessPolicy, App};
use crate::around::{LayerState, around, panicked};
use crate::extract::{AuthenticatedCaller, Json, no_such_path};
use crate::handlers::{health, scrape};
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::token::TokenService;

/// Says that there were more rows than an answer may have, and how many it has.
const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated-at");

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    /// One statement.
    pub sql: String,
    /// A version of the cold tier; the newest of both tiers where there is none.
    pub as_of: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryForm {
    Json,
    Csv,
    Arrow,
}

#[derive(Clone, Debug)]
pub struct QueryAnswer {
    pub body: Vec<u8>,
    /// How many there are, if that is not all that the query has.
    pub truncated_at: Option<u64>,
}

pub trait QueryBackend: Send + Sync + 'static {
    /// Answers one, within the limits that it has.
    ///
    /// # Errors
    /// [`Problem`], in the planner's words where the SQL cannot be run.
    fn answer(&self, query: QueryBody, form: QueryForm) -> BoxFuture<'_, Result<QueryAnswer>>;
}

/// The service over `queries`, for operators and admins with `tokens`.
pub fn app(
    engine: Arc<Engine>,
    tokens: Arc<TokenService>,
    queries: Arc<dyn QueryBackend>,
) -> Router {
    let access = AccessPolicy::default();
    let layer = from_fn_with_state(LayerState::new(&access, None), around);
    let app = Arc::new(App::new(engine, tokens, access));
    Router::new()
        .route("/v1/history/query", post(query))
        .route("/healthz", get(health::healthz))
        .with_state(Arc::clone(&app))
        .merge(scrape::routes(app))
        .layer(Extension(queries))
        .fallback(async || no_such_path())
        .method_not_allowed_fallback(async || {
            Problem::new(ApiErrorCode::MethodNotAllowed, "POST /v1/history/query takes SQL")
        })
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(layer)
}

async fn query(
    AuthenticatedCaller { caller, .. }: AuthenticatedCaller,
    Extension(queries): Extension<Arc<dyn QueryBackend>>,
    headers: HeaderMap,
    Json(body): Json<QueryBody>,
) -> Result<Response> {
    caller.must_be(&[Role::Operator, Role::Admin])?;
    let form = wanted(&headers)?;
    let answer = queries.answer(body, form).await?;
    let mut response = answer.body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    if let Some(rows) = answer.truncated_at {
        headers.insert(TRUNCATED, HeaderValue::from(rows));
    }
    Ok(response)
}

impl QueryForm {
    fn media_type(self) -> &'static str {
        match self {
            QueryForm::Json => "application/json",
            QueryForm::Csv => "text/csv; charset=utf-8",
            QueryForm::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// The first form of `Accept` that there is; JSON where it says nothing.
fn wanted(headers: &HeaderMap) -> Result<QueryForm> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let names = accept
        .flat_map(|value| value.split(','))
        .map(|part| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let names: Vec<String> = names.collect();
    let found = names.iter().find_map(|name| match name.as_str() {
        "" | "*/*" | "application/*" | "application/json" => Some(QueryForm::Json),
        "text/*" | "text/csv" => Some(QueryForm::Csv),
        "application/vnd.apache.arrow.stream" => Some(QueryForm::Arrow),
        _ => None,
    });
    match found {
        Some(form) => Ok(form),
        None if names.is_empty() => Ok(QueryForm::Json),
        None => Err(Problem::of_field(
            "Accept",
            "want application/json, text/csv or application/vnd.apache.arrow.stream",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let cases = [
            ("nothing", None, Some(QueryForm::Json)),
            ("anything", Some("*/*"), Some(QueryForm::Json)),
            ("CSV", Some("text/csv"), Some(QueryForm::Csv)),
            ("with parameters", Some("Text/CSV; q=0.9, */*;q=0.1"), Some(QueryForm::Csv)),
            ("Arrow", Some("application/vnd.apache.arrow.stream"), Some(QueryForm::Arrow)),
            ("what a browser sends", Some("text/html, application/json"), Some(QueryForm::Json)),
            ("what there is not", Some("application/xml"), None),
        ];
        for (name, accept, want) in cases {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(wanted(&headers).ok(), want, "{name}");
        }
    }
}
