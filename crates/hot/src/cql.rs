//! The hot store on ScyllaDB or Apache Cassandra: any number of processes side by side on one
//! cluster. Each protocol is a series of writes of which one decides; what is only a hint, a lease
//! or a count stands beside it and is checked against it.
//!
//! *The truth*: the row of a coupon, changed by one conditional write a change. *To settle*: to find
//! out what came of a write whose outcome nobody told us. *Turn*: one conditional write at a time in
//! each partition, as far as one process is concerned.

mod about;
mod accounts;
mod adopt;
mod audit;
mod campaigns;
mod claims;
mod clock;
mod codes;
mod copying;
mod coupons;
mod days;
mod dialect;
mod examine;
mod hints;
mod import;
mod issuing;
mod lists;
mod merging;
mod outcome;
mod recent;
mod routing;
mod schema;
mod session;
mod settling;
mod several;
mod shelves;
mod spread;
mod stock;
mod tallies;
mod target;
mod tls;
mod turns;
mod untouched;
mod values;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::{Batch, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::imported::ImportRun;
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use router::{Address, BUCKET_BITS_DEFAULT, Directory, Entry, Found, KeyRing, Owner};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Account, Adopted, Applied, Archive, CampaignPatch, CampaignRow, ClosedShelf, ColdMark,
    Emptying, Fact, Facts, Finding, Gauge, HotError, HotStore, ImportLine, ImportOutcome, Kept,
    ListQuery, ListedPage, MintOrder, Named, NewCampaign, Patched, RejectedLine, ShelfPlan,
    Shelves, Sight,
};
pub use about::{About, AboutNode, Answer};
pub use clock::{CLOCK_BOUND_MS, CLOCK_DIFFERENCE_MAX_MS};
pub use dialect::Engine;
pub use schema::{Difference, Keyspace, SchemaOptions};
pub use session::Gate;
use session::{Cluster, Manner, Result};
pub use settling::CALL_LIMIT;
pub use spread::PARTITION_ROWS;
pub use target::{BadTarget, Target};

/// What can be set about a store on a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes to ask for the others first, `host:port`.
    pub nodes: Vec<String>,
    /// The keyspace that `couponry schema apply` has made.
    pub keyspace: String,
    /// The data centre whose replicas have to agree; needed where there are several.
    pub datacenter: Option<String>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// How nodes prove who they are; `None` for connections that are not encrypted.
    pub tls: Option<Tls>,
    /// How many bits name a bucket on days that are new. A day keeps what it has begun with.
    pub bucket_bits: u8,
    /// By how much others wait longer for a hold to lapse: the clock of the process that granted it
    /// may be ahead of theirs by so much.
    pub clock_bound_ms: i64,
    /// See [`CALL_LIMIT`].
    pub call_limit: Duration,
    /// See [`PARTITION_ROWS`]. Every process of a keyspace has the same; for tests alone.
    pub partition_rows: u64,
    /// How often over every limit for an answer of the cluster is waited; 1. More for tests alone,
    /// on a machine that stalls.
    pub patience: u32,
    /// For tests alone.
    pub gate: Option<Gate>,
}

/// Encrypted connections.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificates that sign those of the nodes, as PEM.
    pub authority: PathBuf,
}

