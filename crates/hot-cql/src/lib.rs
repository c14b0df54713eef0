//! The hot store on ScyllaDB or Apache Cassandra: any number of processes work on one cluster
//! at the same time.
//!
//! Each protocol is a series of writes, and one of them decides. A change of a coupon is decided by
//! one conditional update of the coupon's row. Index rows, leases and counts follow from the rows
//! and are checked against them.
//!
//! *To resolve* a write whose outcome is unknown: to find out whether it was applied. *Keyed lock*:
//! within one process, one conditional update at a time in each CQL partition.

mod announcing;
mod archiving;
mod audit_events;
mod campaigns;
mod changes;
mod claims;
mod codes;
mod counts;
mod coupons;
mod facts;
mod feed;
mod import;
mod importer;
mod index_rows;
mod inventory;
mod issuing;
mod lists;
mod options;
mod orders;
mod partitions;
mod people;
mod reconcile;
mod row_cache;
mod spread;
mod stock;
mod store;
mod untouched;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::{Day, Millis};
use cql_session::{
    AboutCluster, COMPARED_EVERY_ROUNDS, ClockDifference, ConnectError, CopyGuard, CqlCluster,
    CqlSession, CqlTables, ErasingCache, FeedTrouble, KeyedLock, Resolutions, WriteAttempts,
    coupon_row,
};
use hot::records::{AuditLog, RecordSource, Records};
use hot::tables::Tables;
use hot::{Archive, HotError};
use parking_lot::{Mutex, RwLock};
use router::KeyRing;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

pub use announcing::FEED_SHARDS;
pub use feed::EventsAside;
pub use options::{CqlOptions, EVENTS_KEEP};
pub use spread::PARTITION_ROWS;

pub struct CqlHot {
    store: Arc<CqlStore>,
    upkeep: JoinHandle<()>,
    tables: Arc<CqlTables>,
    /// `None`: it keeps none.
    records: Option<Arc<dyn Records>>,
}

impl Drop for CqlHot {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

struct CqlStore {
    session: Arc<CqlSession>,
    options: CqlOptions,
    keys: KeyRing,
    archive: Arc<dyn Archive>,
    /// The name of this process among the others; a restart makes a new one.
    process: Uuid,
    write_locks: KeyedLock,
    /// One change of a coupon at a time.
    coupon_locks: KeyedLock,
    /// One request at a time of a user who is given a coupon.
    user_locks: KeyedLock,
    resolved: Resolutions,
    known: campaigns::CampaignCache,
    row_cache: row_cache::RowCache,
    bits: RwLock<HashMap<Day, u8>>,
    stock: stock::OfferQueues,
    ahead: untouched::ScanCache,
    spreads: spread::SpreadCache,
    used_up: RwLock<HashSet<(CampaignId, BatchId)>>,
    counts: counts::ProcessCounts,
    /// Closed coupons that are not in their queues yet, with the instants since which they are closed.
    closed: Mutex<BTreeMap<Day, Vec<(Millis, Code)>>>,
    /// One task at a time writes closed coupons into their queues.
    queueing: tokio::sync::Mutex<()>,
    /// Coupons that this process has evicted: they need not be read again with their queue.
    gone: Mutex<HashSet<(Day, Code)>>,
    campaign_days: RwLock<HashSet<(String, Day)>>,
    merge: archiving::KeptMerge,
    /// Whether there are long codes, and when that was read.
    long_codes: Mutex<Option<(bool, Instant)>>,
    announced: OnceCell<()>,
    clock: ClockDifference,
    copies: CopyGuard,
    erasing: ErasingCache,
    /// `None`: it keeps no events.
    feed: Option<announcing::FeedState>,
    feed_runs: feed::RunCache,
    feed_trouble: FeedTrouble,
    /// Set before the first call, if records are kept.
    log: OnceLock<Arc<dyn AuditLog>>,
}

impl CqlHot {
    /// `keys` mint its codes; `archive` has the coupons that were moved to cold.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`ConnectError::Away`] the call may be repeated.
    pub async fn connect(
        options: CqlOptions,
        keys: impl Into<KeyRing>,
        archive: Arc<dyn Archive>,
    ) -> Result<CqlHot, ConnectError> {
        let session = CqlSession::connect(&options.connection).await?;
        session.has_schema(&options.connection.keyspace).await?;
        CqlHot::open(session, options, keys.into(), archive).await
    }

    /// For the simulator, whose cluster has the tables of this release.
    ///
    /// # Errors
    /// [`ConnectError`]; after [`ConnectError::Away`] the call may be repeated.
    pub async fn on(
        cluster: Arc<dyn CqlCluster>,
        options: CqlOptions,
        keys: impl Into<KeyRing>,
        archive: Arc<dyn Archive>,
    ) -> Result<CqlHot, ConnectError> {
        CqlHot::open(CqlSession::on(cluster), options, keys.into(), archive).await
    }

