//! Trouble: why a page is not there.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{Failure, FieldFault};
use webhooks::WebhookError;

use crate::fields::FormFields;

/// What a handler answers, and what it asks on its way: a page, unless something is named.
pub(crate) type ConsoleResult<T = Response> = Result<T, ConsoleError>;

#[derive(Debug)]
pub(crate) enum ConsoleError {
    /// Nobody is signed in; the form that was sent, if one was.
    SignedOut(Option<FormFields>),
    Forbidden,
    /// Another site has sent the form.
    Foreign,
    TooLong,
    TooSlow,
    NotFound,
    Fields(Vec<FieldFault>),
    Failure(Failure),
    Webhook(WebhookError),
    /// This store does not keep what the page shows.
    NotKept,
    Busy,
    /// They have given as many coupons today as each person may.
    AllGiven,
    /// A mistake of ours; the log has it.
    Broken,
}

impl ConsoleError {
    pub(crate) fn field(name: &str, detail: impl Into<String>) -> ConsoleError {
        ConsoleError::Fields(vec![FieldFault::new(name, detail)])
    }
}

impl IntoResponse for ConsoleError {
    /// The guard writes the page: it knows the language.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<Failure> for ConsoleError {
    fn from(failure: Failure) -> ConsoleError {
        match failure {
            Failure::Invalid(faults) => ConsoleError::Fields(faults),
            other => ConsoleError::Failure(other),
        }
    }
}

impl From<WebhookError> for ConsoleError {
    fn from(error: WebhookError) -> ConsoleError {
        ConsoleError::Webhook(error)
    }
}
