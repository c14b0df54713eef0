//! Conversions between CQL values and the types of `coupon` that every table needs.

use std::str::FromStr;

use coupon::ids::OperationId;
use coupon::time::{Day, Millis};
use hot::HotError;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use crate::Result;

/// CQL counts its days from the lowest date: 1970-01-01 is the middle of the range.
const EPOCH: u32 = 1 << 31;

pub fn date(day: Day) -> CqlDate {
    CqlDate(EPOCH.wrapping_add_signed(day.0))
}

pub fn day(date: CqlDate) -> Day {
    Day(date.0.wrapping_sub(EPOCH).cast_signed())
}

pub fn instant(at: Millis) -> CqlTimestamp {
    CqlTimestamp(at.0)
}

pub fn millis(at: CqlTimestamp) -> Millis {
    Millis(at.0)
}

pub fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub fn uuid(operation: OperationId) -> Uuid {
    Uuid::from_u128(operation.0)
}

/// # Errors
/// [`HotError::Damaged`] with the name of the column.
pub fn parsed<T>(column: &str, text: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why| HotError::Damaged(format!("{column}: {why}")))
}
