//! The session with a cluster: it sends the statements of the store, and knows how the driver
//! behaves. Only the schema and what each node says of itself are asked of the driver directly. What
//! every protocol on a cluster needs is here as well: [`WriteAttempts`] resolves a write whose outcome is
//! unknown, [`KeyedLock`] keeps the writers of one CQL partition apart.
//!
//! Every statement is prepared once and sent with one of six profiles ([`StatementProfile`]), to the
//! driver, or to the [`CqlCluster`] of the simulator. No conditional update is retried here;
//! `outcome` says what is known after an error.

mod about;
mod accounts;
pub mod announcement;
mod campaign_counts;
pub mod campaign_rows;
pub mod claim_rows;
mod clock;
mod cluster;
mod connect_error;
mod connection;
mod copies;
pub mod coupon_columns;
pub mod coupon_row;
pub mod coupon_values;
mod driver;
mod engine;
mod erasing;
pub mod feed_changes;
pub mod feed_cursor;
mod feed_epochs;
mod feed_lists;
mod feed_marks;
mod feed_trouble;
mod keyed_lock;
mod keyspace_address;
pub mod naming_rows;
mod outcome;
mod profiles;
pub mod resolution;
mod resolving;
mod results;
mod routing;
mod scan_position;
mod schema;
mod settings;
pub mod spread;
mod tables;
mod tls;
pub mod values;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hot::HotError;
use hot::clock::system_ms;
use parking_lot::RwLock;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use scylla::serialize::row::SerializeRow;
use scylla::value::Row;
use uuid::Uuid;

use crate::outcome::of_conditional;
pub use about::{AboutCluster, AboutNode, NodeReply};
pub use campaign_counts::{CountKey, CountSums};
pub use clock::{
    CLOCK_BOUND_MS, CLOCK_DIFFERENCE_MAX_MS, COMPARED_EVERY_ROUNDS, ClockDifference, ClockReading,
    NODE_DIFFERENCE_MAX_MS, middle_of,
};
pub use cluster::{BoundValue, CqlCluster, RowPage, StatementColumns, StatementRequest};
pub use connect_error::ConnectError;
pub use connection::ConnectionSettings;
pub use copies::{CopyCounts, CopyGuard};
use driver::ScyllaDriver;
pub use engine::{CqlEngine, engine_of};
pub use erasing::{ERASING_KNOWN, ErasingCache, ErasingPeople};
pub use feed_epochs::FeedEpochs;
pub use feed_lists::FeedList;
pub use feed_marks::FeedMarks;
pub use feed_trouble::FeedTrouble;
pub use keyed_lock::KeyedLock;
pub use keyspace_address::{BadKeyspaceAddress, KeyspaceAddress};
pub use outcome::Cas;
pub use profiles::StatementProfile;
pub use resolving::{CALL_LIMIT, Resolutions, WriteAttempts};
pub use results::{OwnedRow, damaged, rows_of};
use results::{applied, bound, rows_in, unread};
pub use schema::{Keyspace, SchemaDifference, SchemaOptions};
pub use tables::CqlTables;
pub use tls::TlsSettings;

pub type Result<T> = std::result::Result<T, HotError>;

const PAGE_ROWS: i32 = 2_000;

pub struct CqlSession {
    cluster: ClusterBackend,
    pub counts: StatementCounts,
    /// The time of the last plain write that named one, in microseconds since 1970.
    written_at: AtomicI64,
}

/// Not one trait for both: the driver takes values as they are and gives rows without copies.
enum ClusterBackend {
    Driver(Box<ScyllaDriver>),
    Other(OtherCluster),
}

struct OtherCluster {
    cluster: Arc<dyn CqlCluster>,
    prepared: RwLock<HashMap<&'static str, StatementColumns>>,
}

impl OtherCluster {
    async fn prepared(&self, cql: &'static str) -> Result<StatementColumns> {
        if let Some(statement) = self.prepared.read().get(cql) {
            return Ok(statement.clone());
        }
        let statement = self.cluster.prepare(cql).await.map_err(unread)?;
        self.prepared.write().insert(cql, statement.clone());
        Ok(statement)
    }
}

/// Statements sent since the process began.
#[derive(Default)]
pub struct StatementCounts {
    /// Reads, pages included.
    pub reads: AtomicU64,
    pub serial_reads: AtomicU64,
    /// Plain writes; a batch is one.
    pub writes: AtomicU64,
    pub changes: AtomicU64,
    /// Of those, sent a second time.
    pub again: AtomicU64,
}

