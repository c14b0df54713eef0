//! A merge of sorted files: each row once, in its newest version.

use std::cmp::Ordering;

use coupon::coupon::Coupon;

use crate::cursor::{FileRows, RowQueue};
use crate::error::Result;

/// A row that a file has once, and that several files may have in several versions.
pub(crate) trait VersionedRow {
    fn order(&self, other: &Self) -> Ordering;

    fn version(&self) -> u64;
}

impl VersionedRow for Coupon {
    fn order(&self, other: &Coupon) -> Ordering {
        self.code().cmp(other.code())
    }

    fn version(&self) -> u64 {
        Coupon::version(self)
    }
}

pub(crate) struct RowMerge<T> {
    heads: Vec<RowQueue<T>>,
}

impl<T: VersionedRow + Send + 'static> RowMerge<T> {
    pub(crate) fn new(files: impl IntoIterator<Item = FileRows<T>>) -> RowMerge<T> {
        RowMerge { heads: files.into_iter().map(RowQueue::new).collect() }
    }

    /// The next row, in any of its versions.
    pub(crate) async fn peek(&mut self) -> Result<Option<&T>> {
        self.fill().await?;
        let rows = self.heads.iter().filter_map(|head| head.rows.front());
        Ok(rows.min_by(|one, other| one.order(other)))
    }

    /// The next row, in its newest version.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        self.fill().await?;
        let heads = self.heads.iter_mut();
        let first = heads.min_by(|one, other| one.rows[0].order(&other.rows[0]));
        let Some(mut newest) = first.and_then(|head| head.rows.pop_front()) else {
            return Ok(None);
        };
        for head in &mut self.heads {
            let same = head.rows.pop_front_if(|row| row.order(&newest) == Ordering::Equal);
            if let Some(row) = same.filter(|row| row.version() > newest.version()) {
                newest = row;
            }
        }
        Ok(Some(newest))
    }

    /// Reads on where all rows of a batch were taken, and removes the files that have ended. After
    /// this each head has a row.
    async fn fill(&mut self) -> Result<()> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if head.fill().await? { at += 1 } else { drop(self.heads.swap_remove(at)) }
        }
        Ok(())
    }
}
