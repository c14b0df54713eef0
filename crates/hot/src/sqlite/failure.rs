//! From SQLite's error codes to what the caller may do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::ErrorCode;

use crate::HotError;

/// A statement before the commit failed: nothing of its transaction was written.
pub(super) fn before_commit(error: rusqlite::Error) -> HotError {
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
