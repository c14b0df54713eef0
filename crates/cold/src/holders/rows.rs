//! The rows of the side table, decoded from its own files or from those of `coupons`.

use std::ops::RangeBounds;

use arrow::array::RecordBatch;
use coupon::code::Code;
use coupon::ids::UserId;
use coupon::time::Day;

use super::HolderEntry;
use super::pieces::HolderRange;
use crate::decode::{self, BadRow};

/// The columns of `coupons` that the side table repeats.
pub(crate) const REPEATED: &[&str] = &["code", "state", "version", "holder", "expires_at"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HolderRow {
    pub(crate) holder: UserId,
    pub(crate) entry: HolderEntry,
}

impl HolderRow {
    /// The sort key of a file of the side table.
    pub(crate) fn key(&self) -> (&UserId, &Code) {
        (&self.holder, &self.entry.code)
    }
}

pub(crate) fn held(batch: &RecordBatch) -> Result<Vec<HolderRow>, BadRow> {
    let (days, row_of) = (decode::days(batch)?, row_reader(batch)?);
    (0..batch.num_rows()).map(|row| row_of(row, Day(days.value(row)))).collect()
}

/// The entries that a batch of `coupons` adds to the side table, for the holders in `piece`.
pub(crate) fn of_coupons(
    batch: &RecordBatch,
    day: Day,
    piece: &HolderRange,
) -> Result<Vec<HolderRow>, BadRow> {
    let (holders, row_of) = (decode::texts(batch, "holder")?, row_reader(batch)?);
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let holder: Option<UserId> = holders.optional(row)?;
        if holder.is_some_and(|holder| piece.contains(&holder)) {
            found.push(row_of(row, day)?);
        }
    }
    Ok(found)
}

/// Reads a row of `batch`, of a coupon with a holder.
fn row_reader(
    batch: &RecordBatch,
) -> Result<impl Fn(usize, Day) -> Result<HolderRow, BadRow> + use<>, BadRow> {
    let holders = decode::texts(batch, "holder")?;
    let codes = decode::texts(batch, "code")?;
    let expires_at = decode::instants(batch, "expires_at")?;
    let states = decode::texts(batch, "state")?;
    let versions = decode::longs(batch, "version")?;
    Ok(move |row, day| {
        let state = match states.needed(row)? {
            "available" => "available",
            "issued" => "issued",
            "redeemed" => "redeemed",
            "void" => "void",
            other => return Err(decode::bad("state", row, format!("{other:?}"))),
        };
        let entry = HolderEntry {
            code: codes.parsed(row)?,
            day,
            expires_at: expires_at.needed(row)?,
            state,
            version: versions.unsigned(row)?,
            coupon: None,
        };
        Ok(HolderRow { holder: holders.parsed(row)?, entry })
    })
}