impl Options {
    /// A keyspace on these nodes, with defaults.
    pub fn of(target: &Target) -> Options {
        Options {
            nodes: target.nodes().to_vec(),
            keyspace: target.keyspace().to_owned(),
            datacenter: None,
            login: None,
            tls: None,
            bucket_bits: BUCKET_BITS_DEFAULT,
            clock_bound_ms: CLOCK_BOUND_MS,
            call_limit: CALL_LIMIT,
            partition_rows: PARTITION_ROWS,
            patience: 1,
            gate: None,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node answers; it may be there a moment later.
    #[error("no node of the cluster answers: {0}")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keyspace or a table is missing.
    #[error("{0}: run `couponry schema apply --hot cql://…`")]
    Schema(String),
    /// A setting that cannot be right.
    #[error("{0}")]
    Setting(String),
    /// The clock of this machine and that of the cluster lie too far apart.
    #[error("{0}")]
    Clock(String),
}

impl ConnectError {
    fn of(error: scylla::errors::NewSessionError) -> ConnectError {
        match error {
            scylla::errors::NewSessionError::UseKeyspaceError(error) => {
                ConnectError::Schema(error.to_string())
            }
            error => ConnectError::Away(error.into()),
        }
    }
}

/// A hot store on a cluster.
pub struct CqlHot {
    store: Arc<Store>,
    upkeep: JoinHandle<()>,
}

impl Drop for CqlHot {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

/// What every protocol works with.
struct Store {
    cluster: Cluster,
    options: Options,
    keys: KeyRing,
    archive: Arc<dyn Archive>,
    /// This process among the others; a restart makes another.
    process: Uuid,
    turns: turns::Turns,
    /// One change of a coupon at a time.
    coupons: turns::Turns,
    /// Whoever is given a coupon: one of his requests at a time.
    users: turns::Turns,
    settled: settling::Settled,
    known: campaigns::Known,
    recent: recent::Recent,
    bits: RwLock<HashMap<Day, u8>>,
    stock: stock::Stock,
    ahead: untouched::Ahead,
    spreads: spread::Spreads<(spread::Spread, Day)>,
    returned: spread::Spreads<(CampaignId, BatchId)>,
    used_up: RwLock<HashSet<(CampaignId, BatchId)>>,
    tallies: tallies::Tallies,
    closed: hints::Closed,
    /// One at a time puts closed coupons into their queues.
    queueing: tokio::sync::Mutex<()>,
    /// What this process has made stubs of, so that its queue need not be read for it again.
    gone: Mutex<HashSet<(Day, Code)>>,
    campaign_days: RwLock<HashSet<(String, Day)>>,
    merge: shelves::Merges,
    /// Whether there are long codes, and when that was read.
    long_codes: Mutex<Option<(bool, Instant)>>,
    announced: OnceCell<()>,
    clock: clock::Difference,
}

impl CqlHot {
    /// Connects to a cluster. `keys` mint its codes; what was moved to cold is asked of `archive`.
    ///
    /// # Errors
    /// [`ConnectError`]; of a cluster that is away it may be asked again.
    pub async fn connect(
        options: Options,
        keys: impl Into<KeyRing>,
        archive: Arc<dyn Archive>,
    ) -> std::result::Result<CqlHot, ConnectError> {
        let cluster = Cluster::connect(&options).await?;
        cluster.one_datacenter(&options)?;
        let missing = schema::missing_tables(&cluster, &options.keyspace).await?;
        if let Some(table) = missing.first() {
            let keyspace = &options.keyspace;
            return Err(ConnectError::Schema(format!("{keyspace} has no {table}")));
        }
        let limit = options.call_limit;
        let store = Store {
            cluster,
            options,
            keys: keys.into(),
            archive,
            process: Uuid::now_v7(),
            turns: turns::Turns::new(limit),
            coupons: turns::Turns::new(limit),
            users: turns::Turns::new(limit),
            settled: settling::Settled::default(),
            known: campaigns::Known::default(),
            recent: recent::Recent::default(),
            bits: RwLock::default(),
            stock: stock::Stock::default(),
            ahead: untouched::Ahead::default(),
            spreads: spread::Spreads::default(),
            returned: spread::Spreads::default(),
            used_up: RwLock::default(),
            tallies: tallies::Tallies::default(),
            closed: hints::Closed::default(),
            queueing: tokio::sync::Mutex::default(),
            gone: Mutex::default(),
            campaign_days: RwLock::default(),
            merge: shelves::Merges::default(),
            long_codes: Mutex::default(),
            announced: OnceCell::new(),
            clock: clock::Difference::default(),
        };
        let store = Arc::new(store);
        store.compare_clocks().await.map_err(|error| ConnectError::Away(error.into()))?;
        store.clock.check().map_err(ConnectError::Clock)?;
        let upkeep = tokio::spawn(upkeep(Arc::clone(&store)));
        Ok(CqlHot { store, upkeep })
    }

    /// Which engine answers, and its version.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn engine(&self) -> std::result::Result<(Engine, String), HotError> {
        dialect::engine(&self.store.cluster).await
    }

    /// Counts callers who are told that the outcome is unknown.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(HotError::Unknown(_)) = &result {
            settling::Settled::count(&self.store.settled.unknown);
        }
        result
    }

