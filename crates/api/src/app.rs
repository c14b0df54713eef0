//! The service as one axum router: routes, and the layer around them that names requests, writes
//! problems out and counts.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use coupon::ids::UserId;
use engine::{Caller, Engine, Failure};
use tower_http::catch_panic::CatchPanicLayer;

use crate::extract::no_such_path;
use crate::guesses::Guesses;
use crate::handlers::accounts::Doors;
use crate::password::Passwords;
use crate::peer::TrustedProxies;
use crate::problem::{Code, Problem};
use crate::token::Tokens;
use crate::turns::Turns;
use crate::{metrics, openapi, pages};

/// Users, and logins, that are counted at a time; some 10 MB.
const COUNTED_MAX: usize = 100_000;

/// Longest id that a client may give its request.
const REQUEST_ID_BYTES_MAX: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What strangers may do, and where they are seen to come from.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Whose word about the address of a client counts; nobody's by default.
    pub trusted_proxies: TrustedProxies,
    /// Whether anyone may make an account; on by default.
    pub sign_up: SignUp,
}

/// Whether anyone may make an account here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    /// Anyone may.
    #[default]
    On,
    /// Nobody may; existing accounts sign in as before.
    Off,
}

/// Why a text is neither `on` nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {found:?}, want on or off")]
pub struct BadSignUp {
    found: String,
}

impl FromStr for SignUp {
    type Err = BadSignUp;

    fn from_str(text: &str) -> Result<SignUp, BadSignUp> {
        match text {
            "on" => Ok(SignUp::On),
            "off" => Ok(SignUp::Off),
            found => Err(BadSignUp { found: found.to_owned() }),
        }
    }
}

/// What every handler works with.
pub struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) access: Access,
    pub(crate) passwords: Passwords,
    pub(crate) doors: Doors,
    pub(crate) turns: Turns,
    guesses: Guesses,
}

/// The service over `engine`, for callers with `tokens`, with the default [`Access`].
pub fn app(engine: Arc<Engine>, tokens: Arc<Tokens>) -> Router {
    app_with(engine, tokens, Access::default())
}

/// The service over `engine`, for callers with `tokens`, and for strangers as `access` says.
pub fn app_with(engine: Arc<Engine>, tokens: Arc<Tokens>, access: Access) -> Router {
    let app = Arc::new(App::new(engine, tokens, access));
    let (routes, document) = openapi::routes().split_for_parts();
    let document = openapi::completed(document);
    routes
        .with_state(Arc::clone(&app))
        .merge(pages::routes(&document))
        .merge(metrics::routes(app))
        .fallback(async || no_such_path())
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
    pub(crate) fn new(engine: Arc<Engine>, tokens: Arc<Tokens>, access: Access) -> App {
        App {
            engine,
            tokens,
            access,
            passwords: Passwords::new(),
            doors: Doors::new(COUNTED_MAX),
            turns: Turns::new(),
            guesses: Guesses::new(COUNTED_MAX),
        }
    }

    /// See [`Guesses::unless_guessing`].
    pub(crate) async fn unless_guessing<T>(
        &self,
        caller: &Caller,
        named: Option<&UserId>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Problem> {
        self.guesses.unless_guessing(caller, named, self.engine.now().0, work).await
    }

    /// See [`Guesses::one_of_few`].
    pub(crate) async fn one_of_few<T>(
        &self,
        caller: &Caller,
        named: Option<&UserId>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Problem> {
        self.guesses.one_of_few(caller, named, self.engine.now().0, work).await
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
        tracing::debug!(request_id = %id, code = problem.code().as_str(), "refused");
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