impl CqlSession {
    /// # Errors
    /// [`ConnectError`]; after [`ConnectError::Away`] the call may be repeated.
    pub async fn connect(
        connection: &ConnectionSettings,
    ) -> std::result::Result<CqlSession, ConnectError> {
        let cluster = ClusterBackend::Driver(Box::new(ScyllaDriver::connect(connection).await?));
        Ok(CqlSession::of(cluster))
    }

    /// A session with a cluster that is not the driver's.
    pub fn on(cluster: Arc<dyn CqlCluster>) -> CqlSession {
        let cluster = ClusterBackend::Other(OtherCluster { cluster, prepared: RwLock::default() });
        CqlSession::of(cluster)
    }

    fn of(cluster: ClusterBackend) -> CqlSession {
        CqlSession { cluster, counts: StatementCounts::default(), written_at: AtomicI64::new(0) }
    }

    /// A time for a plain write: later than that of any before it. Without one the clock of the node that
    /// coordinates it counts.
    pub fn write_time(&self) -> i64 {
        let now = self.now_ms().saturating_mul(1_000);
        let next = |last: i64| Some(now.max(last + 1));
        let last = self.written_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or_default() + 1)
    }

    /// `None` on another cluster.
    pub fn driver(&self) -> Option<&Session> {
        match &self.cluster {
            ClusterBackend::Driver(driver) => Some(&driver.session),
            ClusterBackend::Other(_) => None,
        }
    }

    pub fn engine(&self) -> CqlEngine {
        match &self.cluster {
            ClusterBackend::Driver(driver) => engine_of(&driver.session),
            ClusterBackend::Other(other) => other.cluster.engine(),
        }
    }

    pub fn now_ms(&self) -> i64 {
        match &self.cluster {
            ClusterBackend::Driver(_) => system_ms(),
            ClusterBackend::Other(other) => other.cluster.now_ms(),
        }
    }

    pub(crate) async fn clocks(&self) -> Vec<Option<ClockReading>> {
        match &self.cluster {
            ClusterBackend::Driver(driver) => driver.clocks().await,
            ClusterBackend::Other(other) => other.cluster.clocks().await,
        }
    }

    /// From now on statements go to these nodes only.
    pub(crate) fn allow(&self, nodes: HashSet<Uuid>) {
        match &self.cluster {
            ClusterBackend::Driver(driver) => driver.allowed.set(nodes),
            ClusterBackend::Other(other) => other.cluster.allow(nodes),
        }
    }

    pub(crate) async fn copies(&self, keyspace: &str) -> Result<(CopyCounts, CopyCounts)> {
        match &self.cluster {
            ClusterBackend::Driver(_) => about::copies(self, keyspace).await,
            ClusterBackend::Other(other) => Ok(other.cluster.copies()),
        }
    }

    fn count(&self, profile: StatementProfile) {
        if profile == StatementProfile::Again {
            self.counts.again.fetch_add(1, Ordering::Relaxed);
        }
        let counter = match profile {
            // The only plain writes with `Bulk` are batches, which count themselves.
            StatementProfile::Read | StatementProfile::Bulk => &self.counts.reads,
            StatementProfile::Serial => &self.counts.serial_reads,
            StatementProfile::Write => &self.counts.writes,
            StatementProfile::Change | StatementProfile::Again => &self.counts.changes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The inner error is the cluster's.
    async fn send<R: OwnedRow>(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
        from: Option<PagingState>,
    ) -> Result<std::result::Result<(Vec<R>, Option<PagingState>), ExecutionError>> {
        match &self.cluster {
            ClusterBackend::Driver(driver) => {
                let statement = driver.prepared(profile, cql).await?;
                self.count(profile);
                match driver.execute(&statement, values, from).await {
                    Ok((result, next)) => Ok(Ok((rows_of(result)?, next))),
                    Err(error) => Ok(Err(error)),
                }
            }
            ClusterBackend::Other(other) => {
                let statement = other.prepared(cql).await?;
                self.count(profile);
                let rows = vec![bound(&statement, &values)?];
                let request = StatementRequest { cql, rows, profile, from, page_rows: PAGE_ROWS };
                match other.cluster.execute(request).await {
                    Ok(page) => Ok(Ok((rows_in(&statement, &page)?, page.next))),
                    Err(error) => Ok(Err(error)),
                }
            }
        }
    }

    pub async fn rows<R: OwnedRow>(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Vec<R>> {
        let (rows, _) = self.send(profile, cql, values, None).await?.map_err(unread)?;
        Ok(rows)
    }

    pub async fn row_with<R: OwnedRow>(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<R>> {
        Ok(self.rows(profile, cql, values).await?.into_iter().next())
    }

    /// With [`StatementProfile::Read`].
    pub async fn row<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Option<R>> {
        self.row_with(StatementProfile::Read, cql, values).await
    }

    /// The one column of a read that has at most one row; `None` also if it is null.
    pub async fn value<T>(&self, cql: &'static str, values: impl SerializeRow) -> Result<Option<T>>
    where
        (Option<T>,): OwnedRow,
    {
        let row: Option<(Option<T>,)> = self.row(cql, values).await?;
        Ok(row.and_then(|(value,)| value))
    }

    pub async fn has(&self, cql: &'static str, values: impl SerializeRow) -> Result<bool> {
        let row: Option<Row> = self.row(cql, values).await?;
        Ok(row.is_some())
    }

    /// One page of a scan and where the next begins; `None` after the last. With [`StatementProfile::Bulk`].
    pub async fn page<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow,
        from: PagingState,
    ) -> Result<(Vec<R>, Option<PagingState>)> {
        self.send(StatementProfile::Bulk, cql, values, Some(from)).await?.map_err(unread)
    }

    /// A page of a scan of a whole table, and its position. That is the engine's paging state: one CQL partition may have
    /// more rows than a page.
    pub async fn scan_page<R: OwnedRow>(
        &self,
        cql: &'static str,
        after: Option<&str>,
    ) -> Result<(Vec<R>, Option<String>)> {
        let from = match after {
            None => PagingState::start(),
            Some(text) => PagingState::new_from_raw_bytes(scan_position::bytes_of(text)?),
        };
        let (rows, next) = self.page::<R>(cql, (), from).await?;
        let text = |state: PagingState| state.as_bytes_slice().map(|it| scan_position::text_of(it));
        Ok((rows, next.and_then(text)))
    }

    /// All rows, each page with [`StatementProfile::Read`]. Holds them in memory.
    pub async fn scan<R: OwnedRow>(
        &self,
        cql: &'static str,
        values: impl SerializeRow + Clone,
    ) -> Result<Vec<R>> {
        let (mut all, mut from) = (Vec::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let sent = self.send(StatementProfile::Read, cql, values.clone(), Some(state));
            let (rows, next) = sent.await?.map_err(unread)?;
            all.extend(rows);
            from = next;
        }
        Ok(all)
    }

    /// A plain write, which may be repeated: after an error it may or may not be applied.
    pub async fn write(&self, cql: &'static str, values: impl SerializeRow) -> Result<()> {
        let sent = self.send::<Row>(StatementProfile::Write, cql, values, None);
        sent.await?.map(drop).map_err(unread)
    }

    /// Plain writes to one CQL partition in one unlogged batch, which the engine applies as one
    /// mutation.
    pub async fn write_all<V: SerializeRow>(
        &self,
        cql: &'static str,
        mut values: Vec<V>,
    ) -> Result<()> {
        match values.len() {
            0 => return Ok(()),
            1 => return self.write(cql, values.remove(0)).await,
            _ => {}
        }
        match &self.cluster {
            ClusterBackend::Driver(driver) => {
                let statement = driver.prepared(StatementProfile::Bulk, cql).await?;
                self.count(StatementProfile::Write);
                driver.batch(&statement, values).await.map_err(unread)
            }
            ClusterBackend::Other(other) => {
                let statement = other.prepared(cql).await?;
                self.count(StatementProfile::Write);
                let rows =
                    values.iter().map(|row| bound(&statement, row)).collect::<Result<_>>()?;
                let (profile, page_rows) = (StatementProfile::Bulk, PAGE_ROWS);
                let request = StatementRequest { cql, rows, profile, from: None, page_rows };
                other.cluster.execute(request).await.map(drop).map_err(unread)
            }
        }
    }

    /// A conditional update, sent once. What is known of it is no error.
    pub async fn change(
        &self,
        profile: StatementProfile,
        cql: &'static str,
        values: impl SerializeRow,
    ) -> Result<Cas> {
        match self.send(profile, cql, values, None).await? {
            Ok((rows, _)) => Ok(if applied(rows)? { Cas::Applied } else { Cas::Refused }),
            Err(error) => Ok(of_conditional(error)),
        }
    }
}
