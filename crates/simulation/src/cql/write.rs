//! What a write changes.

use std::sync::Arc;

use cql_session::BoundValue;

use super::condition::Condition;
use super::data::Mutation;
use super::partition::{Partition, RangeDeletion};
use super::relations::Where;
use super::row::{Cell, Content, Row};
use super::schema::Table;
use super::statement::Term;

#[derive(Debug)]
pub(crate) struct WritePlan {
    pub(crate) table: Arc<Table>,
    pub(crate) of: Where,
    pub(crate) effect: Effect,
    pub(crate) timestamp: Option<Term>,
    pub(crate) ttl: Option<Term>,
    pub(crate) condition: Option<Condition>,
}

#[derive(Debug)]
pub(crate) enum Effect {
    /// The row is there from then on, also without any of its columns.
    Insert(Vec<Assignment>),
    Update(Vec<Assignment>),
    Delete,
}

/// A new value of a column.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) column: usize,
    pub(crate) what: Assigned,
}

#[derive(Debug)]
pub(crate) enum Assigned {
    /// The whole value.
    Whole(Term),
    /// More elements.
    More(Term),
    /// The element of a key.
    Element(Term, Term),
}

/// The time of the cells of one write.
#[derive(Clone, Copy)]
struct Times {
    written: i64,
    until_s: Option<i64>,
}

impl Times {
    fn cell(self, value: &[u8]) -> Cell {
        let content = match self.until_s {
            Some(until_s) => Content::Expiring(until_s, value.into()),
            None => Content::Value(value.into()),
        };
        Cell { written: self.written, content }
    }

    fn deleted(self) -> Cell {
        Cell { written: self.written, content: Content::Deleted }
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
            Effect::Insert(assignments) => {
                let row = Row::inserted(times.written);
                self.put(assignments, row, times, values)?
            }
            Effect::Update(assignments) => self.put(assignments, Row::default(), times, values)?,
            Effect::Delete => self.delete(times.written, values)?,
        };
        Ok(Mutation::of(key, change))
    }

    fn times(&self, values: &[BoundValue], now_us: i64, now_s: i64) -> Result<Times, String> {
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
        Ok(Times { written, until_s: ttl.map(|ttl| now_s + ttl) })
    }

    fn put(
        &self,
        assignments: &[Assignment],
        mut row: Row,
        times: Times,
        values: &[BoundValue],
    ) -> Result<Partition, String> {
        let mut statics = Row::default();
        for assignment in assignments {
            let is_static = self.table.is_static(assignment.column);
            let to = if is_static { &mut statics } else { &mut row };
            self.assign(to, assignment, times, values)?;
        }
        let mut change = Partition { statics: Arc::new(statics), ..Partition::default() };
        if !row.is_empty() {
            let key = self.of.row_key(&self.table, values)?;
            change.rows.insert(key.into(), Arc::new(row));
        }
        Ok(change)
    }

    fn assign(
        &self,
        to: &mut Row,
        Assignment { column, what }: &Assignment,
        times: Times,
        values: &[BoundValue],
    ) -> Result<(), String> {
        let typ = &self.table.columns[*column].typ;
        let elements = match what {
            Assigned::Whole(term) if typ.has_elements() => {
                let value = term.value(values)?;
                if *value == BoundValue::Unset {
                    return Ok(());
                }
                // Not what this write itself puts.
                to.delete_elements(*column, times.written - 1);
                value
            }
            Assigned::Whole(term) => {
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
            Assigned::More(term) => term.value(values)?,
            Assigned::Element(key, value) => {
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

    fn delete(&self, at: i64, values: &[BoundValue]) -> Result<Partition, String> {
        let mut change = Partition::default();
        if self.of.is_whole() {
            change.deletion = Some(at);
        } else if self.of.is_one_row(&self.table) {
            let key = self.of.row_key(&self.table, values)?;
            change.rows.insert(key.into(), Arc::new(Row::deleted(at)));
        } else {
            let span = self.of.span(&self.table, values)?;
            change.ranges.insert(RangeDeletion { span, at });
        }
        Ok(change)
    }
}
