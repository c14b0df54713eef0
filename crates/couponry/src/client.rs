//! The service that a command works with: one elsewhere, over HTTP, with the settings `url` and `token`; or the store of
//! this machine, which answers the same requests in this process, without a socket.

mod refused;

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::outbound::{self, BodyReadError, whole};
use api::problem::FailureCause;
use api::token::{LocalKey, LocalKeys, SECRET_BYTES_MIN, TTL_MS_MAX, TokenService};
use api::{AccessPolicy, IMPORT_IDLE};
use bytes::Bytes;
use command_line::{CursorCycleDetector, SecretText};
use engine::PAGE_MAX;
use futures::stream::{Stream, StreamExt, unfold};
use http::Request;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use server::spaces::HttpService;
use tower::ServiceExt;

pub(crate) use self::refused::{Problem, Refused};
use crate::failure::{CliError, Result, cause};
use crate::keys;
use crate::open::{self, Opened, Purpose};
use crate::settings::Settings;

/// For one try: couponry gives up a write after ten seconds, and then says so.
const TRY_TIMEOUT: Duration = Duration::from_secs(12);

/// For all tries of one request. The store of this machine is asked once.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// The first pause between two tries; each next one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a silent connection is asked whether the other side is still there: an import is answered after its last
/// line, so that silence is no fault.
const KEPT_ALIVE: Duration = Duration::from_secs(30);

/// The longest that a download or an upload may take in all.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Most bytes of an answer that is not a download: a page of 1,000 coupons has about one million.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// The header of an answer that is that of an earlier call.
const REPLAYED: &str = "idempotent-replayed";

/// The address of the store of this machine: nothing is sent there.
const HERE: &str = "http://localhost/";

pub(crate) struct ServiceClient {
    client: Client,
    base: Url,
    token: SecretText,
    /// What answers, if it is in this process.
    here: Option<HttpService>,
}

/// The answer to one of many changes in a request.
#[derive(Deserialize)]
struct ChangeResult {
    status: u16,
    replayed: bool,
    body: Value,
}

impl ChangeResult {
    /// `cause`: why the request failed in a part of it.
    fn answer(self, cause: Option<&FailureCause>) -> Result<Reply, Refused> {
        let ChangeResult { status, replayed: is_replay, body } = self;
        if (200..300).contains(&status) {
            return Ok(Reply { is_replay, body, cause: None });
        }
        let mut problem: Box<Problem> = serde_json::from_value(body).map_err(|_| not_ours())?;
        if status >= 500 {
            problem.cause = cause.map(|FailureCause(cause)| cause.clone());
        }
        Err(Refused::Problem(problem))
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) is_replay: bool,
    pub(crate) body: Value,
    /// Why the store of this machine failed in a part of it.
    cause: Option<FailureCause>,
}

/// Whether a request that may have been done can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does nothing, or has a name, so that it is done once.
    Harmless,
    /// Its repeat could do it twice.
    Harmful,
}

/// Does a command's `work` with the service that the settings name; without one, with the store of this machine, with
/// or without a running `serve`.
pub(crate) async fn with<T>(
    settings: &Settings,
    purpose: Purpose,
    work: impl AsyncFnOnce(&ServiceClient) -> Result<T>,
) -> Result<T> {
    if let Some(elsewhere) = ServiceClient::elsewhere(settings)? {
        return work(&elsewhere).await;
    }
    let here = async |opened: &Opened| work(&ServiceClient::here(opened)?).await;
    open::with(settings, purpose, here).await
}

