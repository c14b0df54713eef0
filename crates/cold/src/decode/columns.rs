//! Typed columns of a batch. An error names the column and the row.

use std::fmt::Display;
use std::str::FromStr;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use coupon::calendar::Zone;
use coupon::time::Millis;

use super::{BadRow, bad};
use crate::encode::MICROS;

/// A column of text.
pub(crate) struct Texts<'a> {
    name: &'static str,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<&'a str, BadRow> {
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

/// A column of instants.
pub(crate) struct Instants<'a> {
    name: &'static str,
    values: &'a TimestampMicrosecondArray,
}

impl Instants<'_> {
    pub(super) fn get(&self, row: usize) -> Option<Millis> {
        self.values.is_valid(row).then(|| Millis(self.values.value(row).div_euclid(MICROS)))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<Millis, BadRow> {
        self.get(row).ok_or_else(|| bad(self.name, row, "missing"))
    }
}

/// A column of time zones. Nearly all rows of a batch have the same zone and a look-up by name is
/// expensive, so the first one is cached.
pub(super) struct Zones<'a> {
    names: Texts<'a>,
    first: Option<(&'a str, Zone)>,
}

impl<'a> Zones<'a> {
    pub(super) fn of(names: Texts<'a>) -> Result<Zones<'a>, BadRow> {
        let first = match names.values.is_empty() {
            true => None,
            false => Some((names.needed(0)?, names.parsed(0)?)),
        };
        Ok(Zones { names, first })
    }

    pub(super) fn get(&self, row: usize) -> Result<Zone, BadRow> {
        match &self.first {
            Some((name, zone)) if self.names.get(row) == Some(name) => Ok(zone.clone()),
            _ => self.names.parsed(row),
        }
    }
}

pub(super) fn column<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a ArrayRef, BadRow> {
    batch.column_by_name(name).ok_or_else(|| bad(name, 0, "missing"))
}

pub(crate) fn texts<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<Texts<'a>, BadRow> {
    as_texts(name, column(batch, name)?)
}

pub(super) fn as_texts<'a>(name: &'static str, column: &'a ArrayRef) -> Result<Texts<'a>, BadRow> {
    let values = column.as_string_opt::<i32>().ok_or_else(|| bad(name, 0, "no text"))?;
    Ok(Texts { name, values })
}

pub(crate) fn longs<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a Int64Array, BadRow> {
    as_longs(name, column(batch, name)?)
}

pub(super) fn as_longs<'a>(
    name: &'static str,
    column: &'a ArrayRef,
) -> Result<&'a Int64Array, BadRow> {
    column.as_primitive_opt::<Int64Type>().ok_or_else(|| bad(name, 0, "no number"))
}

pub(crate) fn instants<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<Instants<'a>, BadRow> {
    as_instants(name, column(batch, name)?)
}

pub(super) fn as_instants<'a>(
    name: &'static str,
    column: &'a ArrayRef,
) -> Result<Instants<'a>, BadRow> {
    let values = column
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| bad(name, 0, "no instant"))?;
    Ok(Instants { name, values })
}

pub(crate) fn unsigned(column: &'static str, row: usize, value: i64) -> Result<u64, BadRow> {
    u64::try_from(value).map_err(|_| bad(column, row, value))
}
