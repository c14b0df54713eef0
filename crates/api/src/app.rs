//! The service as one axum router: routes, and the layer around them that names requests, writes
//! problems out and counts.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use engine::{Caller, Engine, Failure, Role};
use tower_http::catch_panic::CatchPanicLayer;

use crate::extract::nothing_here;
use crate::handlers::accounts::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX};
use crate::password::Passwords;
use crate::problem::{Code, Problem};
use crate::throttle::Throttle;
use crate::token::Tokens;
use crate::{metrics, openapi, pages};

/// Unknown codes that one user may ask for within [`GUESS_WINDOW_MS`]: more than anybody mistypes.
pub const GUESSES_MAX: u32 = 20;

/// The window in which unknown codes are counted.
pub const GUESS_WINDOW_MS: i64 = 10 * 60 * 1_000;

/// Requests about codes that one user may have under way: a check-out has a handful.
pub const ASKING_MAX: u32 = 256;

/// Users, and logins, that are counted at a time; some 10 MB.
const COUNTED_MAX: usize = 100_000;

/// Longest id that a client may give its request.
const REQUEST_ID_BYTES_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every handler works with.
pub struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) passwords: Passwords,
    pub(crate) sign_ins: Throttle,
    guesses: Throttle,
    asking: Throttle,
}

/// The service over `engine`, for callers with `tokens`.
pub fn app(engine: Arc<Engine>, tokens: Arc<Tokens>) -> Router {
    let app = Arc::new(App::new(engine, tokens));
    let (routes, document) = openapi::routes().split_for_parts();
    let document = openapi::with_problems(document);
    routes
        .with_state(Arc::clone(&app))
        .merge(pages::routes(&document))
        .merge(metrics::routes(app))
        .fallback(async || nothing_here())
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "see /docs for the methods of this path")
        })
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn(around))
}

pub(crate) fn panicked() -> Response {
    // The panic itself has been logged by its hook.
    Problem::new(Code::Internal, "see the log of the server").into_response()
}

impl App {
    pub(crate) fn new(engine: Arc<Engine>, tokens: Arc<Tokens>) -> App {
        App {
            engine,
            tokens,
            passwords: Passwords::new(),
            sign_ins: Throttle::new(SIGN_INS_MAX, SIGN_IN_WINDOW_MS, COUNTED_MAX),
            guesses: Throttle::new(GUESSES_MAX, GUESS_WINDOW_MS, COUNTED_MAX),
            asking: Throttle::new(ASKING_MAX, GUESS_WINDOW_MS, COUNTED_MAX),
        }
    }

    /// Does `work`, unless its user asks for unknown codes one after the other. A shop is counted
    /// for the user it names, never as a whole.
    pub(crate) async fn unless_guessing<T>(
        &self,
        caller: &Caller,
        named: Option<&UserId>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Problem> {
        let user = match caller.role {
            Role::User => Some(&caller.subject),
            Role::Shop => named,
            Role::Operator | Role::Admin => None,
        };
        let Some(user) = user.map(UserId::as_str) else { return Ok(work.await?) };
        let now = self.engine.now().0;
        if let Some(wait) = self.guesses.blocked(user, now) {
            return Err(Problem::too_many("too many unknown codes for this user", wait));
        }
        // Guesses side by side are all asked before the first is counted, so there may not be many.
        let _asking = Asking::begin(&self.asking, user, now)?;
        let done = work.await;
        if let Err(Failure::Refused { refusal: Refusal::NotFound, .. }) = &done {
            self.guesses.count(user, now);
        }
        Ok(done?)
    }
}

/// One request about a code, under way; also one whose client has gone.
struct Asking<'a> {
    asking: &'a Throttle,
    user: &'a str,
}

impl<'a> Asking<'a> {
    fn begin(asking: &'a Throttle, user: &'a str, now: i64) -> Result<Asking<'a>, Problem> {
        if asking.blocked(user, now).is_some() {
            return Err(Problem::too_many("too many requests at once for this user", 1_000));
        }
        asking.count(user, now);
        Ok(Asking { asking, user })
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.asking.take_back(self.user);
    }
}

/// Around every request: its id, its problem written out, its place in the metrics.
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
        tracing::debug!(request_id = %id, code = problem.code().word(), "refused");
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics::request(route, &method, response.status(), begun.elapsed());
    response
}

/// The client's own id for the request where it is short and visible, else one of ours.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fits = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic())
    };
    given.filter(fits).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}
