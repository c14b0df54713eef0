//! How a command ends if not well.

use std::fmt::Display;

/// Why a command ends: a sentence for standard error, and an exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// A flag cannot be used: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It failed, and a person or a supervisor must act: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl BridgeError {
    pub(crate) fn failed(what: impl Display, cause: impl Display) -> BridgeError {
        BridgeError::Failed(format!("{what}: {cause}"))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            BridgeError::Usage(_) => 2,
            BridgeError::Failed(_) => 1,
        }
    }
}
