//! Errors: the only place that turns SQLite's error codes into what the caller may do.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hot::HotError;
use rusqlite::{ErrorCode, Result as SqlResult};

/// Why a job cannot go on with what is in this file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColdMiss {
    /// It needs a coupon of cold that has not been fetched yet.
    #[error("a coupon is in cold")]
    Wanted,
    #[error("{0} was archived and is not in cold")]
    Missing(String),
}

/// Nothing is wrong, and one job cannot be done at the moment.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotNow(pub(crate) &'static str);

/// Something of ours in place of an error of SQLite. This one of rusqlite's errors prints only what it is given.
pub(crate) fn ours(why: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(why.into())
}

pub(crate) fn not_now(error: &rusqlite::Error) -> Option<&NotNow> {
    cause(error)
}

pub(crate) fn elsewhere(error: &rusqlite::Error) -> Option<&ColdMiss> {
    cause(error)
}

/// What a job of ours has said in place of an error of SQLite.
fn cause<T: Error + 'static>(error: &rusqlite::Error) -> Option<&T> {
    match error {
        rusqlite::Error::ToSqlConversionFailure(why) => why.downcast_ref(),
        _ => None,
    }
}

/// A statement before the commit failed: nothing of its transaction was written.
pub(crate) fn before_commit(error: rusqlite::Error) -> HotError {
    if let Some(why) = elsewhere(&error) {
        return HotError::Cold(why.to_string().into());
    }
    if let Some(why) = not_now(&error) {
        return HotError::Unavailable(why.to_string().into());
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
        // A damaged row: SQLite says so with a code, we without one.
        Some(_) | None => HotError::Damaged(error.to_string()),
    }
}

/// The commit failed. If the log could not be extended, nothing was written. If it could not be
/// synced, the group may or may not be there after a restart.
pub(crate) fn at_commit(error: rusqlite::Error) -> HotError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => HotError::Full(error.to_string()),
        _ => HotError::Unknown(Box::new(error)),
    }
}

/// A row is not as a release of ours wrote it.
pub(crate) fn damaged(column: &str, why: impl std::fmt::Display) -> rusqlite::Error {
    ours(format!("{column}: {why}"))
}

/// Runs `body`, and makes an error of a panic: other callers need the thread and the connection.
pub(crate) fn caught<T>(body: impl FnOnce() -> SqlResult<T>) -> SqlResult<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(damaged("a transaction", "it panicked, see the log")))
}
