//! The layer around every request: it gives the request an id, writes a problem out, counts, logs, and traces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::Access;
use crate::deprecation::Deprecation;
use crate::metrics::{Figures, Route};
use crate::problem::{Code, Problem};
use crate::request_log::{Ended, RequestLog};
use crate::request_rate::{Quota, RequestRate};
use crate::traces::{self, RequestSpan, RequestTracer};

/// Longest id that a client may give its request, in characters.
pub(crate) const REQUEST_ID_LEN_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths that a machine asks whether the service is well: a limit of requests must not call a busy service dead.
const UNLIMITED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What the layer keeps for all requests of one store.
pub(crate) struct Around {
    figures: Arc<Figures>,
    rate: Option<Arc<RequestRate>>,
    log: RequestLog,
    tracer: Option<RequestTracer>,
}

impl Around {
    pub(crate) fn new(access: &Access) -> Arc<Around> {
        let (figures, rate) = (Arc::clone(&access.figures), access.rate.clone());
        let log = RequestLog::new(access.space.is_some());
        Arc::new(Around { figures, rate, log, tracer: RequestTracer::of(access) })
    }

    /// Takes one request of the limit, if there is one.
    fn take(&self, route: &str) -> Option<(&RequestRate, Quota)> {
        let rate = self.rate.as_deref()?;
        (!UNLIMITED.contains(&route)).then(|| (rate, rate.take()))
    }
}

/// Gives the request its id, writes its problem out, counts it, and logs what was refused.
pub(crate) async fn around(
    State(around): State<Arc<Around>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = Route::of(&request);
    let route = route.as_str();
    let parent = traces::parent(request.headers());
    let tracer = around.tracer.as_ref();
    let span = tracer.map(|it| it.begin(parent.as_ref(), &method, route, Some(&id)));
    let taken = around.take(route);
    let mut response = match (taken, &span) {
        (Some((rate, Quota { refused: Some(wait), .. })), _) => over_the_rate(rate, wait),
        (_, Some(span)) => span.around(next.run(request)).await,
        (_, None) => next.run(request).await,
    };
    let mut refused = None;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let body = serde_json::to_vec(&problem.body(&id)).unwrap_or_default();
        problem.headers(response.headers_mut());
        *response.body_mut() = Body::from(body);
        match taken {
            Some((_, Quota { refused: Some(_), .. })) => around.figures.over_the_rate(),
            _ => around.figures.problem(problem.code()),
        }
        refused = Some(problem);
    }
    if let Some((rate, quota)) = taken {
        rate.headers(quota, response.headers_mut());
    }
    if let Some(deprecation) = Deprecation::of(&method, route) {
        deprecation.headers(response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, took) = (response.status(), begun.elapsed());
    around.figures.request(route, &method, status, took);
    let trace = span.as_ref().map(RequestSpan::trace_id).or(parent.map(|it| it.trace_id()));
    if let Some(span) = span {
        span.end(status, refused.as_ref().map(|problem| problem.code()));
    }
    if let Some(problem) = refused {
        let (id, method) = (id.as_str(), &method);
        let (code, cause) = (problem.code(), problem.cause());
        around.log.refused(&Ended { id, trace, method, route, status, code, cause, took });
    }
    response
}

fn over_the_rate(rate: &RequestRate, wait: Duration) -> Response {
    let detail = format!("this store takes {} requests a second", rate.per_s());
    let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Problem::too_many(&detail, wait_ms).into_response()
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
