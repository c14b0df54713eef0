//! The only place that speaks to the driver: which statement goes out with which promises.
//!
//! Every statement is prepared once and sent in one of six manners ([`Manner`]). Nothing here
//! retries a write; what an error says about it is in [`super::outcome`].

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use scylla::client::PoolSize;
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::{
    SimpleSpeculativeExecutionPolicy, SpeculativeExecutionPolicy,
};
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency, Statement};

use super::outcome::{Cas, of_conditional};
use super::routing::{ToReplica, Which};
use super::{ConnectError, Options};
use crate::HotError;

pub(super) type Result<T> = std::result::Result<T, HotError>;

/// Longer than the engines' own limits (2 s for a write, 5 s for a read), so that it is the engine
/// that gives up: a connection on which many requests were given up by us is torn down.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(3);

/// For scans and imports, which nobody waits for at a till.
const BULK_TIMEOUT: Duration = Duration::from_secs(15);

/// A plain write is sent again after so long, as often as it takes to last as long as a conditional
/// one: a node that is frozen answers nobody until it is found out.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1_200);
const WRITE_TRIES: u32 = 3;

/// After so long without an answer a read is sent to a second node too.
const SPECULATE_AFTER: Duration = Duration::from_millis(100);

/// The same for a read through Paxos, which costs as much as a write.
const SPECULATE_SERIAL_AFTER: Duration = Duration::from_millis(500);

/// Rows of one page of a scan.
const PAGE_ROWS: i32 = 2_000;

/// With which promises a statement goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Manner {
    /// A read at a quorum, retried, and sent to a second node when the first is slow.
    Read,
    /// A read through Paxos: it finishes, or ends for good, what was begun in its partition.
    Serial,
    /// A plain write of what may be written twice.
    Write,
    /// A conditional write: sent once, to the first replica.
    Change,
    /// The same write once more, after nobody said what came of the first: to another node, since
    /// the first replica may be frozen.
    Again,
    /// A page of a scan, or a plain write of many rows.
    Bulk,
}

