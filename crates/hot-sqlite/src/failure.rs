//! From SQLite's error codes to what the caller may do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::ErrorCode;

use hot::HotError;

/// Why a job cannot go on with what stands here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Elsewhere {
    /// What it needs lies in cold and has not been fetched yet.
    #[error("a coupon lies in cold")]
    Wanted,
    /// It should lie in cold, and does not.
    #[error("{0} was moved to cold and is not there")]
    Missing(String),
}

impl From<Elsewhere> for rusqlite::Error {
    fn from(why: Elsewhere) -> rusqlite::Error {
        rusqlite::Error::ToSqlConversionFailure(Box::new(why))
    }
}

/// Whether an error says that something lies elsewhere.
pub(super) fn elsewhere(error: &rusqlite::Error) -> Option<&Elsewhere> {
    match error {
        rusqlite::Error::ToSqlConversionFailure(why) => why.downcast_ref(),
        _ => None,
    }
}

/// A statement before the commit failed: nothing of its transaction was written.
pub(super) fn before_commit(error: rusqlite::Error) -> HotError {
    if let Some(why) = elsewhere(&error) {
        return HotError::Cold(why.to_string().into());
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            HotError::Full(error.to_string())
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged,
        ) => HotError::Unavailable(Box::new(error)),
        // A row that is not what it should be, said by SQLite or, without a code, by us.
        Some(_) | None => HotError::Damaged(error.to_string()),
    }
}

/// The commit failed. Where the log could not be extended nothing was written; where it could
/// not be synced the group may be found after a restart, or may not.
pub(super) fn at_commit(error: rusqlite::Error) -> HotError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => HotError::Full(error.to_string()),
        _ => HotError::Unknown(Box::new(error)),
    }
}

/// A row does not hold what this release wrote.
pub(super) fn damaged(column: &str, why: impl std::fmt::Display) -> rusqlite::Error {
    // Of rusqlite's errors the one that prints nothing but what it is given.
    rusqlite::Error::ToSqlConversionFailure(format!("{column}: {why}").into())
}

/// What `body` returns. Its panic is its caller's error: the thread and the connection that it
/// ran on serve all others.
pub(super) fn caught<T>(body: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(damaged("a transaction", "it panicked, see the log")))
}
