//! A partition as a replica keeps it, and how two replicas' copies of it merge.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::row::ReplicaRow;

/// A slice of the rows of a partition: their sortable keys from `start` on, before `end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowRange {
    pub(crate) start: Arc<[u8]>,
    pub(crate) end: Option<Arc<[u8]>>,
}

/// A deletion of all rows of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RangeDeletion {
    pub(crate) span: RowRange,
    pub(crate) at: i64,
}

/// A partition, a slice of one, or what a write changes in one. No part of it is hidden by one of
/// its deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaPartition {
    pub(crate) deletion: Option<i64>,
    pub(crate) ranges: BTreeSet<RangeDeletion>,
    pub(crate) statics: Arc<ReplicaRow>,
    pub(crate) rows: BTreeMap<Arc<[u8]>, Arc<ReplicaRow>>,
}

impl RowRange {
    /// No row.
    pub(crate) fn nothing() -> RowRange {
        RowRange { start: Arc::from([]), end: Some(Arc::from([])) }
    }

    fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    fn has(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }

    fn covers(&self, other: &RowRange) -> bool {
        let ends_behind = match (&self.end, &other.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(other)) => mine >= other,
        };
        self.start <= other.start && ends_behind
    }

    /// What is in both.
    pub(crate) fn common(&self, other: &RowRange) -> RowRange {
        let start = self.start.clone().max(other.start.clone());
        let end = match (&self.end, &other.end) {
            (Some(mine), Some(other)) => Some(mine.min(other)),
            (mine, other) => mine.as_ref().or(other.as_ref()),
        };
        RowRange { start, end: end.cloned() }
    }

    /// For a range of a map: its end is never before its start.
    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            Some(end) => Bound::Excluded(&**end.max(&self.start)),
            None => Bound::Unbounded,
        };
        (Bound::Included(&*self.start), end)
    }
}

impl ReplicaPartition {
    /// Whether no write has left anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.deletion.is_none()
            && self.ranges.is_empty()
            && self.statics.is_empty()
            && self.rows.is_empty()
    }

    /// What of it a read of this slice sees.
    pub(crate) fn slice(&self, span: &RowRange, with_statics: bool) -> ReplicaPartition {
        let clipped = self.ranges.iter().map(|range| {
            let span = range.span.common(span);
            RangeDeletion { span, at: range.at }
        });
        let rows = self.rows.range::<[u8], _>(span.bounds());
        ReplicaPartition {
            deletion: self.deletion,
            ranges: clipped.filter(|range| !range.span.is_empty()).collect(),
            statics: if with_statics { Arc::clone(&self.statics) } else { Arc::default() },
            rows: rows.map(|(key, row)| (Arc::clone(key), Arc::clone(row))).collect(),
        }
    }

    /// What a read passes that is no value: deletions, and values that have expired.
    pub(crate) fn tombstones(&self, now_s: i64) -> usize {
        let rows = self.rows.values().chain([&self.statics]).map(|row| row.tombstones(now_s));
        usize::from(self.deletion.is_some()) + self.ranges.len() + rows.sum::<usize>()
    }

    /// Drops all of these; whether anything is left.
    pub(crate) fn purge(&mut self, now_s: i64) -> bool {
        self.deletion = None;
        self.ranges.clear();
        let purge = |row: &mut Arc<ReplicaRow>| {
            row.tombstones(now_s) == 0 || Arc::make_mut(row).purge(now_s)
        };
        purge(&mut self.statics);
        self.rows.retain(|_, row| purge(row));
        !self.is_empty()
    }

    pub(crate) fn merge(&mut self, other: &ReplicaPartition) {
        if let Some(at) = other.deletion.filter(|at| Some(*at) > self.deletion) {
            self.deletion = Some(at);
            self.ranges.retain(|range| range.at > at);
            delete(&mut self.statics, at);
            self.rows.retain(|_, row| delete(row, at));
        }
        for range in &other.ranges {
            self.delete_range(range);
        }
        if self.statics != other.statics {
            merge(&mut self.statics, &other.statics);
            if let Some(at) = self.deletion {
                delete(&mut self.statics, at);
            }
        }
        for (key, row) in &other.rows {
            self.merge_row(key, row);
        }
    }

    fn merge_row(&mut self, key: &Arc<[u8]>, row: &Arc<ReplicaRow>) {
        let hidden_until = self.hidden_until(key);
        match self.rows.get_mut(key) {
            Some(mine) if *mine == *row => return,
            Some(mine) => merge(mine, row),
            None => {
                self.rows.insert(Arc::clone(key), Arc::clone(row));
            }
        }
        if let Some(at) = hidden_until
            && self.rows.get_mut(key).is_some_and(|row| !delete(row, at))
        {
            self.rows.remove(key);
        }
    }

    /// Of the deletions around a row, the last.
    fn hidden_until(&self, key: &[u8]) -> Option<i64> {
        let around = self.ranges.iter().filter(|range| range.span.has(key));
        self.deletion.max(around.map(|range| range.at).max())
    }

    fn delete_range(&mut self, new: &RangeDeletion) {
        let hides = |range: &RangeDeletion, other: &RangeDeletion| {
            range.at >= other.at && range.span.covers(&other.span)
        };
        if self.deletion >= Some(new.at) || self.ranges.iter().any(|range| hides(range, new)) {
            return;
        }
        self.ranges.retain(|range| !hides(new, range));
        let inside: Vec<Arc<[u8]>> =
            self.rows.range::<[u8], _>(new.span.bounds()).map(|(key, _)| key.clone()).collect();
        for key in inside {
            if self.rows.get_mut(&key).is_some_and(|row| !delete(row, new.at)) {
                self.rows.remove(&key);
            }
        }
        self.ranges.insert(new.clone());
    }
}

fn merge(mine: &mut Arc<ReplicaRow>, other: &Arc<ReplicaRow>) {
    if mine.is_empty() {
        *mine = Arc::clone(other);
    } else if !other.is_empty() {
        Arc::make_mut(mine).merge(other);
    }
}

/// Deletes what was written by then; whether anything is left.
fn delete(row: &mut Arc<ReplicaRow>, at: i64) -> bool {
    if !row.is_empty() {
        Arc::make_mut(row).delete(at);
    }
    !row.is_empty()
}