    /// Writes down what is only in memory: counts, queues of closed coupons; and gives back what
    /// this process has leased. Nothing depends on it; what comes next is only quicker.
    pub async fn flush(&self) {
        self.store.tallies.write_down(&self.store).await;
        self.store.write_closed().await;
        self.store.give_back_all().await;
    }
}

/// What is done every second beside everything else.
async fn upkeep(store: Arc<Store>) {
    let mut rounds = tokio::time::interval(tallies::WRITTEN_EVERY);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        rounds.tick().await;
        store.tallies.write_down(&store).await;
        store.write_closed().await;
        store.give_back_quiet().await;
        round = round.wrapping_add(1);
        if round.is_multiple_of(stock::RENEWED_EVERY_ROUNDS) {
            store.renew_leases().await;
        }
        if round.is_multiple_of(clock::COMPARED_EVERY_ROUNDS)
            && let Err(error) = store.compare_clocks().await
        {
            tracing::debug!(error = %error, "the cluster's clock could not be read");
        }
    }
}

#[async_trait]
impl Directory for CqlHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>> {
        self.store.directory_entry(code).await
    }

    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>> {
        self.store.run_with(key, day, serial).await
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>> {
        self.store.bits(day).await
    }

    async fn has_long_codes(&self) -> Result<bool> {
        self.store.long_codes().await
    }
}

