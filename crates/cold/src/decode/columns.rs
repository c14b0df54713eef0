//! Typed columns of a batch. An error names the column and the row.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use coupon::calendar::Zone;
use coupon::time::Millis;

use super::{BadRow, bad};
use crate::schema::{self, MICROS};

pub(crate) struct TypedColumn<A> {
    name: &'static str,
    pub(super) values: A,
}

impl TypedColumn<StringArray> {
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<&str, BadRow> {
        self.get(row).ok_or_else(|| bad(self.name, row, "missing"))
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, row: usize) -> Result<T, BadRow> {
        self.needed(row)?.parse().map_err(|error: T::Err| bad(self.name, row, error))
    }

    pub(crate) fn optional<T: FromStr<Err: Display>>(
        &self,
        row: usize,
    ) -> Result<Option<T>, BadRow> {
        self.get(row).map(|_| self.parsed(row)).transpose()
    }
}

impl TypedColumn<TimestampMicrosecondArray> {
    pub(crate) fn get(&self, row: usize) -> Option<Millis> {
        self.values.is_valid(row).then(|| Millis(self.values.value(row).div_euclid(MICROS)))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<Millis, BadRow> {
        self.get(row).ok_or_else(|| bad(self.name, row, "missing"))
    }
}

impl TypedColumn<Int64Array> {
    pub(super) fn get(&self, row: usize) -> i64 {
        self.values.value(row)
    }

    pub(crate) fn amount(&self, row: usize) -> Result<Option<u64>, BadRow> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        self.unsigned(row).map(Some)
    }

    pub(crate) fn unsigned(&self, row: usize) -> Result<u64, BadRow> {
        u64::try_from(self.get(row)).map_err(|_| bad(self.name, row, self.get(row)))
    }
}

/// A column of time zones. Nearly all rows of a batch have the same zone and a look-up by name is
/// expensive, so the first one is cached.
pub(super) struct ZoneColumn {
    names: TypedColumn<StringArray>,
    first: Option<Zone>,
}

impl ZoneColumn {
    pub(super) fn of(names: TypedColumn<StringArray>) -> Result<ZoneColumn, BadRow> {
        let first = if names.values.is_empty() { None } else { Some(names.parsed(0)?) };
        Ok(ZoneColumn { names, first })
    }

    pub(super) fn get(&self, row: usize) -> Result<Zone, BadRow> {
        match &self.first {
            Some(zone) if self.names.get(row) == self.names.get(0) => Ok(zone.clone()),
            _ => self.names.parsed(row),
        }
    }
}

/// A column of a batch, or of the fields of its events: then `path` begins with `events.`. In a file
/// of an earlier release, a column that was added later is null.
pub(super) fn column<A: Clone + 'static>(
    batch: &RecordBatch,
    path: &'static str,
    otherwise: &str,
) -> Result<TypedColumn<A>, BadRow> {
    let name = path.strip_prefix("events.").unwrap_or(path);
    let column = match batch.column_by_name(name) {
        Some(column) => Arc::clone(column),
        None => schema::nulls(path, batch.num_rows()).ok_or_else(|| bad(path, 0, "missing"))?,
    };
    let values = column.as_any().downcast_ref::<A>().cloned();
    let values = values.ok_or_else(|| bad(path, 0, otherwise))?;
    Ok(TypedColumn { name: path, values })
}

pub(crate) fn texts(
    batch: &RecordBatch,
    name: &'static str,
) -> Result<TypedColumn<StringArray>, BadRow> {
    column(batch, name, "no text")
}

pub(crate) fn longs(
    batch: &RecordBatch,
    name: &'static str,
) -> Result<TypedColumn<Int64Array>, BadRow> {
    column(batch, name, "no number")
}

pub(crate) fn instants(
    batch: &RecordBatch,
    name: &'static str,
) -> Result<TypedColumn<TimestampMicrosecondArray>, BadRow> {
    column(batch, name, "no instant")
}

pub(crate) fn days(batch: &RecordBatch) -> Result<Date32Array, BadRow> {
    Ok(column(batch, "expiry_day", "no day")?.values)
}
