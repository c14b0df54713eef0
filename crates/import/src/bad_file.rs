//! Why a file cannot be read at all.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    #[error("{0}")]
    Kind(String),
    /// Why the first line refuses the whole file, and what to do about it.
    #[error("{0}")]
    Header(String),
}