#[async_trait]
impl HotStore for CqlHot {
    async fn create_campaign(&self, new: NewCampaign) -> Result<Named<CampaignRow>> {
        self.store.clock_is_right()?;
        self.store.make_campaign(&new).await
    }

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>> {
        self.store.campaign_with_counts(id, now).await
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        self.store.campaigns_with_counts(after, limit, now).await
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        now: Millis,
    ) -> Result<Patched> {
        self.store.clock_is_right()?;
        self.store.patch(id, &patch, now).await
    }

    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        now: Millis,
    ) -> Result<Named<Batch>> {
        self.store.clock_is_right()?;
        self.store.mint_batch(campaign, &order, now).await
    }

    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>> {
        self.store.clock_is_right()?;
        let named = self.store.open_import_batch(campaign, batch, now).await?;
        if matches!(named, Named::Same(_)) {
            self.store.forget_rejected_of(campaign, batch).await?;
        }
        Ok(named)
    }

    fn import_lines_max(&self) -> usize {
        stock::CHUNK_MAX
    }

    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        self.store.clock_is_right()?;
        self.store.import_lines(campaign, batch, &lines, &run).await
    }

    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<()> {
        self.store.keep_rejected_lines(campaign, batch, &lines, now).await
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>> {
        self.store.count_import(campaign, batch, counts).await
    }

    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>> {
        self.store.rejected_lines(campaign, batch, after, limit).await
    }

    async fn forget_rejected(&self, before: Millis) -> Result<usize> {
        self.store.forget_rejected_before(before).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        self.store.some_batches(campaign, after.as_ref(), limit).await
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>> {
        self.store.one_batch(campaign, id).await
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<String>,
    ) -> Result<Option<Batch>> {
        self.store.clock_is_right()?;
        self.store.pause(campaign, id, paused, reason.as_deref()).await
    }

    async fn announce_long_codes(&self) -> Result<()> {
        self.store.announced.get_or_try_init(|| self.store.announce_long()).await.copied()
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>> {
        self.store.keys_named().await
    }

    async fn read(&self, address: &Address) -> Result<Option<Sight>> {
        Ok(self.store.locate(address).await?.map(|located| located.sight()))
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
        self.store.untouched_ones(run, codes).await
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied> {
        self.store.clock_is_right()?;
        match found {
            Found::Coupon(address) => self.told(self.store.apply_at(address, &change).await),
            Found::Shared { campaign } => {
                self.told(self.store.apply_shared(campaign, &change, true).await)
            }
        }
    }

    async fn rehearse(&self, found: &Found, change: Change) -> Result<Applied> {
        match found {
            Found::Coupon(address) => self.store.rehearse_at(address, &change).await,
            Found::Shared { campaign } => self.store.apply_shared(campaign, &change, false).await,
        }
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied> {
        self.store.clock_is_right()?;
        self.told(self.store.issue_of_campaign(campaign, &change).await)
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage> {
        self.store.list_page(&query).await
    }

    async fn create_account(&self, account: Account, now: Millis) -> Result<bool> {
        self.store.make_account(&account, now).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>> {
        self.store.account(login_id).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool> {
        Ok(self.store.account_of(user_id).await?.is_some())
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool> {
        self.store.unmake_account(user_id).await
    }

    async fn writable(&self) -> std::result::Result<(), String> {
        self.store.clock_is_right().map_err(|error| error.to_string())?;
        // A quorum answers, or it does not.
        let plan = self.store.plan(Manner::Read, Day(0)).await;
        plan.map(drop).map_err(|error| error.to_string())
    }

    async fn touch(&self, now: Millis) -> Result<()> {
        self.store.touch_setting(now).await
    }

    async fn examine(&self) -> Result<Vec<Finding>> {
        self.store.examine_all().await
    }

    fn gauge(&self) -> Gauge {
        let (counts, settled) = (&self.store.cluster.counts, &self.store.settled);
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let reads = of(&counts.reads) + of(&counts.serial_reads);
        let writes = of(&counts.writes) + of(&counts.changes);
        Gauge {
            reads,
            statements: reads + writes,
            writes,
            commits: of(&counts.changes),
            waiting: 0,
            settled_applied: of(&settled.applied),
            settled_refused: of(&settled.refused),
            left_unknown: of(&settled.unknown),
            resent: of(&counts.again),
        }
    }
}

#[async_trait]
impl Facts for CqlHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.store.setting(fact.name()).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        self.store.replace_setting(fact.name(), seen, next).await
    }
}

#[async_trait]
impl Shelves for CqlHot {
    async fn shelves(&self) -> Result<Vec<ShelfPlan>> {
        self.store.shelf_plans().await
    }

    async fn shelf(&self, day: Day) -> Result<Option<ShelfPlan>> {
        self.store.shelf_plan(day).await
    }

    async fn units(&self) -> Result<Vec<(Day, u64)>> {
        self.store.shelf_units().await
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedShelf>> {
        self.store.closed_shelves(now, enough).await
    }

    async fn count(&self, day: Day) -> Result<u64> {
        self.store.count_shelf(day).await
    }

    async fn closed_codes(&self, day: Day, now: Millis, limit: usize) -> Result<Vec<Code>> {
        self.store.codes_closed(day, now, limit).await
    }

    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, None).await
    }

    async fn closed_coupons(&self, day: Day, codes: Vec<Code>, now: Millis) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, Some(now)).await
    }

    async fn retire(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64> {
        self.store.clock_is_right()?;
        self.store.retire_all(day, copied).await
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool> {
        self.store.clock_is_right()?;
        self.store.seal_shelf(day, now).await
    }

    async fn kept(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Kept>> {
        self.store.kept_page(day, after, limit).await
    }

    async fn stubs(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<(Code, u64)>> {
        self.store.stubs_page(day, after, limit).await
    }

    async fn remove_kept(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>> {
        self.store.clock_is_right()?;
        self.store.remove_some(day, &so_far).await
    }

    async fn finish_unit(&self, day: Day, unit: u64, emptied: bool) -> Result<()> {
        self.store.finish(day, unit, emptied).await
    }

    async fn shrink(&self) -> Result<bool> {
        // The engine's own compaction gives space back.
        Ok(false)
    }

    async fn adopt(&self, day: Day, coupons: Vec<Coupon>) -> Result<Adopted> {
        self.store.adopt_all(day, &coupons).await
    }

    async fn pass_over_serials(&self) -> Result<()> {
        self.store.pass_over().await
    }

    async fn cold_mark(&self) -> Result<ColdMark> {
        self.store.mark().await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()> {
        self.store.raise_mark(mark).await
    }
}
