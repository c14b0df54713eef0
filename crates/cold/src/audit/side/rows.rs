//! Sums over what the side table and `coupons` both say about coupons.

use xxhash_rust::xxh3::xxh3_128;

use crate::holders::{HolderEntry, HolderRow};

pub(super) fn hash(row: &HolderRow) -> u128 {
    let HolderEntry { code, day, expires_at, state, version, .. } = &row.entry;
    let text = format!(
        "{}\u{1f}{code}\u{1f}{}\u{1f}{}\u{1f}{state}\u{1f}{version}",
        row.holder, day.0, expires_at.0
    );
    xxh3_128(text.as_bytes())
}

/// A number of rows, and the sum of their hashes; the order of the rows does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowSum {
    pub(super) rows: u64,
    hash: u128,
}

impl RowSum {
    pub(super) fn add(&mut self, row: &HolderRow) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(hash(row));
    }
}
