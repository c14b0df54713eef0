//! Counts in columns: the only place where an unsigned number becomes SQLite's signed one.

/// Versions and counts stay far below 2^63.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
