//! Both stores with a step before each call and, for a write, a step after it. At one of the steps
//! the process stops, the call fails, or the caller waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use cold::{ColdOptions, ColdStore};
use compactor::{CompactionProgress, CompactionSettings, Compactor, ProgressWatch};
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};
use futures::StreamExt;
use futures::stream::BoxStream;
use hot::{
    ClosedPartition, ColdMark, Emptying, HotError, PartitionPlan, Partitions, Reconciled, Residue,
};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::world::{SETTINGS, World, cold_folder, cold_options};

/// Codes of one `evict`. The store splits more of them in the same way, so its steps show.
const EVICTED_AT_ONCE: usize = 3;

/// The names of steps that read a file begin like this.
const READS: &str = "read ";

/// The names of steps that read hot begin like this.
const ASKS: &str = "ask ";

/// What happens at the chosen step.
pub(crate) enum Act {
    /// The process stops.
    Stop,
    /// The call fails.
    Fail,
    /// The caller waits until it may continue.
    Freeze(Arc<Ice>),
    /// A function runs beside it, with the name of the step.
    Beside(Box<dyn Fn(&str) + Send + Sync>),
}

/// A caller that waits at its step. It continues when this is dropped, so that a case that fails
/// ends.
pub(crate) struct Frozen(Arc<Ice>);

/// What the caller waits for.
pub(crate) struct Ice {
    arrived: Notify,
    may_go_on: Semaphore,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaws();
    }
}

impl Frozen {
    pub(crate) fn new() -> Frozen {
        Frozen(Arc::new(Ice { arrived: Notify::new(), may_go_on: Semaphore::new(0) }))
    }

    /// The fault for the step.
    pub(crate) fn act(&self) -> Act {
        Act::Freeze(Arc::clone(&self.0))
    }

    /// Waits until the caller is at its step.
    pub(crate) async fn arrives<T: fmt::Debug>(&self, who: &mut JoinHandle<T>) {
        if let Some(ended) = self.arrives_or_ends(who).await {
            panic!("it ended before that step: {ended:?}");
        }
    }

    /// The same. Returns how the call ended if it had no such step.
    pub(crate) async fn arrives_or_ends<T>(&self, who: &mut JoinHandle<T>) -> Option<T> {
        tokio::select! {
            () = self.0.arrived.notified() => None,
            ended = who => Some(ended.unwrap()),
        }
    }

    pub(crate) fn thaws(&self) {
        self.0.may_go_on.close();
    }
}

/// Whether something happens at the step of this name.
type When = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Which steps are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Before and after each write, except of the holder index.
    Writes,
    /// These, and each read of hot.
    Asks,
    /// These, and each read of a file: several hundred.
    Every,
}

impl Which {
    /// `this`, or every step if `COUPONRY_TEST_EVERY_STEP` is set: a quarter of an hour.
    pub(crate) fn at_least(this: Which) -> Which {
        match std::env::var("COUPONRY_TEST_EVERY_STEP") {
            Ok(_) => Which::Every,
            Err(_) => this,
        }
    }

    fn has(self, step: &str) -> bool {
        // The holder index is derived from `coupons`, and `cold` has tests for it.
        let is_of_index = step.contains("holder_index");
        match self {
            Which::Writes => !is_of_index && !step.starts_with(READS) && !step.starts_with(ASKS),
            Which::Asks => !is_of_index && !step.starts_with(READS),
            Which::Every => true,
        }
    }
}

/// All steps of one compaction.
pub(crate) struct Steps {
    when: When,
    act: Act,
    /// The present pass of the compactor.
    pass: Mutex<String>,
    at: Mutex<Option<(String, String)>>,
    counts: Mutex<Counts>,
}

/// How often hot worked on each coupon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Its row was read.
    pub(crate) read: BTreeMap<Code, u64>,
    /// Its eviction was requested.
    pub(crate) evicted: BTreeMap<Code, u64>,
}

impl Counts {
    fn add<'a>(counts: &mut BTreeMap<Code, u64>, codes: impl Iterator<Item = &'a Code>) {
        codes.for_each(|code| *counts.entry(code.clone()).or_default() += 1);
    }
}

impl Steps {
    pub(crate) fn new(when: impl Fn(&str) -> bool + Send + Sync + 'static, act: Act) -> Arc<Steps> {
        Arc::new(Steps::of(Box::new(when), act))
    }

