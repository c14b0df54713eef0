//! The rows of the side table, decoded from its own files or from those of `coupons`.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Date32Type;
use coupon::ids::UserId;
use coupon::time::Day;

use super::HolderEntry;
use super::pieces::{Piece, has};
use crate::decode::{self, BadRow};

/// The columns of `coupons` that the side table repeats.
pub(crate) const REPEATED: &[&str] = &["code", "state", "version", "holder", "expires_at"];

/// An entry and its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) holder: UserId,
    pub(crate) entry: HolderEntry,
}

/// Decodes a batch of the side table.
pub(crate) fn held(batch: &RecordBatch) -> Result<Vec<Held>, BadRow> {
    let days =
        batch.column_by_name("expiry_day").and_then(|it| it.as_primitive_opt::<Date32Type>());
    let days = days.ok_or_else(|| decode::bad("expiry_day", 0, "no day"))?;
    let columns = Columns::of(batch)?;
    (0..batch.num_rows()).map(|row| columns.held(row, Day(days.value(row)))).collect()
}

/// The entries that a batch of `coupons` adds to the side table, for the holders in `piece`.
pub(crate) fn of_coupons(
    batch: &RecordBatch,
    day: Day,
    piece: &Piece,
) -> Result<Vec<Held>, BadRow> {
    let columns = Columns::of(batch)?;
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let holder: Option<UserId> = columns.holders.optional(row)?;
        if holder.is_some_and(|holder| has(piece, &holder)) {
            found.push(columns.held(row, day)?);
        }
    }
    Ok(found)
}

/// The columns that both tables have.
struct Columns<'a> {
    holders: decode::Texts<'a>,
    codes: decode::Texts<'a>,
    expires_at: decode::Instants<'a>,
    states: decode::Texts<'a>,
    versions: &'a Int64Array,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Columns<'a>, BadRow> {
        Ok(Columns {
            holders: decode::texts(batch, "holder")?,
            codes: decode::texts(batch, "code")?,
            expires_at: decode::instants(batch, "expires_at")?,
            states: decode::texts(batch, "state")?,
            versions: decode::longs(batch, "version")?,
        })
    }

    fn held(&self, row: usize, day: Day) -> Result<Held, BadRow> {
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
            version: decode::unsigned("version", row, self.versions.value(row))?,
            coupon: None,
        };
        Ok(Held { holder: self.holders.parsed(row)?, entry })
    }
}
