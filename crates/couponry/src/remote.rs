//! A couponry that runs elsewhere: what a command needs to do its work over HTTP, with the settings `url` and `token`.

use std::time::{Duration, Instant};

use api::outbound::{self, Unread, whole};
use command_line::Secret;
use engine::PAGE_MAX;
use futures::{Stream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{CliError, cause};
use crate::settings::Settings;

pub(crate) use command_line::Cursors;

/// For one try: couponry gives up a write after ten seconds, and then says so.
const TRY_TIMEOUT: Duration = Duration::from_secs(12);

/// For all tries of one request.
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

pub(crate) struct Remote {
    client: Client,
    base: Url,
    token: Secret,
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether an earlier call did the same.
    pub(crate) is_replay: bool,
    pub(crate) body: Value,
}

/// Whether a request that may have been done can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does nothing, or has a name, so that it is done once.
    Harmless,
    /// Its repeat could do it twice.
    Harmful,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Refused {
    Problem(Problem),
    /// No answer, or none of couponry; what was asked may have been done.
    Lost(String),
    /// No answer, and nothing was done.
    Undone(String),
}

/// What a problem document says (RFC 9457, and docs/problems).
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    retry: String,
    errors: Option<Vec<FieldError>>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    #[serde(default)]
    field: String,
    #[serde(default)]
    detail: String,
}

impl Problem {
    pub(crate) fn sentence(&self) -> String {
        let faults = self.errors.iter().flatten();
        let faults: Vec<String> = faults.map(|it| format!("{} {}", it.field, it.detail)).collect();
        match faults.is_empty() {
            true => self.detail.clone(),
            false => faults.join("; "),
        }
    }

    /// Whether it is about one coupon, so that others may be fine.
    pub(crate) fn is_of_coupon(&self) -> bool {
        matches!(self.status, 400 | 404 | 409)
    }
}

impl From<Refused> for CliError {
    fn from(refused: Refused) -> CliError {
        match refused {
            Refused::Problem(problem) if problem.code == "INVALID" => {
                CliError::usage(problem.sentence())
            }
            Refused::Problem(problem) => {
                let failed = CliError::new(format!("{}: {}", problem.code, problem.sentence()));
                match problem.retry.as_str() {
                    "same" => failed.and("run the command again: it reports what happened"),
                    "later" => failed.and("try again later"),
                    _ => failed,
                }
            }
            Refused::Lost(why) => CliError::new(why).and("it may have been done"),
            Refused::Undone(why) => CliError::new(why),
        }
    }
}

impl Remote {
    /// The service that the settings name; `None` if the command works on the data folder.
    ///
    /// # Errors
    /// Usage: an address that others could listen to, or no token.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Remote>, CliError> {
        let Some(address) = &settings.url.value else { return Ok(None) };
        let mut base = outbound::checked(address)
            .map_err(|why| settings.url.unusable("url", format!("it {why}")))?;
        let Some(token) = settings.token.value.clone() else {
            return Err(CliError::usage(
                "url is set and token is not: put a token into COUPONRY_TOKEN; `couponry token \
                 --role admin` prints one where the data is",
            ));
        };
        if HeaderValue::from_str(token.reveal()).is_err() {
            let why = "it has a character that no token has";
            return Err(settings.token.unusable("token", why));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = outbound::client(&base, LONGEST).tcp_keepalive(KEPT_ALIVE).build();
        let client = client.map_err(CliError::of)?;
        Ok(Some(Remote { client, base, token }))
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Value, Refused> {
        match self.call((Method::GET, path, query), None, Repeat::Harmless).await {
            Ok(said) => Ok(said.body),
            Err(Refused::Lost(why)) => Err(Refused::Undone(why)),
            Err(other) => Err(other),
        }
    }

    /// Sends a change, without the fields that are null.
    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &Value,
        repeat: Repeat,
    ) -> Result<Said, Refused> {
        self.call((Method::POST, path, &[]), Some(body), repeat).await
    }

    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> Result<Said, Refused> {
        self.call((Method::PATCH, path, &[]), Some(body), Repeat::Harmless).await
    }

