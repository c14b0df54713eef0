//! The session with the cluster: only this module sends statements to the driver.
//!
//! Every statement is prepared once and sent with one of six profiles ([`StatementProfile`]).
//! No conditional update is retried here; [`crate::outcome`] says what is known after an error.

mod gate;
mod profiles;
mod results;

use std::collections::{BTreeSet, HashMap};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hot::HotError;
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::ExecutionError;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::Statement;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::Row;

use crate::options::{ConnectError, Options};
use crate::outcome::{Cas, of_conditional};
pub use gate::Gate;
pub(crate) use profiles::StatementProfile;
use profiles::profiles;
pub(crate) use results::{OwnedRow, damaged, rows_of};
use results::{applied, unread};

pub(crate) type Result<T> = std::result::Result<T, HotError>;

const WRITE_TRIES: u32 = 3;

/// Rows of one page of a scan.
const PAGE_ROWS: i32 = 2_000;

/// A connection to a cluster and the statements that were prepared on it.
pub(crate) struct CqlSession {
    session: Session,
    profiles: HashMap<StatementProfile, ExecutionProfileHandle>,
    prepared: RwLock<HashMap<(StatementProfile, &'static str), PreparedStatement>>,
    gate: Option<Gate>,
    pub(crate) counts: Counts,
}

/// Statements sent since the process began.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) serial_reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) changes: AtomicU64,
    /// Of those, sent a second time.
    pub(crate) again: AtomicU64,
}

impl CqlSession {
    pub(crate) async fn connect(
        options: &Options,
    ) -> std::result::Result<CqlSession, ConnectError> {
        let profiles = profiles(options);
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .use_keyspace(&options.keyspace, true)
            .keyspaces_to_fetch([&options.keyspace])
            .connection_timeout(options.patience * Duration::from_secs(3))
            // A frozen node keeps its connections: after these two they are closed.
            .keepalive_interval(Duration::from_secs(2))
            .keepalive_timeout(options.patience * Duration::from_secs(3))
            // Cassandra counts as one shard.
            .pool_size(PoolSize::PerHost(std::num::NonZeroUsize::MIN.saturating_add(1)))
            .default_execution_profile_handle(profiles[&StatementProfile::Read].clone());
        if let Some(datacenter) = &options.datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        if let Some((user, password)) = &options.login {
            builder = builder.user(user, password);
        }
        let builder = crate::tls::with(builder, options.tls.as_ref())?;
        let session = builder.build().await.map_err(ConnectError::of)?;
        Ok(CqlSession {
            session,
            profiles,
            prepared: RwLock::default(),
            gate: options.gate.clone(),
            counts: Counts::default(),
        })
    }

    async fn pass_gate(&self, cql: &'static str) {
        if let Some(Gate(opens)) = &self.gate {
            opens(cql).await;
        }
    }