/// A connection to a cluster and the statements that were prepared on it.
pub(super) struct Cluster {
    session: Session,
    profiles: HashMap<Manner, ExecutionProfileHandle>,
    prepared: RwLock<HashMap<(Manner, &'static str), PreparedStatement>>,
    gate: Option<Gate>,
    pub(super) counts: Counts,
}

/// Asked before each statement that writes, with its text; while it has not answered nothing is
/// sent. For tests that stop a process at a step, for ever or for a while.
#[derive(Clone)]
pub struct Gate(Arc<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>);

impl Gate {
    /// A gate that waits for what `opens` returns.
    pub fn new(
        opens: impl Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Gate {
        Gate(Arc::new(opens))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

/// Statements sent since the process began.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) reads: AtomicU64,
    pub(super) serial_reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) changes: AtomicU64,
    /// Of those, so many were sent a second time.
    pub(super) again: AtomicU64,
}

impl Cluster {
    pub(super) async fn connect(options: &Options) -> std::result::Result<Cluster, ConnectError> {
        let profiles = profiles(options);
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .use_keyspace(&options.keyspace, true)
            .keyspaces_to_fetch([&options.keyspace])
            .connection_timeout(options.patience * Duration::from_secs(3))
            // A node that is frozen keeps its connections: they are given up after these two.
            .keepalive_interval(Duration::from_secs(2))
            .keepalive_timeout(options.patience * Duration::from_secs(3))
            // Cassandra counts as one shard.
            .pool_size(PoolSize::PerHost(std::num::NonZeroUsize::MIN.saturating_add(1)))
            .default_execution_profile_handle(profiles[&Manner::Read].clone());
        if let Some(datacenter) = &options.datacenter {
            builder = builder.prefer_datacenter(datacenter.clone());
        }
        if let Some((user, password)) = &options.login {
            builder = builder.user(user, password);
        }
        let builder = super::tls::with(builder, options.tls.as_ref())?;
        let session = builder.build().await.map_err(ConnectError::of)?;
        Ok(Cluster {
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

    /// Paxos among the replicas of one data centre says nothing to those of another: all writers have
    /// to mean the same one.
    pub(super) fn one_datacenter(
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

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    async fn prepared(&self, manner: Manner, cql: &'static str) -> Result<PreparedStatement> {
        if let Ok(prepared) = self.prepared.read()
            && let Some(statement) = prepared.get(&(manner, cql))
        {
            return Ok(statement.clone());
        }
        let statement = Statement::new(cql).with_page_size(PAGE_ROWS);
        let prepared = self.session.prepare(statement).await;
        let mut statement = prepared.map_err(|error| HotError::Unavailable(error.into()))?;
        statement.set_execution_profile_handle(self.profiles.get(&manner).cloned());
        statement.set_is_idempotent(!matches!(manner, Manner::Change | Manner::Again));
        if let Ok(mut prepared) = self.prepared.write() {
            prepared.insert((manner, cql), statement.clone());
        }
        Ok(statement)
    }

    fn count(&self, manner: Manner, many: u64) {
        if manner == Manner::Again {
            self.counts.again.fetch_add(many, Ordering::Relaxed);
        }
        let counter = match manner {
            Manner::Read => &self.counts.reads,
            Manner::Serial => &self.counts.serial_reads,
            Manner::Write | Manner::Bulk => &self.counts.writes,
            Manner::Change | Manner::Again => &self.counts.changes,
        };
        counter.fetch_add(many, Ordering::Relaxed);
    }

    /// The rows of a read that is known to be small.
    pub(super) async fn rows<R>(
        &self,
        manner: Manner,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Vec<R>>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let statement = self.prepared(manner, cql).await?;
        self.count(manner, 1);
        let result = self.session.execute_unpaged(&statement, values).await.map_err(unread)?;
        rows_of(result.into_rows_result().map_err(damaged)?)
    }

    /// The row of a read that has one at most.
    pub(super) async fn row<R>(
        &self,
        manner: Manner,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<R>>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        Ok(self.rows(manner, cql, values).await?.into_iter().next())
    }

    /// One page of a scan and where the next begins; `None` after the last.
    pub(super) async fn page<R>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
        from: PagingState,
    ) -> Result<(Vec<R>, Option<PagingState>)>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let statement = self.prepared(Manner::Bulk, cql).await?;
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
    pub(super) async fn scan<R>(
        &self,
        cql: &'static str,
        values: impl SerializeRow + Clone,
    ) -> Result<Vec<R>>
    where
        R: for<'f> DeserializeRow<'f, 'f>,
    {
        let (mut all, mut from) = (Vec::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.page(cql, values.clone(), state).await?;
            all.extend(rows);
            from = next;
        }
        Ok(all)
    }

    /// A plain write that may be repeated: an error says that it may or may not be there. One that
    /// is not answered soon is sent again, to another node.
    pub(super) async fn write(
        &self,
        cql: &'static str,
        values: impl SerializeRow + Clone,
    ) -> Result<()> {
        let statement = self.prepared(Manner::Write, cql).await?;
        self.pass_gate(cql).await;
        for tries in 1.. {
            self.count(Manner::Write, 1);
            match self.session.execute_unpaged(&statement, values.clone()).await {
                Ok(_) => return Ok(()),
                Err(ExecutionError::RequestTimeout(_)) if tries < WRITE_TRIES => {}
                Err(error) => return Err(unread(error)),
            }
        }
        unreachable!("the last try returns")
    }

    /// Plain writes to one partition in one unlogged batch, which the engine takes as one mutation.
    pub(super) async fn write_all<V: SerializeRow>(
        &self,
        cql: &'static str,
        values: Vec<V>,
    ) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let statement = self.prepared(Manner::Bulk, cql).await?;
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(self.profiles.get(&Manner::Bulk).cloned());
        batch.set_is_idempotent(true);
        for _ in &values {
            batch.append_statement(statement.clone());
        }
        self.pass_gate(cql).await;
        self.count(Manner::Bulk, 1);
        self.session.batch(&batch, values).await.map(drop).map_err(unread)
    }

    /// A conditional write, sent once.
    pub(super) async fn change(
        &self,
        manner: Manner,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Cas> {
        let statement = self.prepared(manner, cql).await?;
        self.pass_gate(cql).await;
        self.count(manner, 1);
        let result = match self.session.execute_unpaged(&statement, values).await {
            Ok(result) => result.into_rows_result().map_err(damaged)?,
            Err(error) => return Ok(of_conditional(error)),
        };
        Ok(if applied(&result)? { Cas::Applied } else { Cas::Refused })
    }
}

/// The engines name other columns besides `[applied]`, and not the same ones: it is the first.
fn applied(result: &QueryRowsResult) -> Result<bool> {
    use scylla::value::{CqlValue, Row};
    let row: Row = result.first_row().map_err(damaged)?;
    match row.columns.into_iter().next() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(applied),
        other => Err(HotError::Damaged(format!("a conditional write was answered with {other:?}"))),
    }
}

fn rows_of<R>(result: QueryRowsResult) -> Result<Vec<R>>
where
    R: for<'f> DeserializeRow<'f, 'f>,
{
    let rows = result.rows::<R>().map_err(damaged)?;
    rows.collect::<std::result::Result<_, _>>().map_err(damaged)
}

fn unread(error: ExecutionError) -> HotError {
    HotError::Unavailable(error.into())
}

pub(super) fn damaged(error: impl std::fmt::Display) -> HotError {
    HotError::Damaged(error.to_string())
}

fn profiles(options: &Options) -> HashMap<Manner, ExecutionProfileHandle> {
    let spread = DefaultPolicy::builder().token_aware(true);
    let spread = match &options.datacenter {
        Some(name) => spread.prefer_datacenter(name.clone()),
        None => spread,
    };
    let spread: Arc<dyn LoadBalancingPolicy> = spread.build();
    let first: Arc<dyn LoadBalancingPolicy> =
        Arc::new(ToReplica::new(Which::First, options.datacenter.as_deref()));
    let next: Arc<dyn LoadBalancingPolicy> =
        Arc::new(ToReplica::new(Which::Next, options.datacenter.as_deref()));
    let profile = |manner: Manner| {
        let timeout = match manner {
            Manner::Bulk => BULK_TIMEOUT,
            Manner::Write => WRITE_TIMEOUT,
            _ => ENGINE_TIMEOUT,
        };
        let builder = ExecutionProfile::builder()
            .consistency(match manner {
                Manner::Serial => Consistency::LocalSerial,
                _ => Consistency::LocalQuorum,
            })
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(options.patience * timeout));
        let builder = match manner {
            Manner::Read => builder
                .load_balancing_policy(Arc::clone(&spread))
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(speculation(SPECULATE_AFTER)),
            Manner::Write | Manner::Bulk => builder
                .load_balancing_policy(Arc::clone(&spread))
                .retry_policy(Arc::new(DefaultRetryPolicy::new())),
            Manner::Serial => builder
                .load_balancing_policy(Arc::clone(&first))
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(speculation(SPECULATE_SERIAL_AFTER)),
            // The driver's own policy would send a conditional write a second time in some cases.
            Manner::Change => builder
                .load_balancing_policy(Arc::clone(&first))
                .retry_policy(Arc::new(FallthroughRetryPolicy::new())),
            Manner::Again => builder
                .load_balancing_policy(Arc::clone(&next))
                .retry_policy(Arc::new(FallthroughRetryPolicy::new())),
        };
        (manner, builder.build().into_handle())
    };
    let all =
        [Manner::Read, Manner::Serial, Manner::Write, Manner::Change, Manner::Again, Manner::Bulk];
    all.map(profile).into_iter().collect()
}

fn speculation(after: Duration) -> Option<Arc<dyn SpeculativeExecutionPolicy>> {
    let (max_retry_count, retry_interval) = (1, after);
    Some(Arc::new(SimpleSpeculativeExecutionPolicy { max_retry_count, retry_interval }))
}
