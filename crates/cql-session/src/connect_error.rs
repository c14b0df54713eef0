//! Why a connection to a cluster fails.

use scylla::errors::NewSessionError;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node answers; the call may be repeated.
    #[error("no node of the cluster answers: {0}")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keyspace is missing, or a table, a type, a column or a field in it; apply the schema.
    #[error("{0}: run `couponry schema apply --hot cql://…`")]
    Schema(String),
    /// A setting is wrong; correct it.
    #[error("{0}")]
    Setting(String),
    /// The clocks of this machine and of the cluster differ too much; set them right.
    #[error("{0}")]
    Clock(String),
    /// The keyspace has other copies than those for which a repair is confirmed.
    #[error("{0}")]
    Copies(String),
}

impl ConnectError {
    pub fn of(error: NewSessionError) -> ConnectError {
        match error {
            NewSessionError::UseKeyspaceError(error) => ConnectError::Schema(error.to_string()),
            error => ConnectError::Away(error.into()),
        }
    }
}