    /// Paxos runs among the replicas of one data centre. So all writers must use the same one.
    pub(crate) fn one_datacenter(
        &self,
        options: &Options,
    ) -> std::result::Result<(), ConnectError> {
        let state = self.session.get_cluster_state();
        let all: BTreeSet<&str> =
            state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
        let named = options.datacenter.as_deref();
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

    pub(crate) fn driver(&self) -> &Session {
        &self.session
    }

    async fn prepared(
        &self,
        profile: StatementProfile,
        cql: &'static str,
    ) -> Result<PreparedStatement> {
        if let Ok(prepared) = self.prepared.read()
            && let Some(statement) = prepared.get(&(profile, cql))
        {
            return Ok(statement.clone());
        }
        let statement = Statement::new(cql).with_page_size(PAGE_ROWS);
        let prepared = self.session.prepare(statement).await;
        let mut statement = prepared.map_err(|error| HotError::Unavailable(error.into()))?;
        statement.set_execution_profile_handle(self.profiles.get(&profile).cloned());
        statement.set_is_idempotent(!matches!(
            profile,
            StatementProfile::Change | StatementProfile::Again
        ));
        if let Ok(mut prepared) = self.prepared.write() {
            prepared.insert((profile, cql), statement.clone());
        }
        Ok(statement)
    }

    fn count(&self, profile: StatementProfile, many: u64) {
        if profile == StatementProfile::Again {
            self.counts.again.fetch_add(many, Ordering::Relaxed);
        }
        let counter = match profile {
            StatementProfile::Read => &self.counts.reads,
            StatementProfile::Serial => &self.counts.serial_reads,
            StatementProfile::Write | StatementProfile::Bulk => &self.counts.writes,
            StatementProfile::Change | StatementProfile::Again => &self.counts.changes,
        };
        counter.fetch_add(many, Ordering::Relaxed);
    }

    /// The rows of a read that has few.
    pub(crate) async fn rows<R: OwnedRow>(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Vec<R>> {
        let statement = self.prepared(profile, cql).await?;
        self.count(profile, 1);
        let result = self.session.execute_unpaged(&statement, values).await.map_err(unread)?;
        rows_of(result.into_rows_result().map_err(damaged)?)
    }

    /// The row of a read that has at most one.
    pub(crate) async fn row_with<R: OwnedRow>(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<R>> {
        Ok(self.rows(profile, cql, values).await?.into_iter().next())
    }

    /// The same with [`StatementProfile::Read`].
    pub(crate) async fn row<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<R>> {
        self.row_with(StatementProfile::Read, cql, values).await
    }

    /// The one column of a read that has at most one row; `None` also if it is null.
    pub(crate) async fn value<T>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<T>>
    where
        (Option<T>,): OwnedRow,
    {
        let row: Option<(Option<T>,)> = self.row(cql, values).await?;
        Ok(row.and_then(|(value,)| value))
    }

    /// Whether a read has a row.
    pub(crate) async fn has(&self, cql: &'static str, values: impl SerializeRow) -> Result<bool> {
        let row: Option<Row> = self.row(cql, values).await?;
        Ok(row.is_some())
    }

    /// One page of a scan and where the next begins; `None` after the last.
    pub(crate) async fn page<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
        from: PagingState,
    ) -> Result<(Vec<R>, Option<PagingState>)> {
        let statement = self.prepared(StatementProfile::Bulk, cql).await?;
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        let (result, next) =
            self.session.execute_single_page(&statement, values, from).await.map_err(unread)?;
        let rows = rows_of(result.into_rows_result().map_err(damaged)?)?;
        match next {
            PagingStateResponse::HasMorePages { state } => Ok((rows, Some(state))),
            PagingStateResponse::NoMorePages => Ok((rows, None)),
        }
    }

    /// All rows of a scan. Holds them in memory.
    pub(crate) async fn scan<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow + Clone,
    ) -> Result<Vec<R>> {
        let (mut all, mut from) = (Vec::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.page(cql, values.clone(), state).await?;
            all.extend(rows);
            from = next;
        }
        Ok(all)
    }

    /// A plain write, which may be repeated: after an error it may or may not be applied. One that
    /// is not answered in time is sent again, to another node.
    pub(crate) async fn write(
        &self,
        cql: &'static str,
        values: impl SerializeRow + Clone,
    ) -> Result<()> {
        let statement = self.prepared(StatementProfile::Write, cql).await?;
        self.pass_gate(cql).await;
        for tries in 1.. {
            self.count(StatementProfile::Write, 1);
            match self.session.execute_unpaged(&statement, values.clone()).await {
                Ok(_) => return Ok(()),
                Err(ExecutionError::RequestTimeout(_)) if tries < WRITE_TRIES => {}
                Err(error) => return Err(unread(error)),
            }
        }
        unreachable!("the last try returns")
    }

    /// Plain writes to one CQL partition in one unlogged batch, which the engine applies as one
    /// mutation.
    pub(crate) async fn write_all<V: SerializeRow>(
        &self,
        cql: &'static str,
        values: Vec<V>,
    ) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let statement = self.prepared(StatementProfile::Bulk, cql).await?;
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(self.profiles.get(&StatementProfile::Bulk).cloned());
        batch.set_is_idempotent(true);
        for _ in &values {
            batch.append_statement(statement.clone());
        }
        self.pass_gate(cql).await;
        self.count(StatementProfile::Bulk, 1);
        self.session.batch(&batch, values).await.map(drop).map_err(unread)
    }

    /// A conditional update, sent once.
    pub(crate) async fn change(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Cas> {
        let statement = self.prepared(profile, cql).await?;
        self.pass_gate(cql).await;
        self.count(profile, 1);
        let result = match self.session.execute_unpaged(&statement, values).await {
            Ok(result) => result.into_rows_result().map_err(damaged)?,
            Err(error) => return Ok(of_conditional(error)),
        };
        Ok(if applied(&result)? { Cas::Applied } else { Cas::Refused })
    }
}
