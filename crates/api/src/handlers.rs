//! One function a route: extract, call the engine, answer.

pub(crate) mod accounts;
pub(crate) mod batches;
pub(crate) mod campaigns;
pub(crate) mod coupons;
pub(crate) mod health;
pub(crate) mod lists;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::Done;
use serde::Serialize;

/// JSON with status 200.
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// JSON with 201 for what was done now, 200 for what was done before.
pub(crate) struct Made<T>(pub(crate) Done<T>);

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Done::Created(it) => (StatusCode::CREATED, axum::Json(it)).into_response(),
            Done::Same(it) => (StatusCode::OK, axum::Json(it)).into_response(),
        }
    }
}
