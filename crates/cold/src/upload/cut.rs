//! Where row groups end: the only place that chooses how many rows a row group has.

use crate::schema::GROUP_ROWS_MAX;

/// Rows of the first row group, from which the size of a row is estimated. Few, because rows may
/// have long histories.
const FIRST_ROWS: usize = 512;

/// Ends row groups so that each has about the number of bytes that a look-up should read. The size
/// of a row is estimated from the row group before, because the order of codes says nothing about
/// row sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowGroupCutter {
    pub(super) bytes: usize,
    /// Rows that the current row group will have.
    pub(super) rows: usize,
}

impl RowGroupCutter {
    pub(super) fn at(bytes: usize) -> RowGroupCutter {
        RowGroupCutter { bytes: bytes.max(1), rows: FIRST_ROWS }
    }

    /// Sets the number of rows for the next row group, after one of `rows` rows took `bytes`.
    pub(super) fn next(&mut self, rows: usize, bytes: usize) {
        let fit = rows as u128 * self.bytes as u128 / (bytes as u128).max(1);
        self.rows = usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, GROUP_ROWS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_cut_by_bytes() {
        let cases = [
            ("of the size wanted", 4_096, 100_000, 4_096),
            ("smaller rows", 4_096, 50_000, 8_192),
            ("larger rows", 4_096, 400_000, 1_024),
            ("tiny rows", 4_096, 10, GROUP_ROWS_MAX),
            ("a huge row", 1, 1_000_000, 1),
        ];
        for (name, rows, bytes, want) in cases {
            let mut cut = RowGroupCutter::at(100_000);
            cut.next(rows, bytes);
            assert_eq!(cut.rows, want, "{name}");
        }
    }
}
