//! Turns merged rows into the rows of an answer.

use std::sync::Arc;

use cql_session::BoundValue;

use super::data::ReadAnswer;
use super::partition::ReplicaPartition;
use super::partition_key::PartitionKey;
use super::put_cell;
use super::read::PagePosition;
use super::row::ReplicaRow;
use super::schema::ColumnKind;
use super::statement::{CqlStatement, ReadPlan, SelectItem, StatementPlan};
use super::value_term::ValueTerm;

/// An answer, or the part of one that is a page.
struct AnswerPage {
    rows: Vec<Vec<u8>>,
    page_rows: usize,
    limit: u32,
    partition_limit: u32,
    /// Rows of all pages until now.
    taken: u32,
    /// The same, of this partition.
    taken_here: u32,
}

/// Why no more rows are taken.
enum PageEnd {
    /// The limit is reached: there is no next page.
    Limit,
    Page,
}

impl CqlStatement {
    /// All rows of the answer to a read.
    ///
    /// # Errors
    /// It is no read, or the values are not those of its parameters.
    pub fn answer(
        &self,
        values: &[BoundValue],
        rows: &ReadAnswer,
        now_s: i64,
    ) -> Result<Vec<Vec<u8>>, String> {
        self.page(values, rows, usize::MAX, now_s).map(|(rows, _)| rows)
    }

    /// One page of the answer to a read, and where it ends; `None` for the last one. As with the
    /// engines, the page behind a full one may be empty.
    ///
    /// # Errors
    /// It is no read, or the values are not those of its parameters.
    pub fn page(
        &self,
        values: &[BoundValue],
        rows: &ReadAnswer,
        page_rows: usize,
        now_s: i64,
    ) -> Result<(Vec<Vec<u8>>, Option<PagePosition>), String> {
        let StatementPlan::Read(plan) = &self.plan else { return Err(self.error("no read")) };
        plan.page(values, rows, page_rows.max(1), now_s).map_err(|why| self.error(&why))
    }
}

impl AnswerPage {
    fn full(&self) -> Option<PageEnd> {
        if self.taken >= self.limit {
            Some(PageEnd::Limit)
        } else if self.rows.len() >= self.page_rows {
            Some(PageEnd::Page)
        } else {
            None
        }
    }

    fn take(&mut self, row: Vec<u8>) {
        self.rows.push(row);
        self.taken += 1;
        self.taken_here += 1;
    }
}

impl ReadPlan {
    fn page(
        &self,
        values: &[BoundValue],
        rows: &ReadAnswer,
        page_rows: usize,
        now_s: i64,
    ) -> Result<(Vec<Vec<u8>>, Option<PagePosition>), String> {
        if self.is_ordered && self.of.names_several() {
            return Err("rows of several partitions are not sorted here".into());
        }
        let mut answer = AnswerPage {
            rows: Vec::new(),
            page_rows,
            limit: limit(self.limit.as_ref(), values)?,
            partition_limit: limit(self.partition_limit.as_ref(), values)?,
            taken: rows.position.as_ref().map_or(0, |position| position.taken),
            taken_here: 0,
        };
        for (key, partition) in &rows.partitions {
            let inside = rows.position.as_ref().filter(|position| position.key == *key);
            answer.taken_here = inside.map_or(0, |position| position.taken_here);
            let last = self.partition(&mut answer, key, partition, inside.is_some(), now_s);
            match answer.full() {
                Some(PageEnd::Limit) => return Ok((answer.rows, None)),
                Some(PageEnd::Page) => {
                    let (taken, taken_here) = (answer.taken, answer.taken_here);
                    let position = PagePosition { key: key.clone(), row: last, taken, taken_here };
                    return Ok((answer.rows, Some(position)));
                }
                None => {}
            }
        }
        Ok((answer.rows, None))
    }

