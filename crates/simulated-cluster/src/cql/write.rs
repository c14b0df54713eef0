//! What a write changes, and on which condition.

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};

use super::data::Mutation;
use super::partition::{RangeDeletion, ReplicaPartition};
use super::relations::WhereClause;
use super::row::{CellContent, ReplicaCell, ReplicaRow};
use super::schema::TableDefinition;
use super::value_term::ValueTerm;

#[derive(Debug)]
pub(crate) struct WritePlan {
    pub(crate) table: Arc<TableDefinition>,
    pub(crate) of: WhereClause,
    pub(crate) effect: WriteEffect,
    pub(crate) timestamp: Option<ValueTerm>,
    pub(crate) ttl: Option<ValueTerm>,
    pub(crate) condition: Option<UpdateCondition>,
}

#[derive(Debug)]
pub(crate) enum WriteEffect {
    /// The row is there from then on, also without any of its columns.
    Insert(Vec<ColumnAssignment>),
    Update(Vec<ColumnAssignment>),
    Delete,
}

/// A new value of a column.
#[derive(Debug)]
pub(crate) struct ColumnAssignment {
    pub(crate) column: usize,
    pub(crate) value: AssignedValue,
}

#[derive(Debug)]
pub(crate) enum AssignedValue {
    Whole(ValueTerm),
    /// More elements.
    More(ValueTerm),
    /// The element of a key.
    Element(ValueTerm, ValueTerm),
}

/// What follows IF.
#[derive(Debug)]
pub(crate) enum UpdateCondition {
    NotExists,
    /// Columns and the values that they must have.
    Equal(Vec<(usize, ValueTerm)>),
}

impl UpdateCondition {
    /// The columns of an answer behind `[applied]`: ScyllaDB names those of the condition in the
    /// order of the table (`build_cas_result_set_metadata` in its modification_statement.cc).
    pub(crate) fn columns(&self, engine: CqlEngine, table: &TableDefinition) -> Vec<usize> {
        let UpdateCondition::Equal(all) = self else { return table.in_order() };
        let mut columns: Vec<usize> = all.iter().map(|(column, _)| *column).collect();
        match engine {
            CqlEngine::Cassandra => columns.sort_by_key(|column| table.is_static(*column)),
            CqlEngine::Scylla => {
                columns = table.in_order();
                columns.retain(|column| all.iter().any(|(named, _)| named == column));
            }
        }
        columns
    }

    /// Whether it names a static column.
    pub(crate) fn is_of_statics(&self, table: &TableDefinition) -> bool {
        match self {
            UpdateCondition::NotExists => false,
            UpdateCondition::Equal(all) => all.iter().any(|(column, _)| table.is_static(*column)),
        }
    }
}

/// The time of the cells of one write.
#[derive(Clone, Copy)]
struct CellTimes {
    written: i64,
    until_s: Option<i64>,
}

impl CellTimes {
    fn cell(self, value: &[u8]) -> ReplicaCell {
        let content = match self.until_s {
            Some(until_s) => CellContent::Expiring(until_s, value.into()),
            None => CellContent::Value(value.into()),
        };
        ReplicaCell { written: self.written, content }
    }

    fn deleted(self) -> ReplicaCell {
        ReplicaCell { written: self.written, content: CellContent::Deleted }
    }
}

impl WritePlan {
    pub(crate) fn mutation(
        &self,
        values: &[BoundValue],
        now_us: i64,
        now_s: i64,
    ) -> Result<Mutation, String> {
        let key = self.of.one_key(&self.table, values)?;
        let times = self.times(values, now_us, now_s)?;
        let change = match &self.effect {
            WriteEffect::Insert(assignments) => {
                let row = ReplicaRow::inserted(times.written);
                self.put(assignments, row, times, values)?
            }
            WriteEffect::Update(assignments) => {
                self.put(assignments, ReplicaRow::default(), times, values)?
            }
            WriteEffect::Delete => self.delete(times.written, values)?,
        };
        Ok(Mutation::of(key, change))
    }

    fn times(&self, values: &[BoundValue], now_us: i64, now_s: i64) -> Result<CellTimes, String> {
        let written = match &self.timestamp {
            None => now_us,
            Some(term) => match term.value(values)? {
                BoundValue::Null => return Err("the timestamp is null".into()),
                _ => term.number(values)?.unwrap_or(now_us),
            },
        };
        let ttl = match &self.ttl {
            None => None,
            Some(term) => term.number(values)?.filter(|ttl| *ttl != 0),
        };
        if ttl.is_some_and(i64::is_negative) {
            return Err("the TTL is negative".into());
        }
        Ok(CellTimes { written, until_s: ttl.map(|ttl| now_s + ttl) })
    }

    fn put(
        &self,
        assignments: &[ColumnAssignment],
        mut row: ReplicaRow,
        times: CellTimes,
        values: &[BoundValue],
    ) -> Result<ReplicaPartition, String> {
        let mut statics = ReplicaRow::default();
        for assignment in assignments {
            let is_static = self.table.is_static(assignment.column);
            let to = if is_static { &mut statics } else { &mut row };
            self.assign(to, assignment, times, values)?;
        }
        let mut change =
            ReplicaPartition { statics: Arc::new(statics), ..ReplicaPartition::default() };
        if !row.is_empty() {
            let key = self.of.row_key(&self.table, values)?;
            change.rows.insert(key.into(), Arc::new(row));
        }
        Ok(change)
    }

    fn assign(
        &self,
        to: &mut ReplicaRow,
        ColumnAssignment { column, value: assigned }: &ColumnAssignment,
        times: CellTimes,
        values: &[BoundValue],
    ) -> Result<(), String> {
        let typ = &self.table.columns[*column].typ;
        let elements = match assigned {
            AssignedValue::Whole(term) if typ.has_elements() => {
                let value = term.value(values)?;
                if *value == BoundValue::Unset {
                    return Ok(());
                }
                // Not what this write itself puts.
                to.delete_elements(*column, times.written - 1);
                value
            }
            AssignedValue::Whole(term) => {
                match term.value(values)? {
                    BoundValue::Value(value) => {
                        typ.check(value)?;
                        to.put(*column, Vec::new(), times.cell(value));
                    }
                    BoundValue::Null => to.put(*column, Vec::new(), times.deleted()),
                    BoundValue::Unset => {}
                }
                return Ok(());
            }
            AssignedValue::More(term) => term.value(values)?,
            AssignedValue::Element(key, value) => {
                let key = typ.element_key(key.key(values)?)?;
                match value.value(values)? {
                    BoundValue::Value(value) => to.put(*column, key, times.cell(value)),
                    BoundValue::Null => to.put(*column, key, times.deleted()),
                    BoundValue::Unset => {}
                }
                return Ok(());
            }
        };
        if let BoundValue::Value(value) = elements {
            for (key, element) in typ.elements(value)? {
                to.put(*column, key, times.cell(element));
            }
        }
        Ok(())
    }

    fn delete(&self, at: i64, values: &[BoundValue]) -> Result<ReplicaPartition, String> {
        let mut change = ReplicaPartition::default();
        if self.of.is_whole() {
            change.deletion = Some(at);
        } else if self.of.is_one_row(&self.table) {
            let key = self.of.row_key(&self.table, values)?;
            change.rows.insert(key.into(), Arc::new(ReplicaRow::deleted(at)));
        } else {
            let span = self.of.span(&self.table, values)?;
            change.ranges.insert(RangeDeletion { span, at });
        }
        Ok(change)
    }
}
