//! The errors of a hot store. Each says whether something was written, and so what the caller may do.

use std::error::Error;

pub(crate) type Result<T, E = HotError> = std::result::Result<T, E>;

/// A call that has no answer. A refusal by the rules is an answer, never an error.
#[derive(Debug, thiserror::Error)]
pub enum HotError {
    /// Nothing was written; the call may be repeated later.
    #[error("the hot store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Too many callers wait already; nothing was written.
    #[error("{waiting} writes are waiting already")]
    Overloaded { waiting: usize },
    /// The disk is full, nearly full or read-only; nothing was written, and reads go on.
    #[error("the hot store cannot be written: {0}")]
    Full(String),
    /// The write may or may not have happened; repeat it with the same names.
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
    /// The coupon lies in cold, and cold does not answer; nothing was written.
    #[error("the cold tier is unavailable: {0}")]
    Cold(#[source] Box<dyn Error + Send + Sync>),
    /// A row does not read as what was written; a person must look.
    #[error("the hot store is damaged: {0}")]
    Damaged(String),
}

/// The text of the last error of the chain, which says why.
pub fn cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    last.to_string()
}
