//! Single columns: the only place where a column's text or number becomes a value of ours.

use std::fmt::Display;
use std::str::FromStr;

use coupon::time::Millis;
use rusqlite::{Result as SqlResult, Row};

use crate::failure::damaged;

pub(crate) fn parsed<T: FromStr<Err: Display>>(row: &Row<'_>, column: usize) -> SqlResult<T> {
    let name = || row.as_ref().column_name(column).unwrap_or("a column");
    row.get_ref(column)?.as_str()?.parse().map_err(|error| damaged(name(), error))
}

pub(crate) fn parsed_or_null<T: FromStr<Err: Display>>(
    row: &Row<'_>,
    column: usize,
) -> SqlResult<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|_| parsed(row, column)).transpose()
}

pub(crate) fn millis_or_null(row: &Row<'_>, column: usize) -> SqlResult<Option<Millis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Millis))
}

/// A count or a version, as it is stored: these stay far below 2^63.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> SqlResult<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
