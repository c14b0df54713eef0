//! What can go wrong.

use hot::HotError;

use crate::ENDPOINTS_MAX;
use crate::signature::SECRETS_MAX;

pub(crate) type Result<T> = std::result::Result<T, WebhookError>;

/// There is no client for HTTP.
#[derive(Debug, thiserror::Error)]
#[error("cannot post: {0}")]
pub struct OpenError(#[from] reqwest::Error);

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such webhook")]
    NotFound,
    /// The endpoint has no such delivery, or its time in the log is over.
    #[error("the webhook has no such delivery")]
    NoDelivery,
    #[error("a webhook of this name was made with other values")]
    NameTaken,
    #[error("{field} {why}")]
    Invalid {
        field: &'static str,
        /// Why, and what is wanted.
        why: String,
    },
    #[error("there are {ENDPOINTS_MAX} webhooks already: delete one")]
    TooMany,
    #[error(
        "the webhook has {SECRETS_MAX} secrets already: wait until one ends, or end the old ones now"
    )]
    TooManySecrets,
    #[error("too many webhooks are being tested: try again")]
    Busy,
    #[error("the system has no random numbers")]
    NoRandom,
    /// The store does not answer, and nothing was changed. Repeat the call.
    #[error("{0}")]
    Store(HotError),
    /// The change may have been made. Repeat the call with the same values.
    #[error("the change may have been made: {0}")]
    Unknown(Box<dyn std::error::Error + Send + Sync>),
}

impl From<HotError> for WebhookError {
    fn from(error: HotError) -> WebhookError {
        match error {
            HotError::Unknown(why) => WebhookError::Unknown(why),
            error => WebhookError::Store(error),
        }
    }
}
