//! The body of a request: JSON within its limits, and what is wrong with it in our own words.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use coupon::language::weight;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::patient;
use utoipa::ToSchema;

use super::said;
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;

/// Longest JSON body, in bytes: the largest field, `metadata`, has 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 << 10;

pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        if !is_type(request.headers(), "application/json") {
            let detail = "send the body as JSON, with one `Content-Type: application/json`";
            return Err(Problem::new(ApiErrorCode::UnsupportedMediaType, detail));
        }
        json_of(&whole_body(request, BODY_BYTES_MAX).await?).map(Json)
    }
}

/// The body, if it is not encoded, has no more bytes and comes in time.
pub(crate) async fn whole_body(request: Request, bytes_max: usize) -> Result<Bytes> {
    not_encoded(request.headers())?;
    let body = patient::timeout(BODY_TIMEOUT, whole(request.into_body(), bytes_max)).await;
    body.ok_or_else(|| {
        let seconds = BODY_TIMEOUT.as_secs();
        Problem::new(ApiErrorCode::Timeout, format!("the body took more than {seconds} s"))
    })?
}

pub(crate) fn json_of<T: DeserializeOwned + ToSchema>(body: &[u8]) -> Result<T> {
    let of_body = |detail| Err(Problem::of_field("body", detail));
    match body.trim_ascii_start().first() {
        None => return of_body("is empty, want a JSON object"),
        // serde would take it for the values of the fields, in the order of our source.
        Some(b'[') => return of_body("is a list, want an object"),
        Some(_) => {}
    }
    let limits = |field: &str| property::<T>(field).unwrap_or_default();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader);
    let value = value.map_err(|error| {
        let path = error.path().to_string();
        Problem::invalid(vec![said::of_body(&path, error.inner(), limits)])
    })?;
    let end = reader.end();
    end.map_err(|error| Problem::invalid(vec![said::of_body(".", &error, limits)]))?;
    Ok(value)
}

fn property<T: ToSchema>(field: &str) -> Option<Value> {
    let mut schema = serde_json::to_value(T::schema()).ok()?;
    schema.get_mut("properties")?.get_mut(field).map(Value::take)
}

async fn whole(body: Body, bytes_max: usize) -> Result<Bytes> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| Problem::new(ApiErrorCode::Invalid, error.to_string()))?;
        if whole.len() + chunk.len() > bytes_max {
            let detail = format!("the body has more than {bytes_max} bytes");
            return Err(Problem::new(ApiErrorCode::TooLarge, detail));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Whether `Accept` names `media_type`, and not JSON with more weight, or before it with the same (RFC 9110, section
/// 12.5.1): a generated client names all types that a call has.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut wanted = ("", 0.0);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find(|it| it.starts_with(['q', 'Q'])).map_or(1.0, weight);
        let is_had =
            [media_type, "application/json"].iter().any(|it| it.eq_ignore_ascii_case(name));
        if is_had && weight > wanted.1 {
            wanted = (name, weight);
        }
    }
    wanted.0.eq_ignore_ascii_case(media_type)
}

/// Whether the `Content-Type` is `want`, with or without parameters. With two of them it is none.
pub(crate) fn is_type(headers: &HeaderMap, want: &str) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let found = lines.next().filter(|_| lines.next().is_none()).and_then(|it| it.to_str().ok());
    let found = found.and_then(|value| value.split(';').next());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(want))
}

/// Refuses a body with a `Content-Encoding`: nothing here decodes one.
pub(crate) fn not_encoded(headers: &HeaderMap) -> Result<()> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "send the body as it is, without `Content-Encoding`: the server decodes none";
    Err(Problem::new(ApiErrorCode::UnsupportedMediaType, detail))
}