    /// Takes the rows of a partition; the key of the last one.
    fn partition(
        &self,
        answer: &mut AnswerPage,
        key: &PartitionKey,
        partition: &ReplicaPartition,
        is_inside: bool,
        now_s: i64,
    ) -> Option<Arc<[u8]>> {
        let shown = ShownPartition { plan: self, key, statics: &partition.statics, now_s };
        let mut live = partition.rows.iter().filter(|(_, row)| row.is_live(now_s)).peekable();
        let has_statics = !is_inside && partition.statics.is_live(now_s);
        if self.is_distinct {
            if !is_inside && (has_statics || live.peek().is_some()) {
                answer.take(shown.row(None));
            }
            return None;
        }
        if live.peek().is_none() {
            if has_statics && self.shows_lone_statics() {
                answer.take(shown.row(None));
            }
            return None;
        }
        let mut last = None;
        let mut take = |row_key: &Arc<[u8]>, row: &ReplicaRow| {
            if answer.full().is_some() || answer.taken_here >= answer.partition_limit {
                return false;
            }
            answer.take(shown.row(Some((row_key, row))));
            last = Some(Arc::clone(row_key));
            true
        };
        if self.is_reversed {
            let backward = partition.rows.iter().rev().filter(|(_, row)| row.is_live(now_s));
            let _ = backward.take_while(|(row_key, row)| take(row_key, row)).count();
        } else {
            let _ = live.take_while(|(row_key, row)| take(row_key, row)).count();
        }
        last
    }
}

/// A partition of which rows are shown.
struct ShownPartition<'s> {
    plan: &'s ReadPlan,
    key: &'s PartitionKey,
    statics: &'s ReplicaRow,
    now_s: i64,
}

impl ShownPartition<'_> {
    /// The cells of a row; without one, those of the partition.
    fn row(&self, row: Option<(&Arc<[u8]>, &ReplicaRow)>) -> Vec<u8> {
        let table = &self.plan.table;
        let key = table.partition_values(self.key.bytes());
        let row_key = row.map(|(row_key, _)| table.clustering_values(row_key));
        let row_key = row_key.unwrap_or_default();
        let mut out = Vec::with_capacity(16 * self.plan.items.len());
        for item in &self.plan.items {
            let stored = |column: usize| match table.is_static(column) {
                true => Some(self.statics),
                false => row.map(|(_, row)| row),
            };
            match *item {
                SelectItem::Written(column) => {
                    let written = stored(column).and_then(|row| row.written(column, self.now_s));
                    let bytes = written.map(i64::to_be_bytes);
                    put_cell(&mut out, bytes.as_ref().map(|bytes| bytes.as_slice()));
                }
                SelectItem::Remaining(column) => {
                    let seconds =
                        stored(column).and_then(|row| row.remaining_s(column, self.now_s));
                    let bytes = seconds.map(i32::to_be_bytes);
                    put_cell(&mut out, bytes.as_ref().map(|bytes| bytes.as_slice()));
                }
                SelectItem::Column(column) => {
                    let of = &table.columns[column];
                    match of.kind {
                        ColumnKind::Partition(at) => put_cell(&mut out, key.get(at).copied()),
                        ColumnKind::Clustering(at) => {
                            put_cell(&mut out, row_key.get(at).map(Vec::as_slice));
                        }
                        ColumnKind::Static | ColumnKind::Regular => {
                            let value = stored(column)
                                .and_then(|row| row.value(column, &of.typ, self.now_s));
                            put_cell(&mut out, value.as_ref().map(|value| value.bytes()));
                        }
                    }
                }
            }
        }
        out
    }
}

/// The value of a LIMIT; no limit if it is null or unset.
fn limit(term: Option<&ValueTerm>, values: &[BoundValue]) -> Result<u32, String> {
    let number = match term {
        Some(term) => term.number(values)?,
        None => None,
    };
    match number.map(u32::try_from) {
        None => Ok(u32::MAX),
        Some(Ok(number)) if number > 0 => Ok(number),
        Some(_) => Err("a LIMIT must be positive".into()),
    }
}
