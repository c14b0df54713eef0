//! How a command ends if not well.

use std::fmt::Display;

pub(crate) type Result<T, E = BridgeError> = std::result::Result<T, E>;

/// Why a command ends, with a sentence for standard error.
#[derive(Debug)]
pub(crate) enum BridgeError {
    /// A flag cannot be used: exit code 2.
    Usage(String),
    /// It failed, and a person or a supervisor must act: exit code 1.
    Failed(String),
    /// A signal asked for the end while something was waited for: exit code 0.
    Stopped,
}

impl BridgeError {
    pub(crate) fn failed(what: impl Display, cause: impl Display) -> BridgeError {
        BridgeError::Failed(format!("{what}: {cause}"))
    }
}
