//! The layer around every request: it gives the request an id, writes a problem out, counts, logs, and traces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use coupon::language::Lang;
use engine::Engine;
use server::compress::{self, SharedCompression};
use server::pace::RateQuota;
use server::request_rate::RequestRate;
use server::route::RouteTemplate;
use server::traces::{self, RequestSpan, RequestTracer};

use crate::app::AccessPolicy;
use crate::extract::unread_header;
use crate::metrics::StoreMetrics;
use crate::problem::{FailureCause, Problem, SEE_LOG};
use crate::problem_code::ApiErrorCode;
use crate::request_log::{EndedRequest, RequestLog};

/// Longest id that a client may give its request, in characters.
pub(crate) const REQUEST_ID_LEN_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Machines ask these whether the service is well: the limit must not make a busy service look dead.
const UNLIMITED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The name of a request in the log, among its extensions.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// What the layer keeps for all requests of one store.
pub(crate) struct LayerState {
    figures: Arc<StoreMetrics>,
    rate: Option<Arc<RequestRate>>,
    log: RequestLog,
    tracer: Option<RequestTracer>,
    /// Of the API itself; nothing else compresses long answers and reads keys.
    engine: Option<Arc<Engine>>,
}

impl LayerState {
    pub(crate) fn new(access: &AccessPolicy, engine: Option<Arc<Engine>>) -> Arc<LayerState> {
        let (figures, rate) = (Arc::clone(&access.figures), access.rate.clone());
        let log = RequestLog::new(access.space.is_some());
        Arc::new(LayerState { figures, rate, log, tracer: access.tracer(), engine })
    }

    /// Takes one request of the limit, if there is one.
    fn take(&self, route: &str) -> Option<(&RequestRate, RateQuota)> {
        let rate = self.rate.as_deref()?;
        (!UNLIMITED.contains(&route)).then(|| (rate, rate.take()))
    }
}

pub(crate) async fn around(
    State(around): State<Arc<LayerState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id: Arc<str> = request_id(&request).into();
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let languages: Vec<HeaderValue> =
        request.headers().get_all(header::ACCEPT_LANGUAGE).iter().cloned().collect();
    let method = request.method().clone();
    let route = RouteTemplate::of(&request);
    let route = route.as_str();
    let parent = traces::parent(request.headers());
    let tracer = around.tracer.as_ref();
    let span = tracer.map(|it| it.begin(parent.as_ref(), &method, route, Some(&id)));
    let taken = around.take(route);
    let unread = around.engine.as_ref().and_then(|_| unread_header(&request));
    let mut response = match (taken, unread, &span) {
        (Some((rate, RateQuota { refused: Some(wait), .. })), ..) => {
            over_the_rate(rate, wait).into_response()
        }
        (_, Some(problem), _) => problem.into_response(),
        (.., Some(span)) => span.around(next.run(request)).await,
        (.., None) => next.run(request).await,
    };
    if let (Some(engine), true) = (&around.engine, SharedCompression::marks(&response)) {
        // Boxed: its future is not moved around with the other requests.
        let compressed = Box::pin(compress::elsewhere(|read| engine.limited(read), response)).await;
        response = compressed.unwrap_or_else(|error| {
            tracing::error!(%error, "an answer could not be compressed");
            panicked()
        });
    }
    let mut refused = None;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        write_out(&problem, &languages, &id, &mut response);
        match taken {
            Some((_, RateQuota { refused: Some(_), .. })) => around.figures.over_the_rate(),
            _ => around.figures.problem(problem.code()),
        }
        refused = Some(problem);
    }
    if let Some((rate, quota)) = taken {
        rate.headers(quota, response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, took) = (response.status(), begun.elapsed());
    around.figures.request(route, &method, status, took);
    let trace = span.as_ref().map(RequestSpan::trace_id).or(parent.map(|it| it.trace_id()));
    if let Some(span) = span {
        span.end(status, refused.as_ref().map(|problem| problem.code().as_str()));
    }
    if let Some(problem) = refused {
        let (id, method) = (&*id, &method);
        let (code, cause) = (problem.code(), problem.cause());
        around.log.refused(&EndedRequest { id, trace, method, route, status, code, cause, took });
    }
    response
}

/// The language that is preferred; several lines of the header `Accept-Language` are one list.
pub(crate) fn lang_of<'a>(languages: impl IntoIterator<Item = &'a HeaderValue>) -> Lang {
    let lines: Vec<&str> = languages.into_iter().filter_map(|line| line.to_str().ok()).collect();
    Lang::preferred(&lines.join(","))
}

fn write_out<'a>(
    problem: &Problem,
    languages: impl IntoIterator<Item = &'a HeaderValue>,
    id: &str,
    response: &mut Response,
) {
    let lang = lang_of(languages);
    let body = serde_json::to_vec(&problem.body(lang, id)).unwrap_or_default();
    problem.headers(lang, response.headers_mut());
    if let Some(cause) = problem.cause() {
        response.extensions_mut().insert(FailureCause(cause.into()));
    }
    *response.body_mut() = Body::from(body);
}

/// The answer to a request that names several hosts, and so is for no store.
pub fn two_hosts(request: &Request) -> Response {
    let problem = Problem::of_field("Host", "is there more than once");
    let id = request_id(request);
    let mut response = problem.clone().into_response();
    let languages = request.headers().get_all(header::ACCEPT_LANGUAGE);
    write_out(&problem, languages, &id, &mut response);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

pub(crate) fn over_the_rate(rate: &RequestRate, wait: Duration) -> Problem {
    let detail = format!("this store takes {} requests a second", rate.per_s());
    let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Problem::too_many(&detail, wait_ms)
}

/// The id that the client gave the request, if it is short and visible; else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fits = |id: &&str| {
        (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic())
    };
    given.filter(fits).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

pub(crate) fn panicked() -> Response {
    // The panic itself has been logged by its hook.
    Problem::new(ApiErrorCode::Internal, SEE_LOG).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn two_hosts_are_a_problem() {
        let response = two_hosts(&Request::new(Body::empty()));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = to_bytes(response.into_body(), 1_000).await.expect("a body");
        assert!(String::from_utf8_lossy(&body).contains("\"code\":\"INVALID\""), "{body:?}");
    }
}
