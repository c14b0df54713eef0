//! A real engine, behind the driver.

use std::time::{Duration, Instant};

use cql_session::KeyspaceAddress;
use cql_session::{Keyspace, SchemaOptions};
use hot_cql::CqlOptions;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::metadata::Table;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryResult;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, MaybeUnset, Row};
use tokio::time::sleep;

/// Names a node that somebody has, `host:port`: ScyllaDB, too.
const NODE: &str = "COUPONRY_DIFFERENTIAL_NODE";

/// What a node says that has not heard of the tables yet: the statement was prepared at another one.
const NOT_LEARNED: &str = "unconfigured table";

/// Nodes tell each other within seconds.
const LEARNS_WITHIN: Duration = Duration::from_secs(60);

const ASKED_EVERY: Duration = Duration::from_millis(200);

const KEYSPACE: &str = "differential";

/// A value of a parameter.
pub(crate) type ParameterValue = MaybeUnset<Option<CqlValue>>;

pub(crate) struct RealEngine {
    session: Session,
}

impl RealEngine {
    /// `None` if this machine cannot run one.
    pub(crate) async fn start() -> Option<RealEngine> {
        let nodes = match std::env::var(NODE) {
            Ok(node) => node,
            Err(_) => {
                let start = tokio::task::spawn_blocking(|| testcluster::shared(1));
                start.await.unwrap()?.addresses().to_owned()
            }
        };
        let address: KeyspaceAddress = format!("cql://{nodes}/{KEYSPACE}").parse().unwrap();
        let mut options = CqlOptions::of(&address);
        options.connection.patience = testcluster::STEADY_PATIENCE;
        let keyspace = Keyspace::connect(&options.connection).await.unwrap();
        keyspace.apply(&SchemaOptions::default()).await.unwrap();
        let builder =
            SessionBuilder::new().known_nodes(address.nodes()).use_keyspace(KEYSPACE, false);
        let session = builder.connection_timeout(Duration::from_secs(20)).build().await.unwrap();
        Some(RealEngine { session })
    }

    /// The columns of a table and which of them are its key.
    pub(crate) fn table(&self, name: &str) -> Table {
        let state = self.session.get_cluster_state();
        state.get_keyspace(KEYSPACE).unwrap().tables[name].clone()
    }

    pub(crate) async fn prepare(&self, cql: &str) -> PreparedStatement {
        let prepared = self.session.prepare(cql).await;
        let mut prepared = prepared.unwrap_or_else(|error| panic!("{cql}: {error}"));
        prepared.set_request_timeout(Some(Duration::from_secs(60)));
        prepared
    }

    /// Runs a statement, a write with this write time. An error is one of the statement's.
    pub(crate) async fn run(
        &self,
        statement: &PreparedStatement,
        values: &[ParameterValue],
        written_us: Option<i64>,
    ) -> Result<QueryResult, String> {
        let mut statement = statement.clone();
        statement.set_timestamp(written_us);
        let asked = Instant::now();
        loop {
            return match self.session.execute_unpaged(&statement, values).await {
                Ok(result) => Ok(result),
                Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                    DbError::Invalid,
                    why,
                ))) => {
                    if why.contains(NOT_LEARNED) && asked.elapsed() < LEARNS_WITHIN {
                        sleep(ASKED_EVERY).await;
                        continue;
                    }
                    Err(why)
                }
                Err(error) => panic!("{}: {error}", statement.get_statement()),
            };
        }
    }
}

/// The rows of an answer; none of a plain write.
pub(crate) fn rows_of(result: QueryResult) -> Vec<Row> {
    match result.into_rows_result() {
        Ok(result) => result.rows::<Row>().unwrap().collect::<Result<_, _>>().unwrap(),
        Err(_) => Vec::new(),
    }
}
