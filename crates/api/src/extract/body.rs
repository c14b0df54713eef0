//! The body of a request: JSON within its limits, and what is wrong with it in our own words.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use engine::Fault;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use crate::patient;
use crate::problem::{Code, Problem};

/// Longest JSON body, in bytes: the largest field, `metadata`, has 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;

pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
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
pub(super) fn without_name(detail: &str) -> String {
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

/// Whether `Accept` has `media_type` in it.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(media_type))
}

/// Whether the `Content-Type` is `want`, with or without parameters.
pub(crate) fn is_type(headers: &HeaderMap, want: &str) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let found = found.and_then(|value| value.split(';').next());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(want))
}
