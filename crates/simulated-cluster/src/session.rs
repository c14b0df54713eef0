//! What a process of couponry has in the place of the driver: the same choice of a coordinator, the
//! same retries and the same time limits, on a [`SimulatedCluster`].

mod plan;
mod process;
mod retries;
mod tamper;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cql_session::{
    BoundValue, ClockReading, CopyCounts, CqlCluster, CqlEngine, RowPage, StatementColumns,
    StatementProfile, StatementRequest,
};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use scylla::errors::{
    BrokenConnectionErrorKind, ConnectionPoolError, DbError, ExecutionError, RequestAttemptError,
};
use scylla::response::PagingState;
use scylla::statement::Consistency;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::cluster::{
    CoordinatorAnswer, CoordinatorFailure, ExecutionOptions, PageRequest, SimulatedCluster,
};
use crate::cql::{CqlStatement, READ_CLOCK, cells};
use crate::rng::Rng;
use crate::trace::Trace;
pub use process::SimulatedProcess;
use retries::{NextAttempt, RetryState, can_be_ignored};
pub use tamper::StatementTamper;

/// How long a node may take to say what time it is.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The session of one process.
pub struct SimulatedSession {
    cluster: SimulatedCluster,
    process: SimulatedProcess,
    rng: Mutex<Rng>,
    trace: Trace,
    tamper: Option<Arc<dyn StatementTamper>>,
    allowed: Mutex<Option<HashSet<Uuid>>>,
}

/// A statement with its values, ready to be sent as often as it takes.
struct StatementCall {
    profile: StatementProfile,
    statement: Arc<CqlStatement>,
    rows: Vec<Vec<BoundValue>>,
    options: ExecutionOptions,
    plan: Mutex<VecDeque<usize>>,
}

impl SimulatedSession {
    /// A session of `process`, whose clock begins with the cluster.
    pub fn new(
        cluster: SimulatedCluster,
        process: SimulatedProcess,
        rng: Rng,
        trace: Trace,
    ) -> SimulatedSession {
        process.begin(cluster.began());
        let (rng, allowed) = (Mutex::new(rng), Mutex::default());
        SimulatedSession { cluster, process, rng, trace, tamper: None, allowed }
    }

    /// The same with a hook around each statement.
    #[must_use]
    pub fn with_tamper(self, tamper: Arc<dyn StatementTamper>) -> SimulatedSession {
        SimulatedSession { tamper: Some(tamper), ..self }
    }

    /// The process whose session it is.
    pub fn process(&self) -> &SimulatedProcess {
        &self.process
    }

    /// The log that it writes to.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    async fn sent(&self, request: &StatementRequest) -> Result<RowPage, ExecutionError> {
        let call = self.call(request)?;
        let limit = request.profile.timeout();
        // What is given up here goes on in the cluster.
        let answer = match timeout(limit, self.attempts(&call)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ExecutionError::RequestTimeout(limit)),
        };
        Ok(RowPage { rows: answer.rows, next: answer.next.map(PagingState::new_from_raw_bytes) })
    }

    fn call(&self, request: &StatementRequest) -> Result<StatementCall, ExecutionError> {
        let statement = self.cluster.prepare(request.cql).map_err(unknown)?;
        let page = request.from.as_ref().map(|from| PageRequest {
            after: from.as_bytes_slice().map(|bytes| bytes.to_vec()),
            rows: usize::try_from(request.page_rows).unwrap_or(usize::MAX),
        });
        let options = ExecutionOptions { consistency: request.profile.consistency(), page };
        let values = request.rows.first().map(Vec::as_slice).unwrap_or_default();
        let plan = Mutex::new(self.plan(request.profile, &statement, values));
        let (profile, rows) = (request.profile, request.rows.clone());
        Ok(StatementCall { profile, statement, rows, options, plan })
    }

    /// One attempt after the other, and for a read a second series of them when the first is slow.
    async fn attempts(&self, call: &StatementCall) -> Result<CoordinatorAnswer, ExecutionError> {
        let Some(after) = call.profile.speculates_after() else {
            return self.series(call).await.unwrap_or(Err(ExecutionError::EmptyPlan));
        };
        let mut running = FuturesUnordered::new();
        running.push(self.series(call));
        let (mut may_speculate, mut last) = (true, None);
        let timer = sleep(after);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                Some(done) = running.next() => {
                    match done {
                        Some(Err(error)) if can_be_ignored(&error) => last = Some(error),
                        Some(done) => return done,
                        None => may_speculate = false,
                    }
                    if running.is_empty() && !may_speculate {
                        return Err(last.unwrap_or(ExecutionError::EmptyPlan));
                    }
                }
                () = &mut timer, if may_speculate => {
                    may_speculate = false;
                    running.push(self.series(call));
                }
            }
        }
    }

    /// Sends a statement to one node of the plan after the other, as far as the policy repeats it;
    /// `None` if no node is left to begin with.
    async fn series(
        &self,
        call: &StatementCall,
    ) -> Option<Result<CoordinatorAnswer, ExecutionError>> {
        let mut retries = RetryState::default();
        let mut last: Option<ExecutionError> = None;
        while let Some(node) = call.next_node() {
            loop {
                self.process.gate().await;
                if !self.cluster.is_connected(node) {
                    last = Some(ConnectionPoolError::Initializing.into());
                    break;
                }
                let answer =
                    self.cluster.execute(node, &call.statement, &call.rows, call.options.clone());
                let error = match answer.await {
                    Ok(answer) => return Some(Ok(answer)),
                    Err(failure) => attempt_error(failure),
                };
                let next = retries.after(call.profile, &error);
                last = Some(error.into());
                match next {
                    NextAttempt::Again => {}
                    NextAttempt::Elsewhere => break,
                    NextAttempt::Never => return last.map(Err),
                }
            }
        }
        last.map(Err)
    }

    async fn clock_of(&self, node: usize) -> Option<ClockReading> {
        let before = self.process.now_ms();
        let statement = self.cluster.prepare(READ_CLOCK).ok()?;
        let options = ExecutionOptions { consistency: Consistency::One, page: None };
        let rows = [Vec::new()];
        let asked = self.cluster.execute(node, &statement, &rows, options);
        let answer = timeout(CLOCK_TIMEOUT, asked).await.ok()?.ok()?;
        let there = cells(answer.rows.first()?).first().copied().flatten()?;
        let there = i64::from_be_bytes(there.try_into().ok()?);
        let node = node_id(node);
        Some(ClockReading { node, before, there, after: self.process.now_ms() })
    }

    fn say(&self, request: &StatementRequest, result: &Result<RowPage, ExecutionError>) {
        if !self.trace.on() {
            return;
        }
        let cql: String = request.cql.chars().take(60).collect();
        let outcome = match result {
            Ok(page) if request.profile.is_conditional() => {
                let applied = page.rows.first().and_then(|row| row.get(4)) == Some(&1);
                if applied { "applied".to_owned() } else { "refused".to_owned() }
            }
            Ok(page) => format!("{} rows", page.rows.len()),
            Err(error) => error.to_string(),
        };
        self.trace.say(self.process.name(), format!("{:?} {cql}: {outcome}", request.profile));
    }
}