impl ServiceClient {
    /// The service that the settings name; `None` if the command works on the data folder.
    ///
    /// # Errors
    /// Usage: an address that others could listen to, or no token.
    pub(crate) fn elsewhere(settings: &Settings) -> Result<Option<ServiceClient>> {
        let Some(address) = &settings.url.value else { return Ok(None) };
        let mut base =
            outbound::checked(address).map_err(|why| settings.url.unusable(format!("it {why}")))?;
        let Some(token) = settings.token.value.clone() else {
            return Err(CliError::usage(
                "url is set and token is not: put a token into COUPONRY_TOKEN; `couponry token \
                 --role admin` prints one where the data is",
            ));
        };
        if HeaderValue::from_str(token.reveal()).is_err() {
            let why = "it has a character that no token has";
            return Err(settings.token.unusable(why));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        ServiceClient::new(base, token, None).map(Some)
    }

    /// The store of this machine, in the name of [`open::caller`]. The key that signs for it ends with the process.
    fn here(opened: &Opened) -> Result<ServiceClient> {
        let mut secret = [0; SECRET_BYTES_MIN];
        keys::fill_random(&mut secret)?;
        let key = LocalKey::active("here", &secret, 0).map_err(CliError::of)?;
        let keys = LocalKeys::new(vec![key]).map_err(CliError::of)?;
        let tokens = TokenService::new(keys, None).map_err(CliError::of)?;
        let (engine, caller) = (opened.engine(), open::caller());
        let token = tokens.mint(caller.subject.as_str(), caller.role, TTL_MS_MAX, engine.now().0);
        let (token, _) = token.map_err(CliError::of)?;
        // The operator waits for themself, and for nobody else.
        let access = AccessPolicy { has_no_pace: true, ..AccessPolicy::default() };
        let service = api::app_with(Arc::clone(engine), Arc::new(tokens), access);
        ServiceClient::new(HERE.parse().map_err(CliError::of)?, token.into(), Some(service))
    }

    /// Whether it is the store of this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    fn new(base: Url, token: SecretText, here: Option<HttpService>) -> Result<ServiceClient> {
        let client = outbound::client(&base, LONGEST).tcp_keepalive(KEPT_ALIVE).build();
        Ok(ServiceClient { client: client.map_err(CliError::of)?, base, token, here })
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Reply, Refused> {
        let request = || self.request(Method::GET, path, query);
        self.call(request, Repeat::Harmless).await.map_err(|refused| match refused {
            Refused::Lost(why) => Refused::Undone(why),
            other => other,
        })
    }

    /// Sends a change, without the fields that are null.
    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &Value,
        repeat: Repeat,
    ) -> Result<Reply, Refused> {
        self.call(|| self.request(Method::POST, path, &[]).json(body), repeat).await
    }

    /// Sends changes in one request, as operations. The answers are in their order.
    pub(crate) async fn batch(
        &self,
        operations: &[Value],
        repeat: Repeat,
    ) -> Result<Vec<Result<Reply, Refused>>, Refused> {
        let mut answers: Vec<Option<Result<Reply, Refused>>> = Vec::new();
        answers.resize_with(operations.len(), || None);
        let mut left: Vec<usize> = (0..operations.len()).collect();
        let mut patience = Patience::new(self);
        while !left.is_empty() {
            let asked: Vec<&Value> = left.iter().map(|nth| &operations[*nth]).collect();
            let sent = self.post(&["batch"], &json!({"operations": asked}), repeat).await?;
            let Reply { mut body, cause, .. } = sent;
            let results: Vec<ChangeResult> =
                serde_json::from_value(body["results"].take()).map_err(|_| not_ours())?;
            if results.len() != left.len() {
                return Err(not_ours());
            }
            let mut again = Vec::new();
            for (nth, result) in left.iter().zip(results) {
                let answer = result.answer(cause.as_ref());
                if let Err(Refused::Problem(problem)) = &answer
                    && problem.says_again(repeat)
                {
                    again.push(*nth);
                }
                answers[*nth] = Some(answer);
            }
            if again.len() < left.len() {
                // A limit of requests lets some through at a time.
                patience = Patience::new(self);
            }
            if again.is_empty() || !patience.wait(Duration::ZERO).await {
                break;
            }
            left = again;
        }
        Ok(answers.into_iter().flatten().collect())
    }

    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> Result<Reply, Refused> {
        let request = || self.request(Method::PATCH, path, &[]).json(body);
        self.call(request, Repeat::Harmless).await
    }

    /// Calls `take` with the items of each page of a list.
    pub(crate) async fn pages(
        &self,
        path: &[&str],
        mut query: Vec<(&str, String)>,
        mut take: impl FnMut(Vec<Value>) -> Result<()>,
    ) -> Result<()> {
        query.push(("limit", PAGE_MAX.to_string()));
        let first = query.len();
        let mut cursors = CursorCycleDetector::default();
        loop {
            let mut page = self.get(path, &query).await?.body;
            let Value::Array(items) = page["data"].take() else {
                return Err(CliError::new("the answer has no list"));
            };
            take(items)?;
            let Some(next) = page["next_cursor"].as_str() else { return Ok(()) };
            cursors.next(next).map_err(CliError::of)?;
            query.truncate(first);
            query.push(("cursor", next.to_owned()));
        }
    }

    /// The answer as CSV, while it arrives.
    pub(crate) async fn download(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Response, Refused> {
        self.stream(path, query, "text/csv").await
    }

    /// The answer as text of a media type, while it arrives.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        media_type: &'static str,
    ) -> Result<Response, Refused> {
        let request = self.request(Method::GET, path, query).header(ACCEPT, media_type);
        let answer = self.send(request).await;
        self.good(answer.map_err(|error| Refused::Undone(sentence(error)))?).await
    }

