//! A hook around each statement of a session.

use cql_session::{RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::errors::ExecutionError;

/// What is done around each statement of a session. By itself it does nothing.
pub trait StatementTamper: Send + Sync {
    /// Runs before a statement is sent. `Some` is its answer: then it is not sent.
    fn before(
        &self,
        _request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        std::future::ready(None).boxed()
    }

    /// Runs after a statement, and gives its answer.
    fn after(
        &self,
        _request: &StatementRequest,
        result: Result<RowPage, ExecutionError>,
    ) -> Result<RowPage, ExecutionError> {
        result
    }
}
