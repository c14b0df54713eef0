//! What the side table and `coupons` both say about a coupon, and sums over such rows.

use std::ops::Bound;

use arrow::array::RecordBatch;
use coupon::time::{Day, Millis};
use xxhash_rust::xxh3::xxh3_128;

use crate::decode::BadRow;
use crate::holders::{self, Held, HolderEntry};

/// What both tables say about a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SideRow {
    pub(super) holder: String,
    pub(super) code: String,
    day: Day,
    expires_at: Millis,
    state: &'static str,
    version: u64,
}

impl SideRow {
    /// The sort key of a file of the side table.
    pub(super) fn key(&self) -> (&str, &str) {
        (self.holder.as_str(), self.code.as_str())
    }

    pub(super) fn hash(&self) -> u128 {
        let SideRow { holder, code, day, expires_at, state, version } = self;
        let text = format!(
            "{holder}\u{1f}{code}\u{1f}{}\u{1f}{}\u{1f}{state}\u{1f}{version}",
            day.0, expires_at.0
        );
        xxh3_128(text.as_bytes())
    }
}

/// A number of rows, and the sum of their hashes; the order of the rows does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    hash: u128,
}

impl Sum {
    pub(super) fn add(&mut self, row: &SideRow) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(row.hash());
    }
}

/// The rows that a batch of `coupons` adds to the side table: those with a holder.
pub(super) fn of_coupons(batch: &RecordBatch, day: Day) -> Result<Vec<SideRow>, BadRow> {
    let held = holders::of_coupons(batch, day, &(Bound::Unbounded, Bound::Unbounded))?;
    Ok(held.into_iter().map(SideRow::of).collect())
}

/// Decodes a batch of the side table.
pub(super) fn of_side(batch: &RecordBatch) -> Result<Vec<SideRow>, BadRow> {
    Ok(holders::held(batch)?.into_iter().map(SideRow::of).collect())
}

impl SideRow {
    fn of(held: Held) -> SideRow {
        let HolderEntry { code, day, expires_at, state, version, .. } = held.entry;
        let (holder, code) = (held.holder.to_string(), code.to_string());
        SideRow { holder, code, day, expires_at, state, version }
    }
}
