//! Converts rows and errors of the driver.

use hot::HotError;
use scylla::deserialize::FrameSlice;
use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::errors::ExecutionError;
use scylla::response::query_result::{IntoRowsResultError, QueryResult};
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::value::{CqlValue, Row};

use crate::{BoundValue, Result, RowPage, StatementColumns};

/// The engines name other columns besides `[applied]`, and not the same ones: it is the first.
pub(crate) fn applied(rows: Vec<Row>) -> Result<bool> {
    match rows.into_iter().next().and_then(|row| row.columns.into_iter().next()) {
        Some(Some(CqlValue::Boolean(applied))) => Ok(applied),
        other => {
            Err(HotError::Damaged(format!("a conditional update was answered with {other:?}")))
        }
    }
}

/// A row that borrows nothing from the driver's answer.
pub trait OwnedRow: for<'f> DeserializeRow<'f, 'f> {}

impl<R: for<'f> DeserializeRow<'f, 'f>> OwnedRow for R {}

/// The rows of an answer; none of a write's.
///
/// # Errors
/// [`HotError::Damaged`] if the columns are not those of `R`.
pub fn rows_of<R: OwnedRow>(result: QueryResult) -> Result<Vec<R>> {
    let rows = match result.into_rows_result() {
        Err(IntoRowsResultError::ResultNotRows(_)) => return Ok(Vec::new()),
        rows => rows.map_err(damaged)?,
    };
    let rows = rows.rows::<R>().map_err(damaged)?;
    rows.collect::<std::result::Result<_, _>>().map_err(damaged)
}

pub(crate) fn bound(
    statement: &StatementColumns,
    values: &impl SerializeRow,
) -> Result<Vec<BoundValue>> {
    let mut bytes = Vec::new();
    let context = RowSerializationContext::from_specs(&statement.parameters);
    values.serialize(&context, &mut RowWriter::new(&mut bytes)).map_err(damaged)?;
    let (mut all, mut rest) = (Vec::with_capacity(statement.parameters.len()), bytes.as_slice());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        rest = after;
        all.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = rest.split_at(length);
                rest = after;
                BoundValue::Value(value.to_vec())
            }
            Err(_) if i32::from_be_bytes(*length) == UNSET => BoundValue::Unset,
            Err(_) => BoundValue::Null,
        });
    }
    Ok(all)
}

/// The length that the native protocol gives to a value which is not set.
const UNSET: i32 = -2;

/// The rows of a page that did not come from the driver.
pub(crate) fn rows_in<R: OwnedRow>(statement: &StatementColumns, page: &RowPage) -> Result<Vec<R>> {
    R::type_check(&statement.columns).map_err(damaged)?;
    let rows = page.rows.iter().map(|row| {
        let cells = FrameSlice::new_borrowed(row);
        R::deserialize(ColumnIterator::new(&statement.columns, cells)).map_err(damaged)
    });
    rows.collect()
}

pub(crate) fn unread(error: ExecutionError) -> HotError {
    HotError::Unavailable(error.into())
}

pub fn damaged(error: impl std::fmt::Display) -> HotError {
    HotError::Damaged(error.to_string())
}