impl StatementCall {
    fn next_node(&self) -> Option<usize> {
        self.plan.lock().expect("nothing panics with the plan in its hand").pop_front()
    }
}

#[async_trait]
impl CqlCluster for SimulatedSession {
    async fn prepare(&self, cql: &'static str) -> Result<StatementColumns, ExecutionError> {
        self.process.gate().await;
        let statement = self.cluster.prepare(cql).map_err(unknown)?;
        Ok(StatementColumns { parameters: statement.parameters(), columns: statement.columns() })
    }

    async fn execute(&self, request: StatementRequest) -> Result<RowPage, ExecutionError> {
        self.process.gate().await;
        if let Some(tamper) = &self.tamper
            && let Some(answer) = tamper.before(&request).await
        {
            self.process.gate().await;
            return answer;
        }
        let result = self.sent(&request).await;
        self.process.gate().await;
        let result = match &self.tamper {
            Some(tamper) => tamper.after(&request, result),
            None => result,
        };
        self.trace.statement();
        self.say(&request, &result);
        result
    }

    async fn clocks(&self) -> Vec<Option<ClockReading>> {
        self.process.gate().await;
        let asked = (0..self.cluster.nodes()).map(|node| async move {
            if self.cluster.is_connected(node) { self.clock_of(node).await } else { None }
        });
        let clocks = join_all(asked).await;
        self.process.gate().await;
        clocks
    }

    fn allow(&self, nodes: HashSet<Uuid>) {
        *self.allowed.lock().expect("nothing panics with them in its hand") = Some(nodes);
    }

    fn copies(&self) -> (CopyCounts, CopyCounts) {
        let in_dc1 = |copies| CopyCounts::from([("dc1".to_owned(), copies)]);
        let (copies, confirmed) = self.cluster.copies();
        (in_dc1(copies), in_dc1(confirmed))
    }

    fn engine(&self) -> CqlEngine {
        self.cluster.engine()
    }

    fn now_ms(&self) -> i64 {
        self.process.now_ms()
    }
}

/// The host id of a node.
fn node_id(node: usize) -> Uuid {
    Uuid::from_u128(node as u128)
}

fn attempt_error(failure: CoordinatorFailure) -> RequestAttemptError {
    match failure {
        CoordinatorFailure::Refused(error, text) => RequestAttemptError::DbError(error, text),
        CoordinatorFailure::Broken => RequestAttemptError::BrokenConnectionError(
            BrokenConnectionErrorKind::ChannelError.into(),
        ),
    }
}

/// The error of a statement that the schema does not know.
fn unknown(why: String) -> ExecutionError {
    RequestAttemptError::DbError(DbError::SyntaxError, why).into()
}