    fn of(when: When, act: Act) -> Steps {
        Steps {
            when,
            act,
            pass: Mutex::new("Begin".into()),
            at: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Nothing happens at any step, and all are counted.
    pub(crate) fn none() -> Arc<Steps> {
        Steps::new(|_| false, Act::Fail)
    }

    /// The calls of hot so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    /// At the step of this number, from 1, among the steps of `which`.
    pub(crate) fn nth(nth: u64, which: Which, act: Act) -> Arc<Steps> {
        let steps = AtomicU64::new(0);
        let at =
            move |step: &str| which.has(step) && steps.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        Steps::new(at, act)
    }

    /// At the first step of a Closed pass whose name begins with `name`.
    pub(crate) fn closed(name: &'static str, act: Act) -> Arc<Steps> {
        Arc::new_cyclic(|steps: &Weak<Steps>| {
            let (steps, seen) = (steps.clone(), AtomicU64::new(0));
            let first = move |step: &str| {
                let steps = steps.upgrade().unwrap();
                let is_closed = *steps.pass.lock().unwrap() == "Closed";
                is_closed && step.starts_with(name) && seen.fetch_add(1, Ordering::SeqCst) == 0
            };
            Steps::of(Box::new(first), act)
        })
    }

    /// At the first step whose name begins with `name`.
    pub(crate) fn named(name: &'static str, act: Act) -> Arc<Steps> {
        let seen = AtomicU64::new(0);
        let first =
            move |step: &str| step.starts_with(name) && seen.fetch_add(1, Ordering::SeqCst) == 0;
        Steps::new(first, act)
    }

    /// A compactor of `world` whose calls are these steps.
    pub(crate) fn compactor(self: &Arc<Steps>, world: &World) -> Compactor {
        self.compactor_of(world, SETTINGS, cold_options())
    }

    /// The same, with other settings.
    pub(crate) fn compactor_of(
        self: &Arc<Steps>,
        world: &World,
        settings: CompactionSettings,
        options: ColdOptions,
    ) -> Compactor {
        let inner = crate::place::objects(&cold_folder(&world.at));
        let store = Arc::new(Stepped { inner, steps: Arc::clone(self) });
        let cold = Arc::new(ColdStore::with_store(store, "stepped", options));
        cold.know_erasures((*world.cold.known_erasures()).clone());
        let hot = Arc::new(SteppedHot { inner: world.hot.clone(), steps: Arc::clone(self) });
        let steps = Arc::clone(self);
        let watch: ProgressWatch = Arc::new(move |progress| {
            if let CompactionProgress::Begins(work) = progress {
                *steps.pass.lock().unwrap() = format!("{:?}", work.pass);
            }
        });
        Compactor::new(hot, cold, settings, watch)
    }

    /// The step at which it happened, and the pass it belongs to.
    pub(crate) fn at(&self) -> Option<(String, String)> {
        self.at.lock().unwrap().clone()
    }

    /// Whether to continue.
    async fn step(&self, name: &str) -> bool {
        if !(self.when)(name) {
            return true;
        }
        let (pass, kind) = (self.pass.lock().unwrap().clone(), kind(name));
        *self.at.lock().unwrap() = Some((pass.clone(), kind.clone()));
        match &self.act {
            Act::Stop => {
                println!("\nSTOPPED {pass} {kind}");
                std::process::abort();
            }
            Act::Fail => false,
            Act::Freeze(ice) => {
                ice.arrived.notify_one();
                // Only a closed semaphore fails.
                let _ = ice.may_go_on.acquire().await;
                true
            }
            Act::Beside(beside) => {
                beside(name);
                true
            }
        }
    }

    async fn reads(&self, call: &str) -> Result<()> {
        self.goes_on(&format!("{READS}{call}")).await
    }

    async fn before(&self, call: &str) -> Result<()> {
        self.goes_on(&format!("before {call}")).await
    }

    async fn after(&self, call: &str) -> Result<()> {
        self.goes_on(&format!("after {call}")).await
    }

    async fn goes_on(&self, name: &str) -> Result<()> {
        match self.step(name).await {
            true => Ok(()),
            false => Err(Error::Generic { store: "Stepped", source: name.into() }),
        }
    }
}

/// How often each kind of step was taken in each pass.
pub(crate) fn counted(taken: &[(String, String)]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for step in taken {
        *counts.entry(step.clone()).or_default() += 1;
    }
    counts
}

/// The name of a step without its random parts.
fn kind(name: &str) -> String {
    let (call, object) = name.split_once('/').unwrap_or((name, ""));
    let tables = [("coupons_by_holder", "by_holder"), ("holder_index", "index")];
    let named = tables.into_iter().find(|(folder, _)| call.ends_with(folder));
    let (folder, table) = named.unwrap_or(("coupons", "coupons"));
    let call = call.trim_end_matches(folder);
    match object {
        "" => call.to_owned(),
        log if log.contains("_delta_log") => format!("{call}{table} log"),
        _ => format!("{call}{table} file"),
    }
}

/// A folder whose calls are steps.
#[derive(Clone)]
struct Stepped {
    inner: Arc<dyn ObjectStore>,
    steps: Arc<Steps>,
}

impl fmt::Debug for Stepped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Stepped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stepped")
    }
}

