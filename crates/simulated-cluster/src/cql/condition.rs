//! Conditional updates: what they read, what they decide, and what they answer.

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};

use super::data::{Mutation, ReadAnswer};
use super::partition::{ReplicaPartition, RowRange};
use super::read::ReplicaRead;
use super::row::ReplicaRow;
use super::schema::{ColumnKind, TableDefinition};
use super::statement::{CqlStatement, StatementPlan};
use super::types::put_cell;
use super::write::{UpdateCondition, WritePlan};

/// The outcome of a conditional update.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateDecision {
    /// Whether its condition holds.
    pub applied: bool,
    /// What it changes, if its condition holds.
    pub mutation: Option<Mutation>,
    /// The rows of the answer.
    pub rows: Vec<Vec<u8>>,
}

impl CqlStatement {
    /// What a conditional update reads first.
    ///
    /// # Errors
    /// It is no conditional update, or the values are not those of its parameters.
    pub fn condition_read(&self, values: &[BoundValue]) -> Result<ReplicaRead, String> {
        let (plan, _) = self.conditional()?;
        plan.condition_read(values).map_err(|why| self.error(&why))
    }

    /// Decides a conditional update from what [`Self::condition_read`] saw. `ballot_us` is the time
    /// of its cells.
    ///
    /// # Errors
    /// It is no conditional update, or the values are not those of its parameters.
    pub fn decide(
        &self,
        values: &[BoundValue],
        current: &ReadAnswer,
        ballot_us: i64,
        now_s: i64,
    ) -> Result<UpdateDecision, String> {
        let (plan, condition) = self.conditional()?;
        let times = (ballot_us, now_s);
        plan.decide(self.engine, condition, values, current, times).map_err(|why| self.error(&why))
    }

    fn conditional(&self) -> Result<(&WritePlan, &UpdateCondition), String> {
        let plan = match &self.plan {
            StatementPlan::Write(plan) => {
                plan.condition.as_ref().map(|condition| (&**plan, condition))
            }
            StatementPlan::Clock | StatementPlan::Read(_) => None,
        };
        plan.ok_or_else(|| self.error("no conditional update"))
    }
}

/// The row that a conditional update is about, as it is now.
struct CurrentRow<'c> {
    table: &'c TableDefinition,
    key: &'c [u8],
    row_key: &'c [u8],
    row: Option<&'c ReplicaRow>,
    statics: Option<&'c ReplicaRow>,
    now_s: i64,
}

impl WritePlan {
    fn condition_read(&self, values: &[BoundValue]) -> Result<ReplicaRead, String> {
        let is_one_row = self.of.is_one_row(&self.table);
        let span =
            if is_one_row { self.of.span(&self.table, values)? } else { RowRange::nothing() };
        Ok(ReplicaRead {
            table: Arc::clone(&self.table.name),
            keys: Some(vec![self.of.one_key(&self.table, values)?]),
            span,
            part: None,
            with_statics: self.table.has_statics(),
            is_reversed: false,
            position: None,
        })
    }

    fn decide(
        &self,
        engine: CqlEngine,
        condition: &UpdateCondition,
        values: &[BoundValue],
        rows: &ReadAnswer,
        (ballot_us, now_s): (i64, i64),
    ) -> Result<UpdateDecision, String> {
        let key = self.of.one_key(&self.table, values)?;
        let row_key = self.of.row_key(&self.table, values)?;
        let partition = rows.partitions.get(&key);
        let row = |partition: &ReplicaPartition| partition.rows.get(row_key.as_slice()).cloned();
        let row = partition.and_then(row).filter(|row| row.is_live(now_s));
        let current = CurrentRow {
            table: &self.table,
            key: key.bytes(),
            row_key: &row_key,
            row: row.as_deref(),
            statics: partition.map(|partition| &*partition.statics),
            now_s,
        };
        let applied = current.holds(condition, values)?;
        let columns = condition.columns(engine, &self.table);
        let is_shown = match engine {
            CqlEngine::Cassandra => !applied,
            // The old row, also of an update that was applied (`build_cas_result_set` in its
            // cas_request.cc). Without the row only a condition on a static column shows statics.
            CqlEngine::Scylla => current.row.is_some() || condition.is_of_statics(&self.table),
        };
        let mut answer = Vec::new();
        put_cell(&mut answer, Some(&[u8::from(applied)]));
        for column in columns {
            if is_shown {
                current.put(column, &mut answer);
            } else {
                put_cell(&mut answer, None);
            }
        }
        let mutation = applied.then(|| self.mutation(values, ballot_us, now_s)).transpose()?;
        Ok(UpdateDecision { applied, mutation, rows: vec![answer] })
    }
}

impl CurrentRow<'_> {
    fn holds(&self, condition: &UpdateCondition, values: &[BoundValue]) -> Result<bool, String> {
        let all = match condition {
            UpdateCondition::NotExists => return Ok(self.row.is_none()),
            UpdateCondition::Equal(all) => all,
        };
        let mut holds = true;
        for (column, term) in all {
            holds &= self.equals(*column, term.value(values)?)?;
        }
        Ok(holds)
    }

    /// A missing row has only nulls.
    fn equals(&self, column: usize, wanted: &BoundValue) -> Result<bool, String> {
        let typ = &self.table.columns[column].typ;
        let now = self.stored(column).and_then(|row| row.value(column, typ, self.now_s));
        let now = now.as_ref().map(|value| value.bytes());
        match wanted {
            BoundValue::Unset => Err("a value of a condition is unset".into()),
            BoundValue::Null => Ok(now.is_none()),
            BoundValue::Value(wanted) if typ.has_elements() => {
                let mut elements = typ.elements(wanted)?;
                elements.sort();
                elements.dedup();
                let elements = elements.iter().map(|(key, value)| (key.as_slice(), *value));
                Ok(typ.collected(elements).as_deref() == now)
            }
            BoundValue::Value(wanted) => {
                typ.check(wanted)?;
                Ok(now == Some(wanted.as_slice()))
            }
        }
    }

    fn stored(&self, column: usize) -> Option<&ReplicaRow> {
        if self.table.is_static(column) { self.statics } else { self.row }
    }

    /// Appends the value of a column; all but static ones are null without the row.
    fn put(&self, column: usize, out: &mut Vec<u8>) {
        let of = &self.table.columns[column];
        match of.kind {
            ColumnKind::Partition(at) if self.row.is_some() => {
                put_cell(out, self.table.partition_values(self.key).get(at).copied());
            }
            ColumnKind::Clustering(at) if self.row.is_some() => {
                let all = self.table.clustering_values(self.row_key);
                put_cell(out, all.get(at).map(Vec::as_slice));
            }
            ColumnKind::Partition(_) | ColumnKind::Clustering(_) => put_cell(out, None),
            ColumnKind::Static | ColumnKind::Regular => {
                let value = self.stored(column);
                let value = value.and_then(|row| row.value(column, &of.typ, self.now_s));
                put_cell(out, value.as_ref().map(|value| value.bytes()));
            }
        }
    }
}
