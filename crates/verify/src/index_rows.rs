//! The index rows: whether each leads to a coupon, and their deletion if not.

use hot::inventory::{IndexRow, IndexRowKind, Item, Pages, RowIs, RowItem, Table};

use crate::finding::Note;
use crate::verifier::{RepairMode, Result, Verifier};

/// Index rows that are younger than this are never deleted: their coupon may be still to be written. No
/// write takes an hour.
const INDEX_ROW_AGE_MIN_MICROS: i64 = 3_600_000_000;

impl Verifier<'_> {
    pub(crate) async fn index_rows(&mut self) -> Result<()> {
        for kind in IndexRowKind::ALL {
            let mut pages = Pages::of(self.hot, Table::IndexRows(kind));
            while let Some(items) = pages.next().await? {
                let index_row = |item| if let Item::IndexRow(it) = item { Some(it) } else { None };
                let index_rows: Vec<_> = items.into_iter().filter_map(index_row).collect();
                self.report.index_rows += index_rows.len() as u64;
                self.index_rows_of(index_rows).await?;
                self.tick();
            }
        }
        Ok(())
    }

    async fn index_rows_of(&mut self, index_rows: Vec<IndexRow>) -> Result<()> {
        let too_many = self.leading_nowhere(index_rows).await?;
        too_many.iter().for_each(|_| self.note(Note::IndexRowTooMany));
        let now = self.now.0.saturating_mul(1_000);
        let is_old = |index_row: &IndexRow| {
            index_row.written_at < now.saturating_sub(INDEX_ROW_AGE_MIN_MICROS)
        };
        let old: Vec<IndexRow> = too_many.into_iter().filter(is_old).collect();
        if self.options.repair == RepairMode::Derived && !old.is_empty() {
            // Again, right before they are deleted.
            let old = self.leading_nowhere(old).await?;
            self.report.removed_index_rows += old.len() as u64;
            self.hot.remove_index_rows(old).await?;
        }
        Ok(())
    }

    /// The index rows whose coupon has no row that fits.
    async fn leading_nowhere(&self, index_rows: Vec<IndexRow>) -> Result<Vec<IndexRow>> {
        let spots =
            index_rows.iter().map(|index_row| (index_row.day, index_row.code.clone())).collect();
        let rows = self.hot.rows_at(spots).await?;
        let leads = |index_row: &IndexRow, rows: &[RowItem]| {
            rows.iter().any(|row| match &row.is {
                RowIs::Coupon { coupon, .. } => {
                    let is_theirs = match index_row.kind {
                        IndexRowKind::Wallet => coupon.holder() == index_row.user.as_ref(),
                        IndexRowKind::Expiring => true,
                    };
                    is_theirs && coupon.expires_at() == index_row.expires_at
                }
                // A row that cannot be read may be the coupon.
                RowIs::Unreadable(_) => true,
                RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => false,
            })
        };
        let pairs = index_rows.into_iter().zip(rows);
        Ok(pairs
            .filter_map(|(index_row, rows)| (!leads(&index_row, &rows)).then_some(index_row))
            .collect())
    }
}