    async fn open(
        session: CqlSession,
        options: CqlOptions,
        keys: KeyRing,
        archive: Arc<dyn Archive>,
    ) -> Result<CqlHot, ConnectError> {
        let limit = options.call_limit;
        let keep = options.events_keep;
        let process = Uuid::now_v7();
        let feed = keep.map(|keep| announcing::FeedState::new(keep, options.feed_shards, process));
        let store = CqlStore {
            session: Arc::new(session),
            options,
            keys,
            archive,
            process,
            write_locks: KeyedLock::new(limit),
            coupon_locks: KeyedLock::new(limit),
            user_locks: KeyedLock::new(limit),
            resolved: Resolutions::default(),
            known: campaigns::CampaignCache::default(),
            row_cache: row_cache::RowCache::default(),
            bits: RwLock::default(),
            stock: stock::OfferQueues::default(),
            ahead: untouched::ScanCache::default(),
            spreads: spread::SpreadCache::default(),
            used_up: RwLock::default(),
            counts: counts::ProcessCounts::default(),
            closed: Mutex::default(),
            queueing: tokio::sync::Mutex::default(),
            gone: Mutex::default(),
            campaign_days: RwLock::default(),
            merge: archiving::KeptMerge::default(),
            long_codes: Mutex::default(),
            announced: OnceCell::new(),
            clock: ClockDifference::default(),
            copies: CopyGuard::default(),
            erasing: ErasingCache::default(),
            feed,
            feed_runs: feed::RunCache::new(limit),
            feed_trouble: FeedTrouble::default(),
            log: OnceLock::new(),
        };
        let store = Arc::new(store);
        let away = |error: HotError| ConnectError::Away(error.into());
        // Before the first write, whose slot and times follow this clock.
        store.clock.measure(&store.session).await.map_err(away)?;
        store.clock.check(store.session.now_ms()).map_err(ConnectError::Clock)?;
        // Boxed: the simulator calls this from deep below.
        Box::pin(store.look_at_copies()).await.map_err(away)?;
        store.copies.check().map_err(ConnectError::Copies)?;
        if store.feed.is_some() {
            store.begin_feed().await.map_err(away)?;
        }
        let upkeep = tokio::spawn(upkeep(Arc::clone(&store)));
        let tables = Arc::new(CqlTables::new(Arc::clone(&store.session)));
        Ok(CqlHot { store, upkeep, tables, records: None })
    }

    /// The same store with records beside coupons. `make` gets where their rows are and what they are made from, and
    /// returns where the audit events of campaigns go, and the records.
    pub fn with_records(
        mut self,
        make: impl FnOnce(
            Arc<dyn Tables>,
            Arc<dyn RecordSource>,
        ) -> (Arc<dyn AuditLog>, Arc<dyn Records>),
    ) -> CqlHot {
        let source = Arc::clone(&self.store) as Arc<dyn RecordSource>;
        let (log, records) = make(Arc::clone(&self.tables) as Arc<dyn Tables>, source);
        // The store keeps the log, and the records keep the store.
        let _ = self.store.log.set(log);
        self.records = Some(records);
        self
    }

    pub fn session(&self) -> &Arc<CqlSession> {
        &self.store.session
    }

    /// What each known node says of itself. Takes as long as the slowest one, some seconds at most.
    ///
    /// # Errors
    /// Those of a read. A node that does not answer is not an error.
    pub async fn about(&self) -> Result<AboutCluster, HotError> {
        self.store.session.about(&self.store.options.connection.keyspace).await
    }

    /// Which events wait because they could not be read.
    pub async fn events_aside(&self) -> Result<EventsAside, HotError> {
        let Some(feed) = &self.store.feed else { return Ok(EventsAside::default()) };
        self.store.asides_now(feed).await
    }

    /// Writes counts and the queues of closed coupons, and gives back what this process has leased.
    /// No protocol depends on it; the next process is only quicker.
    pub async fn flush(&self) {
        self.store.counts.write_down(&self.store).await;
        self.store.write_closed().await;
        self.store.give_back_all().await;
    }
}

impl CqlStore {
    fn attempts(&self, what: &'static str) -> WriteAttempts {
        WriteAttempts::new(what, self.options.call_limit)
    }

    /// Refuses to write while the clocks differ, or while other copies are confirmed.
    fn may_write(&self) -> Result<(), HotError> {
        let checked = self.clock.check(self.session.now_ms()).and_then(|()| self.copies.check());
        checked.map_err(|why| HotError::Unavailable(why.into()))
    }

    /// Refuses to give something to a person who is being erased. To be called as late as possible before the write.
    async fn may_be_given<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<(), HotError> {
        self.session.erasing(&self.erasing).await?.may_be_given(users)
    }

    async fn look_at_copies(&self) -> Result<(), HotError> {
        let connection = &self.options.connection;
        let datacenter = connection.datacenter.as_deref();
        self.copies.look(&self.session, &connection.keyspace, datacenter).await
    }
}

/// Does every second what no call waits for.
async fn upkeep(store: Arc<CqlStore>) {
    let mut rounds = tokio::time::interval(counts::WRITTEN_EVERY);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        rounds.tick().await;
        store.counts.write_down(&store).await;
        store.write_closed().await;
        store.give_back_quiet().await;
        round = round.wrapping_add(1);
        if round.is_multiple_of(stock::RENEWED_EVERY_ROUNDS) {
            store.renew_leases().await;
        }
        if round.is_multiple_of(COMPARED_EVERY_ROUNDS) {
            if let Err(error) = store.clock.measure(&store.session).await {
                tracing::debug!(error = %error, "the cluster's clock could not be read");
            }
            if let Err(error) = store.look_at_copies().await {
                tracing::debug!(error = %error, "the number of copies could not be read");
            }
        }
    }
}