    pub(crate) async fn upload<E>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        file: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<Value, Refused>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let request = self.request(Method::POST, path, query).header(CONTENT_TYPE, "text/csv");
        let request = request.body(Body::wrap_stream(never_silent(file)));
        let answer = self.send(request).await.map_err(lost)?;
        let body = whole(self.good(answer).await?, ANSWER_BYTES_MAX).await;
        parsed(&body.map_err(|unread| Refused::Lost(unread.to_string()))?)
    }

    /// Sends a request, and again as its answers say.
    async fn call(
        &self,
        request: impl Fn() -> RequestBuilder,
        repeat: Repeat,
    ) -> Result<Reply, Refused> {
        let mut patience = Patience::new(self);
        // A try to which nobody listened has done nothing.
        let mut may_be_done = false;
        loop {
            let (refused, wait) = match self.send(request().timeout(TRY_TIMEOUT)).await {
                Ok(answer) if answer.status().is_success() => {
                    let is_replay = answer.headers().contains_key(REPLAYED);
                    let cause = answer.extensions().get::<FailureCause>().cloned();
                    match whole(answer, ANSWER_BYTES_MAX).await {
                        Ok(body) => return Ok(Reply { is_replay, body: parsed(&body)?, cause }),
                        Err(BodyReadError::BrokenOff(error)) if repeat == Repeat::Harmless => {
                            (lost(error), Duration::ZERO)
                        }
                        Err(unread) => return Err(Refused::Lost(unread.to_string())),
                    }
                }
                Ok(answer) => {
                    let wait = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
                    let wait =
                        Duration::from_secs(wait.and_then(|it| it.parse().ok()).unwrap_or(0));
                    let problem = self.problem(answer).await?;
                    match problem.says_again(repeat) {
                        true => (Refused::Problem(problem), wait),
                        false => return Err(Refused::Problem(problem)),
                    }
                }
                Err(error) if error.is_connect() && !may_be_done => {
                    (Refused::Undone(sentence(error)), Duration::ZERO)
                }
                Err(error) if error.is_connect() || repeat == Repeat::Harmless => {
                    (lost(error), Duration::ZERO)
                }
                Err(error) => return Err(lost(error)),
            };
            may_be_done |= matches!(refused, Refused::Lost(_));
            if !patience.wait(wait).await {
                return Err(refused);
            }
        }
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let Some(here) = &self.here else { return request.send().await };
        let request: Request<Body> = request.build()?.try_into()?;
        let Ok(answer) = here.clone().oneshot(request).await;
        Ok(answer.map(|body| Body::wrap_stream(body.into_data_stream())).into())
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let request = self.client.request(method, url).query(query);
        request.bearer_auth(self.token.reveal())
    }

    /// An answer, unless it is a problem.
    async fn good(&self, answer: Response) -> Result<Response, Refused> {
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(Refused::Problem(self.problem(answer).await?)),
        }
    }

    async fn problem(&self, answer: Response) -> Result<Box<Problem>, Refused> {
        let (status, cause) = (answer.status(), answer.extensions().get::<FailureCause>().cloned());
        let body = whole(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let said = parsed::<Box<Problem>>(&body).ok().filter(|it| !it.code.is_empty());
        let mut problem = said.ok_or_else(|| {
            let is = format!("the answer {status} is not of couponry");
            Refused::Lost(format!("{is}: does url name its address?"))
        })?;
        problem.cause = cause.map(|FailureCause(cause)| cause);
        Ok(problem)
    }
}

/// A service gives a body up that is silent for [`IMPORT_IDLE`]. A pipe to the store of this machine may be silent for
/// longer: it gets pieces with nothing in them meanwhile, which no connection transmits.
fn never_silent<E: Send + 'static>(
    file: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, E>> + Send {
    unfold(file.boxed(), async |mut file| {
        let piece = tokio::time::timeout(IMPORT_IDLE / 3, file.next()).await;
        Some((piece.unwrap_or_else(|_| Some(Ok(Bytes::new())))?, file))
    })
}

fn lost(error: reqwest::Error) -> Refused {
    Refused::Lost(sentence(error))
}

/// An answer that arrives in pieces does not come to its end.
pub(crate) fn broken_off(error: reqwest::Error) -> CliError {
    CliError::new(BodyReadError::BrokenOff(error).to_string())
}

fn sentence(error: reqwest::Error) -> String {
    let cause = cause(&error);
    // The path of the address may have a code.
    format!("no answer of couponry: {} ({cause})", error.without_url())
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|_| not_ours())
}

fn not_ours() -> Refused {
    Refused::Lost("the answer is not of couponry: does url name its address?".into())
}

/// How long the tries of one request may still take.
struct Patience {
    ends: Instant,
    pause: Duration,
}

impl Patience {
    fn new(service: &ServiceClient) -> Patience {
        let whole = if service.here.is_some() { Duration::ZERO } else { GIVE_UP_AFTER };
        Patience { ends: Instant::now() + whole, pause: PAUSE_FIRST }
    }

    /// Waits before the next try, at least `least`. Returns whether there is one.
    async fn wait(&mut self, least: Duration) -> bool {
        let wait = least.max(self.pause);
        if Instant::now() + wait >= self.ends {
            return false;
        }
        tokio::time::sleep(wait).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}
