//! What can go wrong.

use crate::{ENDPOINTS_MAX, SECRETS_MAX};

/// Errors of the file, as SQLite reports them.
pub type FileError = rusqlite::Error;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("the file of webhooks: {0}")]
    File(#[from] std::io::Error),
    /// SQLite says no.
    #[error("the file of webhooks: {0}")]
    Sqlite(#[from] FileError),
    /// It is of a newer release.
    #[error("the file of webhooks has version {found}, this release knows {want}: use a newer one")]
    Version {
        /// What it says.
        found: i64,
        /// What this release knows.
        want: i64,
    },
    /// The HTTP client cannot be made.
    #[error("cannot post: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no such endpoint.
    #[error("there is no such webhook")]
    NotFound,
    /// The endpoint has no such delivery, or its time in the log is over.
    #[error("the webhook has no such delivery")]
    NoDelivery,
    /// An endpoint of this name was made with other values.
    #[error("a webhook of this name was made with other values")]
    NameTaken,
    /// A value is not accepted.
    #[error("{field} {why}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// Why, and what is wanted.
        why: String,
    },
    /// There are [`ENDPOINTS_MAX`] endpoints.
    #[error("there are {ENDPOINTS_MAX} webhooks already: delete one")]
    TooMany,
    /// The endpoint has [`SECRETS_MAX`] secrets.
    #[error(
        "the webhook has {SECRETS_MAX} secrets already: wait until one ends, or end the old ones now"
    )]
    TooManySecrets,
    /// Too many calls of `test` wait for their receivers.
    #[error("too many webhooks are being tested: try again")]
    Busy,
    /// The system has no random numbers, of which secrets are made.
    #[error("the system has no random numbers")]
    NoRandom,
    /// The process ends.
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
