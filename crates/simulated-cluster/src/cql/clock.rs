//! The one statement about a node itself: what its clock says. The store asks a node for nothing else.

use cql_session::CqlEngine;
use scylla::frame::response::result::{ColumnSpec, ColumnType, NativeType, TableSpec};

use super::statement::{CqlStatement, StatementPlan};
use super::types::put_cell;

/// Asks a node for its time.
pub const READ_CLOCK: &str = "SELECT toTimestamp(now()) FROM system.local";

pub(crate) fn clock_statement() -> CqlStatement {
    let table = TableSpec::owned("system".to_owned(), "local".to_owned());
    let name = "system.totimestamp(system.now())".to_owned();
    let column = ColumnSpec::owned(name, ColumnType::Native(NativeType::Timestamp), table);
    CqlStatement {
        engine: CqlEngine::Cassandra,
        text: READ_CLOCK.into(),
        table: "system.local".into(),
        parameters: [].into(),
        columns: [column].into(),
        plan: StatementPlan::Clock,
    }
}

/// The one row of its answer.
pub fn clock_row(now_ms: i64) -> Vec<u8> {
    let mut row = Vec::new();
    put_cell(&mut row, Some(&now_ms.to_be_bytes()));
    row
}
