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
    let (days, columns) = (decode::days(batch)?, HolderColumns::of(batch)?);
    (0..batch.num_rows()).map(|row| columns.held(row, Day(days.value(row)))).collect()
}

/// The entries that a batch of `coupons` adds to the side table, for the holders in `piece`.
pub(crate) fn of_coupons(
    batch: &RecordBatch,
    day: Day,
    piece: &HolderRange,
) -> Result<Vec<HolderRow>, BadRow> {
    let columns = HolderColumns::of(batch)?;
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let holder: Option<UserId> = columns.holders.optional(row)?;
        if holder.is_some_and(|holder| piece.contains(&holder)) {
            found.push(columns.held(row, day)?);
        }
    }
    Ok(found)
}

struct HolderColumns {
    holders: decode::TextColumn,
    codes: decode::TextColumn,
    expires_at: decode::InstantColumn,
    states: decode::TextColumn,
    versions: decode::LongColumn,
}

impl HolderColumns {
    fn of(batch: &RecordBatch) -> Result<HolderColumns, BadRow> {
        Ok(HolderColumns {
            holders: decode::texts(batch, "holder")?,
            codes: decode::texts(batch, "code")?,
            expires_at: decode::instants(batch, "expires_at")?,
            states: decode::texts(batch, "state")?,
            versions: decode::longs(batch, "version")?,
        })
    }

    fn held(&self, row: usize, day: Day) -> Result<HolderRow, BadRow> {
        let state = match self.states.needed(row)? {
            "available" => "available",
            "issued" => "issued",
            "redeemed" => "redeemed",
            "void" => "void",
            other => return Err(decode::bad("state", row, format!("{other:?}"))),
        };
        let entry = HolderEntry {
            code: self.codes.parsed(row)?,
            day,
            expires_at: self.expires_at.needed(row)?,
            state,
            version: self.versions.unsigned(row)?,
            coupon: None,
        };
        Ok(HolderRow { holder: self.holders.parsed(row)?, entry })
    }
}
