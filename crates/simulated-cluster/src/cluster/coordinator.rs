//! One statement on the node that coordinates it.

use cql_session::{BoundValue, CqlEngine};
use scylla::errors::DbError;
use scylla::statement::Consistency;
use tokio::sync::oneshot;

use super::{CoordinatorAnswer, CoordinatorFailure, ExecutionOptions, NodeReach, SimulatedCluster};
use crate::cql::{CqlStatement, StatementExecution, StatementKind, clock_row};

/// The work of one statement.
pub(super) struct StatementCoordinator {
    pub(super) cluster: SimulatedCluster,
    pub(super) node: usize,
    /// How often the node had died when the work began: it does not go on after another time.
    deaths: u64,
}

impl StatementCoordinator {
    pub(super) fn new(cluster: &SimulatedCluster, node: usize) -> StatementCoordinator {
        let deaths = cluster.with(|state| *state.nodes[node].deaths.borrow());
        StatementCoordinator { cluster: cluster.clone(), node, deaths }
    }

    pub(super) async fn run(
        &self,
        statement: &CqlStatement,
        rows: &[Vec<BoundValue>],
        options: &ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        self.awake().await?;
        let is_paged = options.page.is_some();
        let execution = StatementExecution { statement, rows, is_paged };
        execution.check().map_err(|(error, why)| CoordinatorFailure::Refused(error, why))?;
        let values = rows.first().map(Vec::as_slice).unwrap_or_default();
        match statement.kind() {
            StatementKind::Clock => {
                let now_ms = self.cluster.with(|state| state.clock_us(self.node)) / 1_000;
                Ok(CoordinatorAnswer { rows: vec![clock_row(now_ms)], next: None })
            }
            StatementKind::Write => self.write(statement, rows, options.consistency).await,
            StatementKind::Conditional if rows.len() > 1 => {
                Err(invalid("a batch with conditions is not known here"))
            }
            StatementKind::Conditional => match self.cluster.engine() {
                CqlEngine::Cassandra => self.change(statement, values).await,
                CqlEngine::Scylla => self.change_in_turn(statement, values).await,
            },
            StatementKind::Read if is_serial(options.consistency) => match self.cluster.engine() {
                CqlEngine::Cassandra => self.serial_read(statement, values, options).await,
                CqlEngine::Scylla => self.read_in_turn(statement, values, options).await,
            },
            StatementKind::Read => self.read(statement, values, options).await,
        }
    }

    /// Answers the client, unless the answer is lost.
    pub(super) async fn send_back(
        &self,
        answer: Result<CoordinatorAnswer, CoordinatorFailure>,
        back: Option<u64>,
        client: oneshot::Sender<Result<CoordinatorAnswer, CoordinatorFailure>>,
    ) {
        let Some(back) = back else {
            self.cluster.trace().fault("answer to a client lost");
            return;
        };
        self.cluster.pause(back).await;
        if self.awake().await.is_ok() {
            // The client may have given up.
            client.send(answer).ok();
        }
    }

    /// Waits while the node is frozen.
    pub(super) async fn awake(&self) -> Result<(), CoordinatorFailure> {
        let reach = self.cluster.thawed(self.node, self.node).await;
        let deaths = self.cluster.with(|state| *state.nodes[self.node].deaths.borrow());
        match reach == NodeReach::Ready && deaths == self.deaths {
            true => Ok(()),
            false => Err(CoordinatorFailure::Broken),
        }
    }

    /// The replicas of a token that it takes for alive.
    pub(super) fn alive(
        &self,
        token: u64,
        consistency: Consistency,
    ) -> Result<Vec<usize>, CoordinatorFailure> {
        let required = self.required(consistency);
        let alive = self.cluster.with(|state| state.alive(self.node, token));
        if alive.len() >= required {
            return Ok(alive);
        }
        let (required, alive) = (number(required), number(alive.len()));
        Err(refused(DbError::Unavailable { consistency, required, alive }))
    }

    /// Replicas that have to answer.
    pub(super) fn required(&self, consistency: Consistency) -> usize {
        match consistency {
            Consistency::Any | Consistency::One | Consistency::LocalOne => 1,
            Consistency::All => self.cluster.with(|state| state.copies_here()),
            _ => self.quorum(),
        }
    }

    /// Replicas that decide.
    pub(super) fn quorum(&self) -> usize {
        self.cluster.with(|state| state.quorum())
    }
}

fn is_serial(consistency: Consistency) -> bool {
    matches!(consistency, Consistency::Serial | Consistency::LocalSerial)
}

/// A number as the protocol writes it.
pub(super) fn number(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

pub(super) fn refused(error: DbError) -> CoordinatorFailure {
    CoordinatorFailure::Refused(error, String::new())
}

/// A statement that the schema cannot make sense of.
pub(super) fn invalid(why: impl Into<String>) -> CoordinatorFailure {
    CoordinatorFailure::Refused(DbError::Invalid, why.into())
}
