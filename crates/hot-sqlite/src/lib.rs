//! The embedded hot store: one SQLite file, one writer that commits a group with one sync, a few
//! readers. Where the protocols describe steps, this does one transaction.
//!
//! Several processes may work on one file at a time. Of what can change only campaigns, batches and
//! seals are remembered from one snapshot to the next, by readers, who notice when they did (see
//! `txn`).

mod accounts;
mod archiving;
mod audit;
mod backup;
mod campaigns;
mod checkpointer;
mod claims;
mod copying;
mod coupons;
mod examine;
mod failure;
mod fair_file_lock;
mod history;
mod import;
mod list;
mod partitions;
mod prefetch;
mod readers;
mod reconcile;
mod rows;
mod schema;
mod stock;
mod txn;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use coupon::apply::Change;
use coupon::campaign::{Batch, ImportCounts, MintedRun};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::imported::ImportRun;
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use router::{Address, Directory, Entry, Found, KeyRing, Owner};
use tokio::sync::OnceCell;

pub use backup::make_ready;
use checkpointer::Checkpointer;
use fair_file_lock::FairFileLock;
use hot::{
    Account, Applied, Archive, CampaignPatch, CampaignRow, ClosedPartition, ColdMark,
    CouponSnapshot, Emptying, Fact, Facts, Gauge, HealthFinding, HotError, HotStore, ImportLine,
    ImportOutcome, ListQuery, ListedPage, MintOrder, Named, NewCampaign, PartitionPlan, Partitions,
    Patched, Reconciled, RejectedLine, Residue,
};
use prefetch::{Asked, Prefetched, asking};
use readers::Readers;
pub use schema::{OpenError, is_current};
use stock::{Step, Supply, Walked};
use txn::Txn;
use writer::{Desk, Unwell, Writer};

/// Name of the file inside the data folder.
pub const FILE_NAME: &str = "hot.db";

/// Below so many free bytes on its disk the store refuses writes: room for the log to grow until
/// the next checkpoint, and for the operator to look around.
pub const FREE_MIN_BYTES: u64 = 256 << 20;

/// How long a write waits for its turn, and then for its commit.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long whoever asks whether the store is writable waits for a commit that shows it.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// The setting that such a commit writes. What stands in it is of no use to anybody; that it was
/// written is.
const PROBED: &str = "probed";

/// Rejected lines written in one transaction: about a millisecond, as other long work.
const REJECTED_MAX: usize = 500;

/// Rejected lines forgotten in one transaction.
const FORGET_MAX: usize = 2_000;

/// What can be set about an embedded store.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// See [`FREE_MIN_BYTES`].
    pub free_min_bytes: u64,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { free_min_bytes: FREE_MIN_BYTES, write_timeout: WRITE_TIMEOUT }
    }
}

/// A hot store in one folder of this machine.
pub struct SqliteHot {
    // Dropped in this order: the writer answers what it has, then the file is closed.
    writer: Writer,
    checkpointer: Checkpointer,
    readers: Readers,
    keys: KeyRing,
    archive: Arc<dyn Archive>,
    /// Whether this process has announced long codes.
    announced: OnceCell<()>,
    /// What others had written when the last piece of long work ended, ...
    others: AtomicU64,
    /// ... and whether that was no more than at the piece before.
    is_alone: AtomicBool,
    folder: PathBuf,
    options: Options,
    /// Statements that readers and the writer have run.
    statements: Arc<AtomicU64>,
}

