//! From a request to its parts. Whatever cannot be read becomes a problem document: axum's own
//! refusals are plain text or empty.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::refusal::Refusal;
use engine::{ACCOUNT_PREFIX, Caller, Failure, Fault};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::patient;
use crate::problem::{Code, Problem};
use crate::token::{BadToken, Issuer};

/// Longest JSON body, in bytes: the largest field, `metadata`, has 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a JSON body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_type(request.headers(), "application/json") {
            let detail = "send the body as JSON, with `Content-Type: application/json`";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let body = patient::timeout(BODY_TIMEOUT, whole(request.into_body())).await;
        let body = body.ok_or_else(|| {
            let seconds = BODY_TIMEOUT.as_secs();
            Problem::new(Code::Timeout, format!("the body took more than {seconds} s"))
        })??;
        parse(&body).map(Json)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader);
    let value = value.map_err(|error| {
        let path = error.path().to_string();
        fault(&path, &error.inner().to_string())
    })?;
    reader.end().map_err(|error| fault(".", &error.to_string()))?;
    Ok(value)
}

/// The field that serde speaks of: the path, or the name in its sentence.
fn fault(path: &str, detail: &str) -> Problem {
    let quoted = detail
        .split('`')
        .nth(1)
        .filter(|_| detail.starts_with("unknown field") || detail.starts_with("missing field"));
    let field = match (path, quoted) {
        (".", Some(name)) => name.to_owned(),
        (".", None) => "body".to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    };
    Problem::invalid(vec![Fault::new(field, without_name(detail))])
}

/// What serde says of a field, without the field's name: that stands in front of it already.
fn without_name(detail: &str) -> String {
    let begins = [
        ("unknown field `", "is unknown"),
        ("missing field `", "is missing"),
        ("duplicate field `", "is there twice"),
    ];
    let found = begins.iter().find_map(|(begin, say)| {
        let (_name, rest) = detail.split_once(begin)?.1.split_once('`')?;
        Some(format!("{say}{rest}"))
    });
    found.unwrap_or_else(|| detail.to_owned())
}

async fn whole(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
        if whole.len() + chunk.len() > BODY_BYTES_MAX {
            let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Whether the `Content-Type` is `want`, with or without parameters.
pub(crate) fn is_type(headers: &HeaderMap, want: &str) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let found = found.and_then(|value| value.split(';').next());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(want))
}

/// The query; unknown parameters are refused by name.
pub(crate) struct Params<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| Params(params)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            let named = detail.split('`').nth(1).unwrap_or("query").to_owned();
            Problem::invalid(vec![Fault::new(named, without_name(detail))])
        })
    }
}

/// A piece of the path by its name. What cannot be such a thing is not there: 404.
async fn piece<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    // A path that is no UTF-8: whatever it names, there is none.
    let params = params.map_err(|_| absent(name))?;
    let found = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| absent(name))
}

/// The answer where the piece `name` of the path stands for nothing.
fn absent(name: &str) -> Problem {
    match name {
        "campaign_id" => no_such(CAMPAIGN),
        "batch_id" => no_such(BATCH),
        "user_id" => no_such("account"),
        _ => no_such_coupon(),
    }
}

/// The answer to any code that stands for nothing; the same whatever is wrong with it.
pub(crate) fn no_such_coupon() -> Problem {
    Refusal::NotFound.into()
}

/// The answer to a path that stands for nothing.
pub(crate) fn no_such_path() -> Problem {
    Problem::new(Code::NotFound, "there is no such path; see /docs for those that there are")
}

/// The answer to a name that stands for nothing.
pub(crate) fn no_such(what: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no such {what}"))
}

/// The same failure; where it is NOT_FOUND, it says what was not found.
pub(crate) fn named(what: &'static str) -> impl Fn(Failure) -> Problem {
    move |failure| match failure {
        Failure::Refused { refusal: Refusal::NotFound, .. } => no_such(what),
        failure => failure.into(),
    }
}

/// The same for what is a problem already.
pub(crate) fn renamed(what: &'static str) -> impl Fn(Problem) -> Problem {
    move |problem| match problem.code() {
        Code::NotFound => no_such(what),
        _ => problem,
    }
}

/// A campaign, for [`named`].
pub(crate) const CAMPAIGN: &str = "campaign";

/// A batch of a campaign, for [`named`].
pub(crate) const BATCH: &str = "campaign, or no such batch in it";

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Failure::Refused { refusal, coupon: None }.into()
    }
}

macro_rules! in_path {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $key:literal) => {
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) $inner);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let text = piece(parts, state, $key).await?;
                text.parse().map($name).map_err(|_| absent($key))
            }
        }
    };
}

in_path!(
    /// `{code}`.
    CodeInPath, CodeText, "code"
);
in_path!(
    /// `{campaign_id}`.
    CampaignInPath, CampaignId, "campaign_id"
);
in_path!(
    /// `{batch_id}`.
    BatchInPath, BatchId, "batch_id"
);
in_path!(
    /// `{user_id}`.
    UserInPath, UserId, "user_id"
);

/// Whoever the token names.
pub(crate) struct Who(pub(crate) Caller);

impl FromRequestParts<Arc<App>> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let claims = app.tokens.verify(token, app.engine.now().0).await.map_err(refused)?;
        let subject: UserId = claims
            .subject
            .parse()
            .map_err(|error| unauthenticated(format!("the token's sub {error}")))?;
        let external = claims.issuer == Issuer::External;
        if external && subject.as_str().starts_with(ACCOUNT_PREFIX) {
            let detail = format!("a sub that begins with {ACCOUNT_PREFIX} is of this server alone");
            return Err(unauthenticated(detail));
        }
        // The account may have been removed since the token was given.
        if !app.engine.is_known(&subject).await? {
            return Err(unauthenticated("the token's account is gone".into()));
        }
        Ok(Who(Caller { role: claims.role, subject }))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(header::AUTHORIZATION);
    let value = value.ok_or_else(|| unauthenticated("there is no Authorization header".into()))?;
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| unauthenticated("the Authorization header is no bearer token".into()))
}

fn refused(error: BadToken) -> Problem {
    match error {
        BadToken::KeysUnavailable => Problem::new(Code::StoreUnavailable, error.to_string()),
        error => unauthenticated(error.to_string()),
    }
}

pub(crate) fn unauthenticated(detail: String) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}
