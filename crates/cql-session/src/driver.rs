//! The real cluster, behind the driver.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hot::HotError;
use parking_lot::RwLock;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::Statement;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use crate::about::clocks;
use crate::connect_error::ConnectError;
use crate::connection::ConnectionSettings;
use crate::profiles::profiles;
use crate::routing::AllowedNodes;
use crate::{ClockReading, PAGE_ROWS, Result, StatementProfile};

pub(crate) struct ScyllaDriver {
    pub(crate) session: Session,
    /// The data centre whose nodes are asked.
    datacenter: Option<String>,
    pub(crate) allowed: Arc<AllowedNodes>,
    profiles: HashMap<StatementProfile, ExecutionProfileHandle>,
    prepared: RwLock<HashMap<(StatementProfile, &'static str), PreparedStatement>>,
}

impl ScyllaDriver {
    pub(crate) async fn connect(
        connection: &ConnectionSettings,
    ) -> std::result::Result<ScyllaDriver, ConnectError> {
        let allowed = Arc::new(AllowedNodes::default());
        let profiles = profiles(connection, &allowed);
        let mut builder = connection
            .builder()?
            .use_keyspace(&connection.keyspace, true)
            .connection_timeout(connection.patience * Duration::from_secs(3))
            // A frozen node keeps its connections: after these two they are closed.
            .keepalive_interval(Duration::from_secs(2))
            .keepalive_timeout(connection.patience * Duration::from_secs(3))
            // ScyllaDB answers on the core that has the partition; Cassandra counts as one shard.
            .pool_size(PoolSize::PerShard(std::num::NonZeroUsize::MIN.saturating_add(1)))
            .default_execution_profile_handle(profiles[&StatementProfile::Read].clone());
        if let Some(datacenter) = &connection.datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        let session = builder.build().await.map_err(ConnectError::of)?;
        let (datacenter, prepared) = (connection.datacenter.clone(), RwLock::default());
        let driver = ScyllaDriver { session, datacenter, allowed, profiles, prepared };
        driver.one_datacenter(connection)?;
        Ok(driver)
    }

    /// Paxos runs among the replicas of one data centre. So all writers must use the same one.
    fn one_datacenter(
        &self,
        connection: &ConnectionSettings,
    ) -> std::result::Result<(), ConnectError> {
        let state = self.session.get_cluster_state();
        let all: BTreeSet<&str> =
            state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
        let named = connection.datacenter.as_deref();
        let names = all.iter().copied().collect::<Vec<_>>().join(", ");
        match named {
            Some(name) if all.contains(name) => Ok(()),
            Some(name) => Err(ConnectError::Setting(format!(
                "the cluster has no data centre {name:?}; it has {names}"
            ))),
            None if all.len() <= 1 => Ok(()),
            None => Err(ConnectError::Setting(format!(
                "the cluster has the data centres {names}: set cql_datacenter to the one that \
                 every process of couponry writes in"
            ))),
        }
    }

    pub(crate) async fn clocks(&self) -> Vec<Option<ClockReading>> {
        clocks(&self.session, self.datacenter.as_deref()).await
    }

    pub(crate) async fn prepared(
        &self,
        profile: StatementProfile,
        cql: &'static str,
    ) -> Result<PreparedStatement> {
        if let Some(statement) = self.prepared.read().get(&(profile, cql)) {
            return Ok(statement.clone());
        }
        let statement = Statement::new(cql).with_page_size(PAGE_ROWS);
        let prepared = self.session.prepare(statement).await;
        let mut statement = prepared.map_err(|error| HotError::Unavailable(error.into()))?;
        statement.set_execution_profile_handle(self.profiles.get(&profile).cloned());
        // The driver may send only these again by itself.
        statement.set_is_idempotent(!profile.is_conditional());
        self.prepared.write().insert((profile, cql), statement.clone());
        Ok(statement)
    }

    pub(crate) async fn execute(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        from: Option<PagingState>,
    ) -> std::result::Result<(QueryResult, Option<PagingState>), ExecutionError> {
        let Some(from) = from else {
            return Ok((self.session.execute_unpaged(statement, values).await?, None));
        };
        let (result, next) = self.session.execute_single_page(statement, values, from).await?;
        Ok(match next {
            PagingStateResponse::HasMorePages { state } => (result, Some(state)),
            PagingStateResponse::NoMorePages => (result, None),
        })
    }

    pub(crate) async fn batch<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        values: Vec<V>,
    ) -> std::result::Result<(), ExecutionError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(self.profiles.get(&StatementProfile::Bulk).cloned());
        batch.set_is_idempotent(true);
        for _ in &values {
            batch.append_statement(statement.clone());
        }
        self.session.batch(&batch, values).await.map(drop)
    }
}
