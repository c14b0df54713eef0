//! What a session asks of a cluster, and what a cluster other than the driver's must answer.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use scylla::errors::ExecutionError;
use scylla::frame::response::result::ColumnSpec;
use scylla::response::PagingState;
use uuid::Uuid;

use crate::{ClockReading, CopyCounts, CqlEngine, StatementProfile};

/// A cluster as the store sees it. The real one is behind the driver; the simulator has another.
#[async_trait]
pub trait CqlCluster: Send + Sync + 'static {
    /// The parameters of a statement and the columns of its rows.
    ///
    /// # Errors
    /// The engine does not know the statement, or no node answers.
    async fn prepare(&self, cql: &'static str) -> Result<StatementColumns, ExecutionError>;

    /// Sends a statement and waits for its outcome: once for [`StatementProfile::Change`] and
    /// [`StatementProfile::Again`], and as often as the driver does for the others.
    ///
    /// # Errors
    /// Those of the driver. The statement may have been applied.
    async fn execute(&self, request: StatementRequest) -> Result<RowPage, ExecutionError>;

    fn engine(&self) -> CqlEngine;

    /// What the clocks of the nodes say; `None` for one that does not answer within a second.
    async fn clocks(&self) -> Vec<Option<ClockReading>>;

    /// From now on sends statements to these nodes only, by their host ids; before that to all of them.
    fn allow(&self, nodes: HashSet<Uuid>);

    /// The copies of each row, and those that are confirmed.
    fn copies(&self) -> (CopyCounts, CopyCounts);

    /// The clock of the machine that asks, in milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

#[derive(Clone, Debug)]
pub struct StatementColumns {
    /// One for each `?`.
    pub parameters: Arc<[ColumnSpec<'static>]>,
    /// Of each row of the answer; of a conditional update `[applied]` is the first.
    pub columns: Arc<[ColumnSpec<'static>]>,
}

#[derive(Clone, Debug)]
pub struct StatementRequest {
    pub cql: &'static str,
    /// The values of each `?`. More than one row of them is one unlogged batch of plain writes.
    pub rows: Vec<Vec<BoundValue>>,
    pub profile: StatementProfile,
    /// Where the page begins; `None` for an answer in one piece.
    pub from: Option<PagingState>,
    pub page_rows: i32,
}

/// A value as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundValue {
    /// A null, which deletes the cell.
    Null,
    /// Leaves the cell as it is.
    Unset,
    /// The bytes of the native protocol.
    Value(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
pub struct RowPage {
    /// The cells of each row, in the native protocol: a length of four bytes and the bytes; the
    /// length is -1 for a null.
    pub rows: Vec<Vec<u8>>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<PagingState>,
}
