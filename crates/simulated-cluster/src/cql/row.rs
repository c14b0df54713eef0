//! A row as a replica keeps it: its cells and deletions, each with its write time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::types::CqlType;

/// A column by its place in its table, and the sortable bytes of the key of an element; empty for a
/// column without elements.
type CellKey = (usize, Vec<u8>);

/// What one write said of a cell. Of two the greater one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplicaCell {
    pub(crate) written: i64,
    pub(crate) content: CellContent,
}

/// Of two writes of one time the greater one counts: a deletion before a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CellContent {
    Value(Arc<[u8]>),
    /// Until this second.
    Expiring(i64, Arc<[u8]>),
    Deleted,
}

/// A row, or the static columns of a partition. No part of it is hidden by one of its deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaRow {
    /// When the row was inserted: it is there without any cell.
    marker: Option<i64>,
    /// Deletes what was written by then.
    deletion: Option<i64>,
    /// Of a column with elements: deletes those that were written by then.
    elements_deleted: BTreeMap<usize, i64>,
    cells: BTreeMap<CellKey, ReplicaCell>,
}

impl ReplicaCell {
    /// The value of a cell that is neither deleted nor expired.
    fn value(&self, now_s: i64) -> Option<&[u8]> {
        match &self.content {
            CellContent::Value(value) => Some(value),
            CellContent::Expiring(until_s, value) if now_s < *until_s => Some(value),
            CellContent::Expiring(..) | CellContent::Deleted => None,
        }
    }
}

impl ReplicaRow {
    /// A row that was inserted, without any cell yet.
    pub(crate) fn inserted(at: i64) -> ReplicaRow {
        ReplicaRow { marker: Some(at), ..ReplicaRow::default() }
    }

    /// A row that was deleted.
    pub(crate) fn deleted(at: i64) -> ReplicaRow {
        ReplicaRow { deletion: Some(at), ..ReplicaRow::default() }
    }

    /// Whether no write has left anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.marker.is_none()
            && self.deletion.is_none()
            && self.elements_deleted.is_empty()
            && self.cells.is_empty()
    }

    /// Whether a read shows it.
    pub(crate) fn is_live(&self, now_s: i64) -> bool {
        self.marker.is_some() || self.cells.values().any(|cell| cell.value(now_s).is_some())
    }

    /// What a read passes that is no value: deletions, and values that have expired.
    pub(crate) fn tombstones(&self, now_s: i64) -> usize {
        let dead = self.cells.values().filter(|cell| cell.value(now_s).is_none()).count();
        usize::from(self.deletion.is_some()) + self.elements_deleted.len() + dead
    }

    /// Drops all of these; whether anything is left.
    pub(crate) fn purge(&mut self, now_s: i64) -> bool {
        self.deletion = None;
        self.elements_deleted.clear();
        self.cells.retain(|_, cell| cell.value(now_s).is_some());
        !self.is_empty()
    }

    /// Puts a cell. For a row that one statement makes: nothing in it is older.
    pub(crate) fn put(&mut self, column: usize, element: Vec<u8>, cell: ReplicaCell) {
        self.cells.insert((column, element), cell);
    }

    pub(crate) fn delete_elements(&mut self, column: usize, at: i64) {
        self.elements_deleted.insert(column, at);
    }

    /// The value of a column.
    pub(crate) fn value(
        &self,
        column: usize,
        typ: &CqlType,
        now_s: i64,
    ) -> Option<ColumnValue<'_>> {
        if !typ.has_elements() {
            return self.cell(column)?.value(now_s).map(ColumnValue::Cell);
        }
        let of_column = self.cells.range((column, Vec::new())..(column + 1, Vec::new()));
        let elements = of_column.filter_map(|((_, element), cell)| {
            cell.value(now_s).map(|value| (element.as_slice(), value))
        });
        typ.collected(elements).map(ColumnValue::Collection)
    }

    /// When a column without elements was written, if it has a value.
    pub(crate) fn written(&self, column: usize, now_s: i64) -> Option<i64> {
        self.cell(column).filter(|cell| cell.value(now_s).is_some()).map(|cell| cell.written)
    }

    /// How many seconds a column without elements stays, if it has a value that expires.
    pub(crate) fn remaining_s(&self, column: usize, now_s: i64) -> Option<i32> {
        match self.cell(column)?.content {
            CellContent::Expiring(until_s, _) if until_s > now_s => {
                Some(i32::try_from(until_s - now_s).unwrap_or(i32::MAX))
            }
            _ => None,
        }
    }

    fn cell(&self, column: usize) -> Option<&ReplicaCell> {
        self.cells.get(&(column, Vec::new()))
    }

    pub(crate) fn merge(&mut self, other: &ReplicaRow) {
        self.marker = self.marker.max(other.marker);
        self.deletion = self.deletion.max(other.deletion);
        for (column, at) in &other.elements_deleted {
            let mine = self.elements_deleted.entry(*column).or_insert(*at);
            *mine = (*mine).max(*at);
        }
        for (key, cell) in &other.cells {
            match self.cells.get_mut(key) {
                Some(mine) if *mine < *cell => *mine = cell.clone(),
                Some(_) => {}
                None => {
                    self.cells.insert(key.clone(), cell.clone());
                }
            }
        }
        if !self.elements_deleted.is_empty() {
            let deleted = &self.elements_deleted;
            self.cells.retain(|(column, _), cell| {
                deleted.get(column).is_none_or(|deleted| cell.written > *deleted)
            });
        }
        if let Some(at) = self.deletion {
            self.drop_until(at);
        }
    }

    /// Deletes what was written by then; the deletion itself is recorded elsewhere.
    pub(crate) fn delete(&mut self, at: i64) {
        self.deletion = self.deletion.filter(|deletion| *deletion > at);
        self.drop_until(at);
    }

    fn drop_until(&mut self, at: i64) {
        self.marker = self.marker.filter(|marker| *marker > at);
        self.elements_deleted.retain(|_, deletion| *deletion > at);
        self.cells.retain(|_, cell| cell.written > at);
    }
}

pub(crate) enum ColumnValue<'r> {
    Cell(&'r [u8]),
    Collection(Vec<u8>),
}

impl ColumnValue<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            ColumnValue::Cell(bytes) => bytes,
            ColumnValue::Collection(bytes) => bytes,
        }
    }
}