#[async_trait]
impl ObjectStore for Stepped {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let call = format!("put {location}");
        self.steps.before(&call).await?;
        let put = self.inner.put_opts(location, payload, opts).await?;
        self.steps.after(&call).await?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let call = format!("begin {location}");
        self.steps.before(&call).await?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        self.steps.after(&call).await?;
        Ok(Box::new(SteppedUpload {
            inner,
            steps: Arc::clone(&self.steps),
            name: location.to_string(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = if options.head { "head" } else { "get" };
        self.steps.reads(&format!("{call} {location}")).await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.steps.reads(&format!("get {location}")).await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let deleted = locations.then(move |location| {
            let this = this.clone();
            async move {
                let location = location?;
                let call = format!("delete {location}");
                this.steps.before(&call).await?;
                let one = futures::stream::once(futures::future::ready(Ok(location.clone())));
                let mut deleted = this.inner.delete_stream(one.boxed());
                while let Some(deleted) = deleted.next().await {
                    deleted?;
                }
                this.steps.after(&call).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.steps.reads("list").await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl Stepped {
    /// In the order of the names, in which the log is read.
    fn listed(
        &self,
        prefix: Option<Path>,
        offset: Option<Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = self.clone();
        let listed = async move {
            if let Err(error) = this.steps.reads("list").await {
                return vec![Err(error)];
            }
            let found = match &offset {
                Some(offset) => this.inner.list_with_offset(prefix.as_ref(), offset),
                None => this.inner.list(prefix.as_ref()),
            };
            let mut found: Vec<Result<ObjectMeta>> = found.collect().await;
            found.sort_by_key(|meta| meta.as_ref().ok().map(|meta| meta.location.clone()));
            found
        };
        futures::stream::once(listed).flat_map(futures::stream::iter).boxed()
    }
}

#[derive(Debug)]
struct SteppedUpload {
    inner: Box<dyn MultipartUpload>,
    steps: Arc<Steps>,
    name: String,
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

#[async_trait]
impl MultipartUpload for SteppedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (steps, call) = (Arc::clone(&self.steps), format!("part {}", self.name));
        let part = self.inner.put_part(data);
        Box::pin(async move {
            steps.before(&call).await?;
            part.await?;
            steps.after(&call).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let call = format!("complete {}", self.name);
        self.steps.before(&call).await?;
        let put = self.inner.complete().await?;
        self.steps.after(&call).await?;
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// A hot store whose calls are steps.
struct SteppedHot {
    inner: Arc<dyn Partitions>,
    steps: Arc<Steps>,
}

impl SteppedHot {
    async fn reads(&self, call: &str) -> std::result::Result<(), HotError> {
        self.goes_on(&format!("{ASKS}{call}")).await
    }

    async fn goes_on(&self, step: &str) -> std::result::Result<(), HotError> {
        match self.steps.step(step).await {
            true => Ok(()),
            false => Err(HotError::Unavailable("stepped".into())),
        }
    }

    async fn writes<T>(
        &self,
        call: &str,
        write: impl Future<Output = std::result::Result<T, HotError>>,
    ) -> std::result::Result<T, HotError> {
        self.goes_on(&format!("before {call}")).await?;
        let written = write.await?;
        match self.steps.step(&format!("after {call}")).await {
            true => Ok(written),
            false => Err(HotError::Unknown("stepped".into())),
        }
    }
}

#[async_trait]
impl Partitions for SteppedHot {
    async fn partitions(&self) -> std::result::Result<Vec<PartitionPlan>, HotError> {
        self.reads("partitions").await?;
        self.inner.partitions().await
    }

    async fn partition(&self, day: Day) -> std::result::Result<Option<PartitionPlan>, HotError> {
        self.reads("partition").await?;
        self.inner.partition(day).await
    }

    async fn archive_commits(&self) -> std::result::Result<Vec<(Day, u64)>, HotError> {
        self.reads("archive_commits").await?;
        self.inner.archive_commits().await
    }

    async fn closed(
        &self,
        now: Millis,
        enough: u64,
    ) -> std::result::Result<Vec<ClosedPartition>, HotError> {
        self.reads("closed").await?;
        self.inner.closed(now, enough).await
    }

    async fn count(&self, day: Day) -> std::result::Result<u64, HotError> {
        self.reads("count").await?;
        self.inner.count(day).await
    }

    async fn closed_codes(
        &self,
        day: Day,
        now: Millis,
        limit: usize,
    ) -> std::result::Result<Vec<Code>, HotError> {
        self.reads("closed_codes").await?;
        self.inner.closed_codes(day, now, limit).await
    }

    async fn coupons_of(
        &self,
        day: Day,
        codes: Vec<Code>,
    ) -> std::result::Result<Vec<Coupon>, HotError> {
        self.reads("coupons_of").await?;
        let coupons = self.inner.coupons_of(day, codes).await?;
        let mut counts = self.steps.counts.lock().unwrap();
        Counts::add(&mut counts.read, coupons.iter().map(Coupon::code));
        drop(counts);
        Ok(coupons)
    }

    async fn closed_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Millis,
    ) -> std::result::Result<Vec<Coupon>, HotError> {
        self.reads("coupons_of").await?;
        self.inner.closed_coupons(day, codes, now).await
    }

    async fn evict(
        &self,
        day: Day,
        copied: Vec<(Code, u64)>,
    ) -> std::result::Result<u64, HotError> {
        if self.inner.partition(day).await?.is_some_and(|plan| plan.sealed) {
            // Like a store that writes archived markers with conditional writes.
            return Err(HotError::Unavailable("the row's bucket is sealed".into()));
        }
        Counts::add(
            &mut self.steps.counts.lock().unwrap().evicted,
            copied.iter().map(|(code, _)| code),
        );
        let mut evicted = 0;
        for some in copied.chunks(EVICTED_AT_ONCE) {
            evicted += self.writes("evict", self.inner.evict(day, some.to_vec())).await?;
        }
        Ok(evicted)
    }

    async fn seal(&self, day: Day, now: Millis) -> std::result::Result<bool, HotError> {
        self.writes("seal", self.inner.seal(day, now)).await
    }

    async fn residue(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> std::result::Result<Vec<Residue>, HotError> {
        self.reads("residue").await?;
        let residue = self.inner.residue(day, after, limit).await?;
        let coupons = residue.iter().filter(|row| matches!(row, Residue::Coupon(_)));
        let mut counts = self.steps.counts.lock().unwrap();
        Counts::add(&mut counts.read, coupons.map(Residue::code));
        drop(counts);
        Ok(residue)
    }

    async fn remove_residue(
        &self,
        day: Day,
        so_far: Emptying,
    ) -> std::result::Result<Option<Emptying>, HotError> {
        self.writes("remove_residue", self.inner.remove_residue(day, so_far)).await
    }

    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: Option<Millis>,
    ) -> std::result::Result<(), HotError> {
        self.writes(
            "finish_archive_commit",
            self.inner.finish_archive_commit(day, archive_commit, emptied),
        )
        .await
    }

    async fn are_over(
        &self,
        campaigns: Vec<CampaignId>,
        before: Millis,
    ) -> std::result::Result<bool, HotError> {
        self.reads("are_over").await?;
        self.inner.are_over(campaigns, before).await
    }

    async fn delete_days(&self, days: &BTreeSet<Day>) -> std::result::Result<(), HotError> {
        self.writes("delete_days", self.inner.delete_days(days)).await
    }

    async fn deleted_days(&self) -> std::result::Result<Option<BTreeSet<Day>>, HotError> {
        self.reads("deleted_days").await?;
        self.inner.deleted_days().await
    }

    async fn shrink(&self) -> std::result::Result<bool, HotError> {
        self.writes("shrink", self.inner.shrink()).await
    }

    async fn reconcile(
        &self,
        day: Day,
        coupons: Vec<Coupon>,
    ) -> std::result::Result<Reconciled, HotError> {
        self.inner.reconcile(day, coupons).await
    }

    async fn pass_over_serials(&self) -> std::result::Result<(), HotError> {
        self.inner.pass_over_serials().await
    }

    async fn cold_mark(&self) -> std::result::Result<ColdMark, HotError> {
        self.reads("cold_mark").await?;
        self.inner.cold_mark().await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> std::result::Result<(), HotError> {
        let call = match mark.committed {
            None => "raise begun",
            Some(_) => "raise committed",
        };
        self.writes(call, self.inner.raise_cold_mark(mark)).await
    }
}
