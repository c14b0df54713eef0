//! What can go wrong.

use crate::{ENDPOINTS_MAX, SECRETS_MAX};

/// Errors of the file, as SQLite reports them.
pub type FileError = rusqlite::Error;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the file of webhooks: {0}")]
    File(#[from] std::io::Error),
    #[error("the file of webhooks: {0}")]
    Sqlite(#[from] FileError),
    #[error("the file of webhooks has version {found}, this release knows {want}: use a newer one")]
    Version { found: i64, want: i64 },
    #[error("cannot post: {0}")]
    Client(#[from] reqwest::Error),
}

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
    #[error("the process ends")]
    Ending,
    /// The cluster does not answer, and nothing was changed. Repeat the call.
    #[error("the cluster: {0}")]
    Cluster(Box<dyn std::error::Error + Send + Sync>),
    /// The change may have been made. Repeat the call with the same values.
    #[error("the change may have been made: {0}")]
    Unknown(Box<dyn std::error::Error + Send + Sync>),
    /// The file does not answer, or takes no writes. Repeat the call.
    #[error("the file of webhooks: {0}")]
    File(#[from] FileError),
}
