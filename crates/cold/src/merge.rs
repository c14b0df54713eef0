//! A merge of sorted files: each row once, in its newest version.

use std::cmp::Ordering;
use std::collections::VecDeque;

use coupon::coupon::Coupon;

use crate::cursor::FileRows;
use crate::error::ColdError;

/// A row that a file has once, and that several files may have in several versions.
pub(crate) trait VersionedRow {
    /// The order of the rows of a file.
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
    heads: Vec<MergeHead<T>>,
}

struct MergeHead<T> {
    file: FileRows<T>,
    rows: VecDeque<T>,
}

impl<T: VersionedRow + Send + 'static> RowMerge<T> {
    pub(crate) fn new(files: impl IntoIterator<Item = FileRows<T>>) -> RowMerge<T> {
        let head = |file| MergeHead { file, rows: VecDeque::new() };
        RowMerge { heads: files.into_iter().map(head).collect() }
    }

    /// The next row, in any of its versions.
    pub(crate) async fn peek(&mut self) -> Result<Option<&T>, ColdError> {
        self.fill().await?;
        let rows = self.heads.iter().filter_map(|head| head.rows.front());
        Ok(rows.min_by(|one, other| one.order(other)))
    }

    /// The next row, in its newest version.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, ColdError> {
        self.fill().await?;
        let first = self.heads.iter_mut().min_by(|one, other| one.order(other));
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

    /// Reads on where all rows of a batch were taken, and removes the files that have ended.
    async fn fill(&mut self) -> Result<(), ColdError> {
        let mut at = 0;
        while let Some(head) = self.heads.get_mut(at) {
            if !head.rows.is_empty() {
                at += 1;
                continue;
            }
            match head.file.next().await? {
                Some(rows) => head.rows = rows.into(),
                None => drop(self.heads.swap_remove(at)),
            }
        }
        Ok(())
    }
}

impl<T: VersionedRow> MergeHead<T> {
    fn order(&self, other: &MergeHead<T>) -> Ordering {
        match (self.rows.front(), other.rows.front()) {
            (Some(row), Some(other)) => row.order(other),
            (row, other) => other.is_some().cmp(&row.is_some()),
        }
    }
}
