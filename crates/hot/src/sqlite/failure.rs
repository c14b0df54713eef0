//! From SQLite's error codes to what the caller may do.

use rusqlite::ErrorCode;

use crate::HotError;

/// A statement before the commit failed: nothing of its transaction was written.
pub(super) fn before_commit(error: rusqlite::Error) -> HotError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            HotError::Full(error.to_string())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            HotError::Damaged(error.to_string())
        }
        Some(_) => HotError::Unavailable(Box::new(error)),
        // Not SQLite's word but ours about a row: a column that does not decode.
        None => HotError::Damaged(error.to_string()),
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
    rusqlite::Error::InvalidColumnName(format!("{column}: {why}"))
}