impl SqliteHot {
    /// Opens the store in `folder`, or makes it there. `keys` mint its codes; what was moved to
    /// cold is asked of `archive`.
    ///
    /// # Errors
    /// [`OpenError`]; a store of a newer release is refused by name of that release.
    pub fn open(
        folder: &Path,
        keys: impl Into<KeyRing>,
        archive: Arc<dyn Archive>,
        options: Options,
    ) -> Result<SqliteHot, OpenError> {
        let file_error = |source| OpenError::File { folder: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(file_error)?;
        schema::tighten(folder);
        let path = folder.join(FILE_NAME);
        let file_lock = FairFileLock::open(folder).map_err(file_error)?;
        let conn = match schema::open_current(&path)? {
            Some(conn) => conn,
            None => {
                let _held = file_lock.enter().map_err(file_error)?;
                schema::open_or_make(&path)?
            }
        };
        let statements = Arc::<AtomicU64>::default();
        let desk = Desk {
            conn,
            file_lock,
            folder: folder.to_owned(),
            free_min: options.free_min_bytes,
            statements: Arc::clone(&statements),
        };
        Ok(SqliteHot {
            readers: Readers::open(&path, &statements)?,
            checkpointer: Checkpointer::start(folder, &path)?,
            writer: Writer::start(desk, options.write_timeout).map_err(file_error)?,
            keys: keys.into(),
            archive,
            announced: OnceCell::new(),
            others: AtomicU64::new(0),
            is_alone: AtomicBool::new(false),
            folder: folder.to_owned(),
            options,
            statements,
        })
    }

    /// Copies the whole store, as it is at one moment after the call, to a new file at `to`, while
    /// others read and write it. Durable before it returns.
    ///
    /// # Errors
    /// `Unavailable`; then there is no file that anybody could take for a copy.
    pub async fn back_up(&self, to: &Path) -> Result<(), HotError> {
        let (from, to) = (self.folder.join(FILE_NAME), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || backup::copy(&from, &to)).await;
        copied.unwrap_or_else(|panic| Err(Box::new(panic))).map_err(HotError::Unavailable)
    }

    /// Runs `body` in a transaction that writes, as often as it takes to tell it what lies in cold.
    async fn write<T: Send + 'static>(
        &self,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync + 'static,
    ) -> Result<T, HotError> {
        self.write_knowing(Arc::default(), body).await
    }

