//! One function a route: extract, call the engine, answer.

pub(crate) mod accounts;
pub(crate) mod batches;
pub(crate) mod campaigns;
pub(crate) mod coupons;
pub(crate) mod health;
pub(crate) mod lists;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Done;
use serde::Serialize;

/// More than most answers have, so that their text is written into one piece of memory.
const BODY_BYTES: usize = 1_024;

/// JSON with status 200.
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// JSON with 201 for what was done now, 200 for what was done before.
pub(crate) struct Made<T>(pub(crate) Done<T>);

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Done::Created(it) => json(StatusCode::CREATED, &it),
            Done::Same(it) => json(StatusCode::OK, &it),
        }
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut text = Vec::with_capacity(BODY_BYTES);
    if let Err(error) = serde_json::to_writer(&mut text, body) {
        tracing::error!(error = %error, "an answer is no JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, kind, Body::from(text)).into_response()
}
