//! SQL over both tiers, which another program runs.

use std::time::Duration;

use bytes::Bytes;
use engine::Caller;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::trouble::{ConsoleError, ConsoleResult};

/// Queries of a process that run at a time: the program that runs them takes as many.
const AT_ONCE: usize = 2;

/// Longest wait for the queries of others.
const TURN: Duration = Duration::from_secs(5);

/// The program that runs SQL, with a limit on the time, the memory and the rows of each query.
pub trait SqlRunner: Send + Sync {
    /// Runs a query in the name of somebody.
    fn rows<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<SqlRows, HistoryError>>;

    /// The same as CSV, with the names of the columns in the first line. `true` if rows were left out.
    fn csv<'a>(
        &'a self,
        caller: &'a Caller,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(Bytes, bool), HistoryError>>;
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlRows {
    pub columns: Vec<String>,
    /// A text for each column of each row; `None` for NULL.
    pub rows: Vec<Vec<Option<String>>>,
    pub truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The SQL is wrong, or needs too much memory. The text is for whoever wrote it.
    #[error("{0}")]
    Sql(String),
    #[error("the query takes too long")]
    Slow,
    #[error("too many queries run")]
    Busy,
    /// The program does not answer, or refuses this process. The text is for the log.
    #[error("couponry-history: {0}")]
    Away(String),
}

pub(crate) struct SqlService {
    history: Box<dyn SqlRunner>,
    turns: Semaphore,
}

impl SqlService {
    pub(crate) fn new(history: Box<dyn SqlRunner>) -> SqlService {
        SqlService { history, turns: Semaphore::new(AT_ONCE) }
    }

    /// [`ConsoleError::Busy`] if its turn did not come in time.
    pub(crate) async fn rows(
        &self,
        caller: &Caller,
        sql: &str,
    ) -> ConsoleResult<Result<SqlRows, HistoryError>> {
        let _turn = self.turn().await?;
        Ok(self.history.rows(caller, sql).await)
    }

    pub(crate) async fn csv(
        &self,
        caller: &Caller,
        sql: &str,
    ) -> ConsoleResult<Result<(Bytes, bool), HistoryError>> {
        let _turn = self.turn().await?;
        Ok(self.history.csv(caller, sql).await)
    }

    async fn turn(&self) -> ConsoleResult<SemaphorePermit<'_>> {
        let turn = timeout(TURN, self.turns.acquire()).await;
        turn.map_err(|_| ConsoleError::Busy)?.map_err(|_| ConsoleError::Broken)
    }
}
