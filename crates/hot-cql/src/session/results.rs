//! Converts rows and errors of the driver.

use hot::HotError;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryRowsResult;

use super::Result;

/// The engines name other columns besides `[applied]`, and not the same ones: it is the first.
pub(super) fn applied(result: &QueryRowsResult) -> Result<bool> {
    use scylla::value::{CqlValue, Row};
    let row: Row = result.first_row().map_err(damaged)?;
    match row.columns.into_iter().next() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(applied),
        other => {
            Err(HotError::Damaged(format!("a conditional update was answered with {other:?}")))
        }
    }
}

/// A row that borrows nothing from the driver's answer.
pub(crate) trait OwnedRow: for<'f> DeserializeRow<'f, 'f> {}

impl<R: for<'f> DeserializeRow<'f, 'f>> OwnedRow for R {}

pub(crate) fn rows_of<R: OwnedRow>(result: QueryRowsResult) -> Result<Vec<R>> {
    let rows = result.rows::<R>().map_err(damaged)?;
    rows.collect::<std::result::Result<_, _>>().map_err(damaged)
}

pub(super) fn unread(error: ExecutionError) -> HotError {
    HotError::Unavailable(error.into())
}

pub(crate) fn damaged(error: impl std::fmt::Display) -> HotError {
    HotError::Damaged(error.to_string())
}
