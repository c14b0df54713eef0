//! Answers: JSON with 200, or 201 for what was created now, and streams.

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::{Failure, WriteResult};
use futures::stream::{BoxStream, StreamExt};
use serde::Serialize;
use server::compress::{LONG_BYTES, SharedCompression};

/// More than most answers have, so that their text is written into one piece of memory.
const BODY_BYTES: usize = 1_024;

/// Says that the answer is that of an earlier request.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(crate) struct JsonAnswer<T> {
    pub(crate) status: StatusCode,
    /// Whether it is the answer to an earlier request.
    pub(crate) replayed: bool,
    pub(crate) body: T,
}

impl<T> JsonAnswer<T> {
    pub(crate) fn ok(body: T) -> JsonAnswer<T> {
        JsonAnswer { status: StatusCode::OK, replayed: false, body }
    }

    /// 201 for what was done now, 200 for what was done before.
    pub(crate) fn created(done: WriteResult<T>) -> JsonAnswer<T> {
        match done {
            WriteResult::Created(body) => {
                JsonAnswer { status: StatusCode::CREATED, replayed: false, body }
            }
            WriteResult::Same(body) => JsonAnswer { replayed: true, ..JsonAnswer::ok(body) },
        }
    }

    /// 200 for a change that makes nothing new, done now or before.
    pub(crate) fn changed(done: WriteResult<T>) -> JsonAnswer<T> {
        JsonAnswer { status: StatusCode::OK, ..JsonAnswer::created(done) }
    }
}

impl<T: Serialize> IntoResponse for JsonAnswer<T> {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body);
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

pub(crate) fn json_text(body: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut text, body).map(|()| text)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = match json_text(body) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(error = %error, "an answer is no JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let is_long = text.len() >= LONG_BYTES;
    let response = (status, kind, Body::from(text)).into_response();
    match is_long {
        true => (Extension(SharedCompression::default()), response).into_response(),
        false => response,
    }
}

pub(crate) fn csv(rows: BoxStream<'static, Result<String, Failure>>) -> Response {
    streamed("text/csv; charset=utf-8", rows)
}

/// A failure in the middle breaks the connection, so that nobody takes it for the end.
pub(crate) fn streamed(
    kind: &'static str,
    pieces: BoxStream<'static, Result<String, Failure>>,
) -> Response {
    let pieces = pieces.map(|piece| piece.map_err(|failure| format!("{failure:?}")));
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    (kind, Body::from_stream(pieces)).into_response()
}