    /// The same, for a job that was told something before.
    async fn write_knowing<T: Send + 'static>(
        &self,
        prefetched: Arc<Prefetched>,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync + 'static,
    ) -> Result<T, HotError> {
        let body = Arc::new(body);
        let run = |prefetched: Arc<Prefetched>| {
            let body = Arc::clone(&body);
            self.writer.run(move |txn| asking(txn, &prefetched, body.as_ref()))
        };
        Ok(self.with_prefetch(prefetched, run).await?.0)
    }

    /// The same as a point read.
    async fn look<T>(
        &self,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync,
    ) -> Result<T, HotError> {
        Ok(self.look_and_keep(body).await?.0)
    }

    /// The same, and what it was told, which a job after it need not ask for again.
    async fn look_and_keep<T>(
        &self,
        body: impl Fn(&Txn<'_>) -> rusqlite::Result<T> + Send + Sync,
    ) -> Result<(T, Arc<Prefetched>), HotError> {
        let body = &body;
        let run = async |prefetched: Arc<Prefetched>| {
            self.readers.point(|txn| asking(txn, &prefetched, body)).await
        };
        self.with_prefetch(Arc::default(), run).await
    }

    /// Runs a job again and again with what it has asked for, until it asks for nothing.
    async fn with_prefetch<T, F>(
        &self,
        mut prefetched: Arc<Prefetched>,
        run: impl Fn(Arc<Prefetched>) -> F + Send,
    ) -> Result<(T, Arc<Prefetched>), HotError>
    where
        F: Future<Output = Result<Asked<T>, HotError>> + Send,
    {
        loop {
            match run(Arc::clone(&prefetched)).await? {
                Asked::Is(result) => return Ok((result, prefetched)),
                Asked::Needs(wanted) => {
                    prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?)
                }
            }
        }
    }

    /// Runs one piece of long work, which nobody waits for, in a transaction. Where others have
    /// written since the last piece, they have the store to themselves for as long as this one took.
    async fn background_write<T: Send + 'static>(
        &self,
        mut body: impl FnMut(&Txn<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, HotError> {
        let begun = Instant::now();
        let work = move |txn: &Txn<'_>| Ok((body(txn)?, txn.commits_of_others()?));
        let (done, elsewhere) = self.writer.run(work).await?;
        // Of this process each piece is one write itself.
        let (writes, _) = self.writer.counts();
        let others = elsewhere.wrapping_add(writes);
        let is_alone = self.others.swap(others, Ordering::Relaxed).wrapping_add(1) == others;
        self.is_alone.store(is_alone, Ordering::Relaxed);
        if !is_alone {
            tokio::time::sleep(begun.elapsed()).await;
        }
        Ok(done)
    }

    /// What a change behind a shared word would answer, in as many snapshots as it takes to get past
    /// serials that are in the way.
    async fn dry_run_shared(
        &self,
        campaign: &CampaignId,
        change: &Change,
    ) -> Result<Applied, HotError> {
        let mut walked = Walked::default();
        loop {
            let keys = self.keys.current();
            let step = self.look(|txn| {
                let supply = Supply::for_dry_run(&keys, &walked);
                stock::shared(txn, &supply, campaign, change)
            });
            let cursor = match step.await?.into_answer() {
                Ok(applied) => return Ok(applied),
                Err(cursor) => cursor,
            };
            walked.to(&cursor);
            // So that neither the next dry run nor an issue walks there again. Where nothing can be
            // written this one goes on all the same.
            if let Err(error) = self.writer.run(move |txn| cursor.write(txn)).await {
                tracing::debug!(error = %error, "how far serials are gone was not written down");
            }
            tokio::task::yield_now().await;
        }
    }

    /// Issues in as many transactions as it takes to get past serials that are in the way.
    async fn hand_out(
        &self,
        prefetched: Arc<Prefetched>,
        decide: impl Fn(&Txn<'_>) -> rusqlite::Result<Step> + Send + Sync + 'static,
    ) -> Result<Applied, HotError> {
        let decide = Arc::new(decide);
        loop {
            let decide = Arc::clone(&decide);
            let step = move |txn: &Txn<'_>| stock::step(txn, decide.as_ref());
            let step = self.write_knowing(Arc::clone(&prefetched), step);
            if let Some(applied) = step.await? {
                return Ok(applied);
            }
        }
    }
}

#[async_trait]
impl Directory for SqliteHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>, HotError> {
        // What an entry names never changes its name.
        self.readers.apart(|txn| campaigns::entry(txn, code)).await
    }

    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>, HotError> {
        self.readers.point(|txn| campaigns::run_of(txn, key, day, serial)).await
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>, HotError> {
        self.readers.point(|txn| partitions::bucket_bits(txn, day)).await
    }

    async fn has_long_codes(&self) -> Result<bool, HotError> {
        Ok(self.checkpointer.long_codes.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl HotStore for SqliteHot {
    async fn create_campaign(&self, new: NewCampaign) -> Result<Named<CampaignRow>, HotError> {
        self.writer.run(move |txn| campaigns::create(txn, &new)).await
    }

    async fn campaign(
        &self,
        id: &CampaignId,
        now: Millis,
    ) -> Result<Option<CampaignRow>, HotError> {
        self.readers.point(|txn| campaigns::row(txn, id, now)).await
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>, HotError> {
        self.readers.run(move |txn| campaigns::list(txn, after.as_ref(), limit, now)).await
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        now: Millis,
    ) -> Result<Patched, HotError> {
        let id = id.clone();
        self.writer.run(move |txn| campaigns::patch(txn, &id, &patch, now)).await
    }

    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        now: Millis,
    ) -> Result<Named<Batch>, HotError> {
        let campaign = campaign.clone();
        self.writer.run(move |txn| campaigns::mint(txn, &campaign, &order, now)).await
    }

    async fn open_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>, HotError> {
        let named = {
            let (campaign, batch) = (campaign.clone(), batch.clone());
            self.writer.run(move |txn| campaigns::open_import(txn, &campaign, &batch, now)).await?
        };
        // A file of ten million bad lines may have left as many: not all in one transaction. What
        // an import beside this one keeps from now on stays.
        let mut left = matches!(named, Named::Same(_));
        while left {
            let (campaign, batch) = (campaign.clone(), batch.clone());
            let forget = move |txn: &Txn<'_>| match batch_number(txn, &campaign, &batch)? {
                Some(number) => import::forget_rejected_of(txn, number, now, FORGET_MAX),
                None => Ok(0),
            };
            left = self.writer.run(forget).await? > 0;
        }
        Ok(named)
    }

    fn import_lines_max(&self) -> usize {
        import::LINES_MAX
    }

    async fn import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>, HotError> {
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Arc<Vec<_>> = Arc::new(lines.into_iter().enumerate().collect());
        let mut prefetched = Arc::new(Prefetched::default());
        while !left.is_empty() {
            let (campaign, batch, run) = (campaign.clone(), batch.clone(), run.clone());
            let (lines, here) = (Arc::clone(&left), Arc::clone(&prefetched));
            let imported = self.writer.run(move |txn| {
                let txn = txn.knowing(&here);
                Ok((import::lines(&txn, &campaign, &batch, &lines, &run)?, txn.wanted()))
            });
            let (imported, wanted) = imported.await?;
            let gone = || HotError::Damaged("the batch of an import is gone".into());
            let mut in_cold = Vec::new();
            for ((at, line), outcome) in left.iter().zip(imported.ok_or_else(gone)?) {
                match outcome {
                    Some(outcome) => outcomes[*at] = outcome,
                    None => in_cold.push((*at, line.clone())),
                }
            }
            left = Arc::new(in_cold);
            prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?);
        }
        Ok(outcomes)
    }

    async fn keep_rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<(), HotError> {
        for some in lines.chunks(REJECTED_MAX) {
            let (campaign, batch, some) = (campaign.clone(), batch.clone(), some.to_vec());
            let keep = move |txn: &Txn<'_>| match batch_number(txn, &campaign, &batch)? {
                Some(number) => import::keep_rejected(txn, number, &some, now),
                None => Ok(()),
            };
            self.background_write(keep).await?;
        }
        Ok(())
    }

    async fn close_import(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>, HotError> {
        let (campaign, batch) = (campaign.clone(), batch.clone());
        self.writer
            .run(move |txn| {
                if let Some(number) = batch_number(txn, &campaign, &batch)? {
                    import::close(txn, number, &counts)?;
                }
                campaigns::batch(txn, &campaign, &batch)
            })
            .await
    }

    async fn rejected(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>, HotError> {
        let (campaign, batch) = (campaign.clone(), batch.clone());
        self.readers
            .run(move |txn| match batch_number(txn, &campaign, &batch)? {
                Some(number) => import::rejected(txn, number, after, limit),
                None => Ok(Vec::new()),
            })
            .await
    }

    async fn forget_rejected(&self, before: Millis) -> Result<usize, HotError> {
        self.writer.run(move |txn| import::forget_rejected(txn, before, FORGET_MAX)).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>, HotError> {
        let campaign = campaign.clone();
        self.readers.run(move |txn| campaigns::batches(txn, &campaign, after.as_ref(), limit)).await
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>, HotError> {
        self.readers.point(|txn| campaigns::batch(txn, campaign, id)).await
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<String>,
    ) -> Result<Option<Batch>, HotError> {
        let (campaign, id) = (campaign.clone(), id.clone());
        self.writer
            .run(move |txn| campaigns::pause_batch(txn, &campaign, &id, paused, reason.as_deref()))
            .await
    }

    async fn announce_long_codes(&self) -> Result<(), HotError> {
        let announce = || async {
            self.writer.run(|txn| accounts::set(txn, checkpointer::LONG_CODES, "yes")).await?;
            // Until then another process may refuse such a code without a read. Also where the
            // setting stood already: whoever wrote it may still be waiting.
            tokio::time::sleep(checkpointer::SETTINGS_KNOWN).await;
            self.checkpointer.long_codes.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.announced.get_or_try_init(announce).await.copied()
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>, HotError> {
        self.readers.run(campaigns::keys_in_use).await
    }

    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>, HotError> {
        self.look(|txn| Ok(coupons::locate(txn, address)?.map(|located| located.snapshot()))).await
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>, HotError> {
        let codes = Arc::new(codes);
        let read = |prefetched: Arc<Prefetched>| {
            let codes = Arc::clone(&codes);
            let touched = move |txn: &Txn<'_>| {
                let touched = codes.iter().map(|code| stock::was_touched(txn, run.day, code));
                prefetch::all(touched)
            };
            self.readers.run(move |txn| asking(txn, &prefetched, touched))
        };
        let (touched, _) = self.with_prefetch(Arc::default(), read).await?;
        Ok(touched.into_iter().map(|touched| !touched).collect())
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied, HotError> {
        match found.clone() {
            Found::Coupon(address) => {
                if self.readers.wait_for_the_disk() {
                    // The writer would wait for each page alone, and all behind it: callers wait
                    // for theirs side by side. What this finds is decided on once more.
                    let read = |txn: &Txn<'_>| coupons::decide(txn, &address, &change).map(drop);
                    let _ = self.readers.point(read).await;
                }
                self.write(move |txn| {
                    let decision = coupons::decide(txn, &address, &change)?;
                    coupons::write_decision(txn, &decision)?;
                    Ok(decision.applied)
                })
                .await
            }
            Found::Shared { campaign } => {
                let said = |txn: &Txn<'_>| stock::shared_without_writing(txn, &campaign, &change);
                let (applied, prefetched) = self.look_and_keep(said).await?;
                if let Some(applied) = applied {
                    return Ok(applied);
                }
                let keys = self.keys.current();
                self.hand_out(prefetched, move |txn| {
                    stock::shared(txn, &Supply::for_writing(&keys), &campaign, &change)
                })
                .await
            }
        }
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied, HotError> {
        match found {
            Found::Coupon(address) => {
                self.look(|txn| Ok(coupons::decide(txn, address, &change)?.applied)).await
            }
            Found::Shared { campaign } => self.dry_run_shared(campaign, &change).await,
        }
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied, HotError> {
        // A replay and a refusal are answered from a snapshot: the writer is for what is written.
        let keys = self.keys.current();
        let said = |txn: &Txn<'_>| stock::issue_without_writing(txn, &keys, campaign, &change);
        let (applied, prefetched) = self.look_and_keep(said).await?;
        if let Some(applied) = applied {
            return Ok(applied);
        }
        let (campaign, keys) = (campaign.clone(), Arc::clone(&keys));
        let issue =
            move |txn: &Txn<'_>| stock::issue(txn, &Supply::for_writing(&keys), &campaign, &change);
        self.hand_out(prefetched, issue).await
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage, HotError> {
        self.readers.run(move |txn| list::page(txn, &query)).await
    }

    async fn create_account(&self, account: Account, now: Millis) -> Result<bool, HotError> {
        self.writer.run(move |txn| accounts::create(txn, &account, now)).await
    }

    async fn account_of_login(&self, login_id: &UserId) -> Result<Option<Account>, HotError> {
        let login_id = login_id.clone();
        self.readers.run(move |txn| accounts::of_login(txn, &login_id)).await
    }

    async fn has_account(&self, user_id: &UserId) -> Result<bool, HotError> {
        self.readers.point(|txn| accounts::exists(txn, user_id)).await
    }

    async fn remove_account(&self, user_id: &UserId) -> Result<bool, HotError> {
        let user_id = user_id.clone();
        self.writer.run(move |txn| accounts::remove(txn, &user_id)).await
    }

    async fn writable(&self) -> Result<(), String> {
        writer::free_space(&self.folder, self.options.free_min_bytes)?;
        match self.writer.well() {
            Ok(()) => Ok(()),
            Err(Unwell::Stuck(why)) => Err(why),
            // Nobody may write while this says no, so that it has to find out by itself.
            Err(Unwell::Failing(why)) if self.writer.may_probe() => {
                let probe = self.writer.run(|txn| accounts::set(txn, PROBED, "yes"));
                match tokio::time::timeout(PROBE_LIMIT, probe).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(why),
                }
            }
            Err(Unwell::Failing(why)) => Err(why),
        }
    }

    async fn touch(&self, now: Millis) -> Result<(), HotError> {
        self.writer.run(move |txn| accounts::set(txn, "touched_at", &now.0.to_string())).await
    }

    async fn examine(&self) -> Result<Vec<HealthFinding>, HotError> {
        self.readers.run(examine::all).await
    }

    fn gauge(&self) -> Gauge {
        let (writes, commits) = self.writer.counts();
        let (reads, waiting) = (self.readers.count(), self.writer.waiting());
        let statements = self.statements.load(Ordering::Relaxed);
        Gauge { reads, writes, commits, waiting, statements, ..Gauge::default() }
    }
}

#[async_trait]
impl Facts for SqliteHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>, HotError> {
        self.readers.run(move |txn| accounts::setting(txn, fact.name())).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool, HotError> {
        self.writer
            .run(move |txn| accounts::replace(txn, fact.name(), seen.as_deref(), next.as_deref()))
            .await
    }
}

#[async_trait]
impl Partitions for SqliteHot {
    async fn partitions(&self) -> Result<Vec<PartitionPlan>, HotError> {
        self.readers.run(archiving::plans).await
    }

    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>, HotError> {
        self.readers.run(move |txn| archiving::plan_of(txn, day)).await
    }

    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>, HotError> {
        self.readers.run(archiving::archive_commits).await
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>, HotError> {
        self.readers.run(move |txn| archiving::closed(txn, now, enough)).await
    }

    async fn count(&self, day: Day) -> Result<u64, HotError> {
        self.readers.run(move |txn| archiving::count(txn, day)).await
    }

    async fn closed_codes(
        &self,
        day: Day,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<Code>, HotError> {
        self.readers.run(move |txn| archiving::closed_codes(txn, day, now, limit)).await
    }

    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>, HotError> {
        self.readers.run(move |txn| archiving::coupons_of(txn, day, &codes, None)).await
    }

    async fn closed_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Millis,
    ) -> Result<Vec<Coupon>, HotError> {
        self.readers.run(move |txn| archiving::coupons_of(txn, day, &codes, Some(now))).await
    }

    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64, HotError> {
        let mut evicted = 0;
        for some in copied.chunks(archiving::EVICT_MAX) {
            let some = some.to_vec();
            evicted += self.background_write(move |txn| archiving::evict(txn, day, &some)).await?;
        }
        Ok(evicted)
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool, HotError> {
        self.writer.run(move |txn| archiving::seal(txn, day, now)).await
    }

    async fn residue(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<Residue>, HotError> {
        self.readers.run(move |txn| archiving::residue(txn, day, after.as_ref(), limit)).await
    }

    async fn archived_markers(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<(Code, u64)>, HotError> {
        self.readers
            .run(move |txn| archiving::archived_markers(txn, day, after.as_ref(), limit))
            .await
    }

    async fn remove_residue(
        &self,
        day: Day,
        so_far: Emptying,
    ) -> Result<Option<Emptying>, HotError> {
        let rows = match self.is_alone.load(Ordering::Relaxed) {
            true => archiving::REMOVE_MAX,
            false => archiving::REMOVE_BESIDE_OTHERS_MAX,
        };
        self.background_write(move |txn| archiving::remove(txn, day, &so_far, rows)).await
    }

    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: bool,
    ) -> Result<(), HotError> {
        self.writer.run(move |txn| archiving::finish(txn, day, archive_commit, emptied)).await
    }

    async fn shrink(&self) -> Result<bool, HotError> {
        if !self.readers.run(archiving::has_room_to_give).await? {
            return Ok(false);
        }
        self.background_write(archiving::give_room_back).await
    }

    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled, HotError> {
        let mut all = Reconciled::default();
        for some in coupons.chunks(reconcile::RECONCILE_MAX) {
            let (keys, some) = (self.keys.current(), some.to_vec());
            let here =
                self.writer.run(move |txn| reconcile::coupons(txn, &keys, day, &some)).await?;
            all.reconciled += here.reconciled;
            all.known += here.known;
            all.strangers += here.strangers;
        }
        Ok(all)
    }

    async fn pass_over_serials(&self) -> Result<(), HotError> {
        self.writer.run(reconcile::pass_over_serials).await
    }

    async fn cold_mark(&self) -> Result<ColdMark, HotError> {
        self.readers.run(archiving::cold_mark).await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<(), HotError> {
        self.writer.run(move |txn| archiving::raise_cold_mark(txn, &mark)).await
    }
}

fn batch_number(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
) -> rusqlite::Result<Option<i64>> {
    match txn.campaign(campaign)? {
        Some(campaign) => txn.batch_number(campaign.number, batch),
        None => Ok(None),
    }
}