    /// Calls `take` with the items of each page of a list.
    pub(crate) async fn pages(
        &self,
        path: &[&str],
        mut query: Vec<(&str, String)>,
        mut take: impl FnMut(Vec<Value>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        query.push(("limit", PAGE_MAX.to_string()));
        let first = query.len();
        let mut cursors = Cursors::default();
        loop {
            let mut page = self.get(path, &query).await?;
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

    /// The answer as text, while it arrives.
    pub(crate) async fn download(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Response, Refused> {
        let request = self.request((Method::GET, path, query)).header(ACCEPT, "text/csv");
        let answer = request.send().await.map_err(|error| Refused::Undone(sentence(error)))?;
        good(answer).await
    }

    pub(crate) async fn upload<S, B>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        file: S,
    ) -> Result<Value, Refused>
    where
        S: Stream<Item = std::io::Result<B>> + Send + 'static,
        B: Into<bytes::Bytes> + Send + 'static,
    {
        let request = self.request((Method::POST, path, query)).header(CONTENT_TYPE, "text/csv");
        let file = file.map(|piece| piece.map(Into::into));
        let answer = request.body(Body::wrap_stream(file)).send().await.map_err(lost)?;
        let body = whole(good(answer).await?, ANSWER_BYTES_MAX).await;
        parsed(&body.map_err(|unread| Refused::Lost(unread.to_string()))?)
    }

    /// Sends a request, and again as its answers say.
    async fn call(
        &self,
        what: (Method, &[&str], &[(&str, String)]),
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Said, Refused> {
        let ends = Instant::now() + GIVE_UP_AFTER;
        let mut pause = PAUSE_FIRST;
        // A try to which nobody listened has done nothing.
        let mut may_be_done = false;
        loop {
            let request = self.request(what.clone()).timeout(TRY_TIMEOUT);
            let request = match body {
                Some(body) => request.json(body),
                None => request,
            };
            let (refused, wait) = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    let is_replay = answer.headers().contains_key(REPLAYED);
                    match whole(answer, ANSWER_BYTES_MAX).await {
                        Ok(body) => return Ok(Said { is_replay, body: parsed(&body)? }),
                        Err(Unread::BrokenOff(error)) if repeat == Repeat::Harmless => {
                            (lost(error), Duration::ZERO)
                        }
                        Err(unread) => return Err(Refused::Lost(unread.to_string())),
                    }
                }
                Ok(answer) => {
                    let wait = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
                    let wait =
                        Duration::from_secs(wait.and_then(|it| it.parse().ok()).unwrap_or(0));
                    // Others wait for a person, not for the machine.
                    let is_busy = matches!(answer.status().as_u16(), 429 | 503);
                    let problem = problem(answer).await?;
                    match problem.retry.as_str() {
                        "later" if is_busy => (Refused::Problem(problem), wait),
                        "same" if repeat == Repeat::Harmless => (Refused::Problem(problem), wait),
                        _ => return Err(Refused::Problem(problem)),
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
            let wait = wait.max(pause);
            if Instant::now() + wait >= ends {
                return Err(refused);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn request(
        &self,
        (method, path, query): (Method, &[&str], &[(&str, String)]),
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let request = self.client.request(method, url).query(query);
        request.bearer_auth(self.token.reveal())
    }
}

fn lost(error: reqwest::Error) -> Refused {
    Refused::Lost(sentence(error))
}

fn sentence(error: reqwest::Error) -> String {
    let cause = cause(&error);
    // The path of the address may have a code.
    format!("no answer of couponry: {} ({cause})", error.without_url())
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|_| {
        Refused::Lost("the answer is not of couponry: does url name its address?".into())
    })
}

/// An answer, unless it is a problem.
async fn good(answer: Response) -> Result<Response, Refused> {
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(Refused::Problem(problem(answer).await?)),
    }
}

async fn problem(answer: Response) -> Result<Problem, Refused> {
    let status = answer.status();
    let body = whole(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
    let said = parsed::<Problem>(&body).ok().filter(|it| !it.code.is_empty());
    said.ok_or_else(|| {
        Refused::Lost(format!("the answer {status} is not of couponry: does url name its address?"))
    })
}
