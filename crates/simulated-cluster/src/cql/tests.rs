//! Runs statements on replicas that got their writes in different orders.

mod conditions;
mod dialect;
mod pages;
mod rows;
mod texts;

use std::sync::Arc;

use cql_session::{BoundValue, CqlEngine};
use scylla::frame::response::result::{ColumnSpec, ColumnType, NativeType};

use super::{CqlStatement, KeyspaceSchema, ReadAnswer, ReplicaData, UpdateDecision};

/// The second at which answers are read, unless a test says another.
pub(crate) const NOW_S: i64 = 1_000;

/// One replica.
pub(crate) struct Replica {
    engine: CqlEngine,
    schema: Arc<KeyspaceSchema>,
    pub(crate) data: ReplicaData,
}

impl Replica {
    pub(crate) fn new() -> Replica {
        Replica::of(CqlEngine::Cassandra, KeyspaceSchema::couponry())
    }

    pub(crate) fn of(engine: CqlEngine, schema: Arc<KeyspaceSchema>) -> Replica {
        Replica { engine, schema, data: ReplicaData::default() }
    }

    pub(crate) fn statement(&self, cql: &str) -> Arc<CqlStatement> {
        self.schema.prepare_for(self.engine, cql).unwrap()
    }

    /// A plain write. Without a time in its text, its time is 1.
    pub(crate) fn write(&mut self, cql: &str, values: &[BoundValue]) {
        let mutation = self.statement(cql).mutation(values, 1, NOW_S).unwrap();
        self.data.apply(&mutation);
    }

    pub(crate) fn rows(&self, cql: &str, values: &[BoundValue]) -> ReadAnswer {
        self.data.read(&self.statement(cql).read(values).unwrap())
    }

    /// The rows of a read as a text: cells with `|` between them.
    pub(crate) fn read(&self, cql: &str, values: &[BoundValue]) -> Vec<String> {
        self.shown(cql, values, &self.rows(cql, values), NOW_S)
    }

    pub(crate) fn shown(
        &self,
        cql: &str,
        values: &[BoundValue],
        rows: &ReadAnswer,
        now: i64,
    ) -> Vec<String> {
        let statement = self.statement(cql);
        let answer = statement.answer(values, rows, now).unwrap();
        answer.iter().map(|row| shown(&statement.columns(), row)).collect()
    }

    /// A conditional update; its answer as a text.
    pub(crate) fn change(&mut self, cql: &str, values: &[BoundValue], ballot: i64) -> String {
        let statement = self.statement(cql);
        let rows = self.data.read(&statement.condition_read(values).unwrap());
        let UpdateDecision { applied, mutation, rows } =
            statement.decide(values, &rows, ballot, NOW_S).unwrap();
        assert_eq!(applied, mutation.is_some(), "{cql}");
        if let Some(mutation) = mutation {
            self.data.apply(&mutation);
        }
        shown(&statement.columns(), &rows[0])
    }
}

/// The cells of a row as a text.
pub(crate) fn shown(columns: &[ColumnSpec<'_>], row: &[u8]) -> String {
    let (mut cells, mut rest) = (Vec::new(), row);
    for column in columns {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            cells.push("-".to_owned());
            rest = after;
            continue;
        };
        let (value, after) = after.split_at(length);
        rest = after;
        cells.push(match column.typ() {
            ColumnType::Native(NativeType::Text) => String::from_utf8(value.to_vec()).unwrap(),
            ColumnType::Native(NativeType::Boolean) => (value == [1]).to_string(),
            ColumnType::Native(NativeType::Int) => {
                i32::from_be_bytes(value.try_into().unwrap()).to_string()
            }
            ColumnType::Native(NativeType::BigInt | NativeType::Timestamp) => {
                i64::from_be_bytes(value.try_into().unwrap()).to_string()
            }
            _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
    }
    assert!(rest.is_empty(), "more cells than columns");
    cells.join("|")
}

pub(crate) fn text(text: &str) -> BoundValue {
    BoundValue::Value(text.as_bytes().to_vec())
}

pub(crate) fn int(number: i32) -> BoundValue {
    BoundValue::Value(number.to_be_bytes().to_vec())
}

pub(crate) fn bigint(number: i64) -> BoundValue {
    BoundValue::Value(number.to_be_bytes().to_vec())
}

/// The value of a set or a list, or with keys and values in turn, of a map.
pub(crate) fn collection(count: i32, parts: &[&[u8]]) -> BoundValue {
    let mut out = count.to_be_bytes().to_vec();
    for part in parts {
        super::types::put_cell(&mut out, Some(part));
    }
    BoundValue::Value(out)
}
