//! A prepared statement: what its text asks for, without its values.

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};
use scylla::frame::response::result::ColumnSpec;

use super::data::Mutation;
use super::partition_key::PartitionKey;
use super::read::ReplicaRead;
use super::relations::WhereClause;
use super::schema::TableDefinition;
use super::value_term::ValueTerm;
use super::write::WritePlan;

/// A prepared statement.
#[derive(Debug)]
pub struct CqlStatement {
    /// Which engine prepared it: the answers of conditional updates differ.
    pub(crate) engine: CqlEngine,
    pub(crate) text: Box<str>,
    pub(crate) table: Arc<str>,
    pub(crate) parameters: Arc<[ColumnSpec<'static>]>,
    pub(crate) columns: Arc<[ColumnSpec<'static>]>,
    pub(crate) plan: StatementPlan,
}

/// How a statement is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// A read of tables of the schema.
    Read,
    /// A plain write.
    Write,
    /// A conditional update.
    Conditional,
    /// A read of the clock of one node.
    Clock,
}

#[derive(Debug)]
pub(crate) enum StatementPlan {
    Clock,
    Read(Box<ReadPlan>),
    Write(Box<WritePlan>),
}

#[derive(Debug)]
pub(crate) struct ReadPlan {
    pub(crate) table: Arc<TableDefinition>,
    pub(crate) of: WhereClause,
    pub(crate) items: Vec<SelectItem>,
    /// One row of each partition.
    pub(crate) is_distinct: bool,
    /// Whether the text has an ORDER BY.
    pub(crate) is_ordered: bool,
    pub(crate) is_reversed: bool,
    pub(crate) limit: Option<ValueTerm>,
    pub(crate) partition_limit: Option<ValueTerm>,
}

/// A column of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelectItem {
    Column(usize),
    /// The write time of a column.
    Written(usize),
    /// The seconds until a column expires.
    Remaining(usize),
}

impl StatementPlan {
    /// The table, and what is said of its rows: of an INSERT their key.
    pub(crate) fn about(&self) -> Option<(&TableDefinition, &WhereClause)> {
        match self {
            StatementPlan::Clock => None,
            StatementPlan::Read(plan) => Some((&*plan.table, &plan.of)),
            StatementPlan::Write(plan) => Some((&*plan.table, &plan.of)),
        }
    }
}

impl SelectItem {
    pub(crate) fn column(self) -> usize {
        match self {
            SelectItem::Column(column)
            | SelectItem::Written(column)
            | SelectItem::Remaining(column) => column,
        }
    }
}

impl CqlStatement {
    /// How it is executed.
    pub fn kind(&self) -> StatementKind {
        match &self.plan {
            StatementPlan::Clock => StatementKind::Clock,
            StatementPlan::Read(_) => StatementKind::Read,
            StatementPlan::Write(plan) if plan.condition.is_some() => StatementKind::Conditional,
            StatementPlan::Write(_) => StatementKind::Write,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// One for each `?`.
    pub fn parameters(&self) -> Arc<[ColumnSpec<'static>]> {
        Arc::clone(&self.parameters)
    }

    /// The columns of an answer; of a conditional update `[applied]` is the first.
    pub fn columns(&self) -> Arc<[ColumnSpec<'static>]> {
        Arc::clone(&self.columns)
    }

    /// The one partition that it reads or writes; `None` for a whole table or more than one.
    pub fn partition(&self, values: &[BoundValue]) -> Result<Option<PartitionKey>, String> {
        let mut all = self.partitions(values)?;
        Ok(all.pop().filter(|_| all.is_empty()))
    }

    /// The partitions that it reads or writes, in their order; none for a whole table.
    pub fn partitions(&self, values: &[BoundValue]) -> Result<Vec<PartitionKey>, String> {
        let keys = self.plan.about().and_then(|(table, of)| of.keys(table, values));
        let named = keys.transpose().map_err(|why| self.error(&why))?;
        Ok(named.unwrap_or_default())
    }

    /// What a plain write changes. `now_us` is the time of its cells unless it names one, and TTLs
    /// begin at the second `now_s`.
    ///
    /// # Errors
    /// It is no plain write, or the values are not those of its parameters.
    pub fn mutation(
        &self,
        values: &[BoundValue],
        now_us: i64,
        now_s: i64,
    ) -> Result<Mutation, String> {
        match &self.plan {
            StatementPlan::Write(plan) if plan.condition.is_none() => {
                plan.mutation(values, now_us, now_s).map_err(|why| self.error(&why))
            }
            _ => Err(self.error("no plain write")),
        }
    }

    /// What replicas are asked for a read.
    ///
    /// # Errors
    /// It is no read, or the values are not those of its parameters.
    pub fn read(&self, values: &[BoundValue]) -> Result<ReplicaRead, String> {
        match &self.plan {
            StatementPlan::Read(plan) => plan.read(values).map_err(|why| self.error(&why)),
            _ => Err(self.error("no read")),
        }
    }

    pub(crate) fn error(&self, why: &str) -> String {
        format!("{why}: {}", self.text)
    }
}

impl ReadPlan {
    fn read(&self, values: &[BoundValue]) -> Result<ReplicaRead, String> {
        Ok(ReplicaRead {
            table: Arc::clone(&self.table.name),
            keys: self.of.keys(&self.table, values).transpose()?,
            span: self.of.span(&self.table, values)?,
            part: None,
            with_statics: self.shows_lone_statics() || self.selects_statics(),
            is_reversed: self.is_reversed,
            position: None,
        })
    }

    /// Whether a partition without rows is a row if it has static columns: it is unless the
    /// statement asks for some of its rows.
    pub(crate) fn shows_lone_statics(&self) -> bool {
        self.table.has_statics() && self.of.is_whole()
    }

    fn selects_statics(&self) -> bool {
        self.items.iter().any(|item| self.table.is_static(item.column()))
    }
}
