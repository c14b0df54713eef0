//! The Delta log of one table: the only place that calls `delta_kernel`.
//!
//! What was read last is remembered as [`TableVersion`]: the live files and how far each partition
//! has come, at one version. Whoever needs the newest takes a ticket, and a look that began after
//! the ticket was taken is good enough, whoever it was made for: concurrent looks are one look.
//!
//! The kernel's calls block, so each runs on a thread that may; and a checkpoint waits for ever
//! on an executor of one thread, so the kernel has a small runtime of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::Int64Type;
use coupon::time::{Day, Millis};
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt};
use delta_kernel::engine_data::FilteredEngineData;
use delta_kernel::expressions::Scalar;
use delta_kernel::schema::{DataType, StructField, StructType};
use delta_kernel::snapshot::{Snapshot, SnapshotRef};
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{FileMeta, KernelError, KernelResult};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder, build_add_file_metadata};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::bounds::Bounds;
use crate::error::ColdError;
use crate::files::footer_bytes;
use crate::location::StoreLocation;
use crate::names::{self, Origin};
use crate::schema::{Addition, TableSchema};

/// Who wrote a commit, for its `commitInfo`.
const WRITER: &str = concat!("couponry/", env!("CARGO_PKG_VERSION"));

/// Threads that wait for the store on the kernel's behalf; it needs two at the least.
const KERNEL_THREADS: usize = 2;

/// Calls of the kernel for one table at once. Of a store that hangs the others wait where they can
/// be called off, and leave the threads to the hot store.
const CALLS_MAX: usize = 4;

/// How often a commit that lost to commits of other partitions begins again. Each time one of them
/// got through, so this many would have to be made while one is written.
const COMMIT_TRIES_MAX: usize = 64;

/// How often a commit is tried that the store neither took nor refused, and the pause behind the
/// first of these tries.
const COMMIT_ERRORS_MAX: u32 = 3;
const COMMIT_PAUSE: Duration = Duration::from_millis(200);

/// How often a log that seemed empty is read again. Once is enough for a table that was being
/// made; twice means that somebody keeps removing it.
const LOAD_TRIES_MAX: usize = 3;

static KERNEL_EXECUTOR: LazyLock<Arc<TokioMultiThreadExecutor>> = LazyLock::new(|| {
    let executor = TokioMultiThreadExecutor::new_owned_runtime(Some(KERNEL_THREADS), None)
        .expect("two threads can be started");
    Arc::new(executor)
});

type DeltaEngine = DefaultEngine<TokioMultiThreadExecutor>;

/// One file of a table, as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LiveFile {
    /// Of its table.
    pub(crate) schema: &'static TableSchema,
    /// Within the table.
    pub(crate) path: String,
    pub(crate) origin: Origin,
    pub(crate) rows: u64,
    /// Bytes at its end that its footer fits into.
    pub(crate) footer_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) bounds: Bounds,
}

impl LiveFile {
    /// The last archive commit that brought a coupon into it, as far as its entry in the log says:
    /// no coupon of it is newer.
    pub(crate) fn newest_archive_commit(&self) -> u64 {
        self.bounds.archived_in.map_or(self.origin.archive_commit, |(_, last)| last)
    }

    /// By archive commit, then by code.
    fn order(&self) -> impl Ord {
        let from = self.bounds.code.as_ref().map(|(from, _)| from.as_str());
        (self.origin.archive_commit, from, self.path.as_str())
    }
}

/// A table at one version.
#[derive(Debug)]
pub(crate) struct TableVersion {
    pub(crate) version: u64,
    /// The last archive commit of each day that has one.
    pub(crate) archive_commits: BTreeMap<Day, u64>,
    /// The live files, by the day they were written for.
    pub(crate) files: BTreeMap<Day, Vec<Arc<LiveFile>>>,
    /// Columns of this release that the table was made without.
    lacks: Vec<Addition>,
    /// Whether a later release has added columns to it.
    pub(crate) is_later: bool,
    snapshot: SnapshotRef,
}

impl TableVersion {
    pub(crate) fn archive_commit(&self, day: Day) -> u64 {
        self.archive_commits.get(&day).copied().unwrap_or(0)
    }

    pub(crate) fn files(&self, day: Day) -> &[Arc<LiveFile>] {
        self.files.get(&day).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<LiveFile>> {
        self.files.values().flatten()
    }

    pub(crate) fn is_live(&self, day: Day, path: &str) -> bool {
        self.files(day).iter().any(|file| file.path == path)
    }
}

/// A file that is written and waits for its commit.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// Within the table.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) written_at: Millis,
    /// What the log says about its columns.
    pub(crate) stats: StructArray,
}

/// What a commit does to the partition of a day.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) day: Day,
    /// The number that must be the last one for the commit to go through.
    pub(crate) after: u64,
    pub(crate) archive_commit: u64,
    pub(crate) added: Vec<Written>,
    /// Paths, each of which must be live for the commit to go through.
    pub(crate) removed: HashSet<String>,
    /// Partitions that are complete with it, and the archive commit up to which they are: of the
    /// holder index.
    pub(crate) covers: Vec<(Day, u64)>,
}

/// How a commit ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done { version: u64 },
    Taken { archive_commit: u64 },
    Moved { version: u64 },
}

#[derive(Debug, Default)]
struct Memory {
    known: Option<Arc<TableVersion>>,
    /// The look that `known` comes from.
    look: u64,
    /// Bytes of its last entry in the log: another number means that somebody has put another file
    /// in its place, and what is known of it counts no more.
    entry_bytes: u64,
}

/// The right to an answer that is not older than the ticket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
pub(crate) struct Table {
    location: StoreLocation,
    schema: &'static TableSchema,
    engine: Arc<DeltaEngine>,
    memory: RwLock<Memory>,
    looking: tokio::sync::Mutex<()>,
    /// For the calls of the kernel: each takes a thread as long as the store takes to answer.
    threads: Arc<Semaphore>,
    looks: AtomicU64,
}

impl Table {
    pub(crate) fn new(location: &StoreLocation, schema: &'static TableSchema) -> Table {
        let engine = DefaultEngineBuilder::new(Arc::clone(&location.store))
            .with_task_executor(Arc::clone(&KERNEL_EXECUTOR))
            .build();
        Table {
            location: location.clone(),
            schema,
            engine: Arc::new(engine),
            memory: RwLock::default(),
            looking: tokio::sync::Mutex::default(),
            threads: Arc::new(Semaphore::new(CALLS_MAX)),
            looks: AtomicU64::new(0),
        }
    }

    pub(crate) fn schema(&self) -> &'static TableSchema {
        self.schema
    }

    /// A file of the table as an object of the store.
    pub(crate) fn object(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.schema.name))
    }

    pub(crate) fn folder(&self) -> Path {
        Path::from(self.schema.name)
    }

    pub(crate) fn log_folder(&self) -> Path {
        self.object("_delta_log")
    }

    pub(crate) fn entry(&self, version: u64) -> Path {
        self.object(&format!("_delta_log/{version:020}.json"))
    }

    fn url(&self) -> String {
        // The kernel wants a URL and hands its path to the store; the scheme is nobody's.
        format!("memory:///{}/", self.schema.name)
    }

    /// What is remembered, if anything.
    pub(crate) fn remembered(&self) -> Option<Arc<TableVersion>> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).known.clone()
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.looks.load(Ordering::SeqCst))
    }

    /// The newest version, looked up now.
    pub(crate) async fn newest(&self) -> Result<Arc<TableVersion>, ColdError> {
        self.since(self.ticket()).await
    }

    /// A version that was the newest one after `ticket` was taken.
    pub(crate) async fn since(&self, ticket: Ticket) -> Result<Arc<TableVersion>, ColdError> {
        self.look(ticket).await?.ok_or_else(|| {
            self.location.unavailable(format!("there is no table {}", self.schema.name))
        })
    }

    /// Like [`Table::newest`]; `None` where there is no table.
    pub(crate) async fn newest_if_any(&self) -> Result<Option<Arc<TableVersion>>, ColdError> {
        self.look(self.ticket()).await
    }

    async fn look(&self, ticket: Ticket) -> Result<Option<Arc<TableVersion>>, ColdError> {
        let _one_at_a_time = self.looking.lock().await;
        {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            if memory.look > ticket.0 {
                return Ok(memory.known.clone());
            }
        }
        let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        let (known, entry_bytes) = self.newest_from(self.remembered_with_bytes()).await?;
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        *memory = Memory { known: known.clone(), look, entry_bytes };
        Ok(known)
    }

    /// The newest version, and the bytes of its entry. Versions follow each other without a gap, so
    /// two looks by name save listing the log.
    async fn newest_from(
        &self,
        remembered: Option<(Arc<TableVersion>, u64)>,
    ) -> Result<(Option<Arc<TableVersion>>, u64), ColdError> {
        let mut base = None;
        if let Some((known, bytes)) = remembered {
            let (this, next) = (self.entry(known.version), self.entry(known.version + 1));
            let (this, next) =
                futures::try_join!(self.location.size(&this), self.location.size(&next))?;
            match (this == Some(bytes), next) {
                (true, None) => return Ok((Some(known), bytes)),
                (true, Some(_)) => base = Some(known),
                (false, _) => {}
            }
        }
        let Some(known) = self.load(base).await? else { return Ok((None, 0)) };
        let entry = self.entry(known.version);
        match self.location.size(&entry).await?.unwrap_or(0) {
            // The kernel takes it for a commit that changes nothing; nobody writes such a one.
            0 => Err(self.location.damaged(entry, "it is empty")),
            bytes => Ok((Some(known), bytes)),
        }
    }

    fn remembered_with_bytes(&self) -> Option<(Arc<TableVersion>, u64)> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.known.clone().map(|known| (known, memory.entry_bytes))
    }

    async fn load(
        &self,
        known: Option<Arc<TableVersion>>,
    ) -> Result<Option<Arc<TableVersion>>, ColdError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_load(known.clone()).await? {
                Ok(known) => return Ok(Some(Arc::new(known))),
                Err(Unread::Kernel(_)) if self.is_absent().await? => return Ok(None),
                // It was made between the two looks.
                Err(Unread::Kernel(KernelError::EmptyLog)) if tries < LOAD_TRIES_MAX => {}
                Err(unread) => return Err(self.unread("reading the log", unread).await),
            }
        }
    }

    /// An earlier version. It is not remembered.
    pub(crate) async fn at(&self, version: u64) -> Result<TableVersion, ColdError> {
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        let read_at = move || {
            let snapshot = Snapshot::builder_for(url).at_version(version).build(engine.as_ref())?;
            read(&engine, schema, snapshot)
        };
        match self.blocking(read_at).await? {
            Ok(known) => Ok(known),
            Err(_) if self.location.size(&self.entry(version)).await?.is_none() => {
                let what =
                    format!("there is no version {version} of {} any more", self.schema.name);
                Err(self.location.unavailable(what))
            }
            Err(unread) => Err(self.unread(&format!("reading version {version}"), unread).await),
        }
    }

    async fn unread(&self, what: &str, unread: Unread) -> ColdError {
        match unread {
            Unread::Foreign(path) => {
                self.location.damaged(self.object(&path), "it is not named as a file of ours")
            }
            Unread::Stats(path) => {
                self.location.damaged(self.object(&path), "its entry in the log has no counts")
            }
            Unread::Kernel(error) => self.failed(what, error).await,
        }
    }

    async fn try_load(
        &self,
        known: Option<Arc<TableVersion>>,
    ) -> Result<Result<TableVersion, Unread>, ColdError> {
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        self.blocking(move || {
            let newer = known.and_then(|known| {
                let builder = Snapshot::builder_from(Arc::clone(&known.snapshot));
                // A log that does not go on from there is read from its beginning.
                builder.build(engine.as_ref()).ok()
            });
            let snapshot = match newer {
                Some(snapshot) => snapshot,
                None => Snapshot::builder_for(url).build(engine.as_ref())?,
            };
            read(&engine, schema, snapshot)
        })
        .await
    }

    /// Whether there is no log at all.
    async fn is_absent(&self) -> Result<bool, ColdError> {
        let folder = self.log_folder();
        match self.location.store.list(Some(&folder)).try_next().await {
            Ok(first) => Ok(first.is_none()),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            // A local folder that is gone cannot even be listed.
            Err(_) if self.location.folder.as_ref().is_some_and(|local| local.is_gone()) => {
                Ok(true)
            }
            Err(error) => Err(self.location.failed(&format!("listing {folder}"), error)),
        }
    }

    /// Makes the table if there is none.
    pub(crate) async fn create(&self) -> Result<(), ColdError> {
        if self.newest_if_any().await?.is_some() {
            return self.location.settle(&self.log_folder()).await;
        }
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        let made = self
            .blocking(move || {
                create_table(url, schema.delta().into(), WRITER, false)
                    .with_data_layout(DataLayout::partitioned([schema.partition()]))
                    .build(engine.as_ref(), Box::new(FileSystemCommitter::new()))?
                    .commit(engine.as_ref())
                    .map(|_| ())
            })
            .await?;
        // Whoever made it: it has to be there now.
        match (self.newest_if_any().await?, made) {
            (Some(_), _) => self.location.settle(&self.log_folder()).await,
            (None, Err(error)) => Err(self.failed("making the table", error).await),
            (None, Ok(())) => Err(self.location.unavailable("the table that was made is gone")),
        }
    }

    /// Commits `change` on the newest version that allows it, as the version `up_to` at the latest.
    /// Losing is an outcome.
    pub(crate) async fn commit(&self, change: Change, up_to: u64) -> Result<Ended, ColdError> {
        let change = Arc::new(change);
        let mut errors = 0;
        for _ in 0..COMMIT_TRIES_MAX {
            let known = self.newest().await?;
            if let Some(ended) = self.ended(&known, &change) {
                // Another process may have been killed between the name and its sync.
                self.location.settle(&self.log_folder()).await?;
                return Ok(ended);
            }
            if known.version >= up_to {
                return Ok(Ended::Moved { version: known.version });
            }
            let (engine, on, what) =
                (Arc::clone(&self.engine), Arc::clone(&known), Arc::clone(&change));
            let schema = self.schema;
            let tried = self.blocking(move || match on.lacks.is_empty() {
                true => attempt(&engine, schema, &on, &what),
                // First, as a version of its own: no file has a column that the table has not.
                false => add_columns(&engine, &on).map(|()| None),
            });
            let tried = tried.await?;
            match tried {
                Ok(Some(version)) => return Ok(Ended::Done { version }),
                Ok(None) => {}
                // The answer may have been lost on the way: look before saying so, and before
                // trying again. Should the first try arrive late, one of the two has the version.
                Err(error) => {
                    let known = self.newest().await?;
                    if self.ended(&known, &change).is_none() {
                        errors += 1;
                        if errors == COMMIT_ERRORS_MAX {
                            return Err(self.failed("committing", error).await);
                        }
                        sleep(COMMIT_PAUSE * errors).await;
                    }
                }
            }
        }
        Err(self.location.unavailable(format!("{COMMIT_TRIES_MAX} commits came in between")))
    }

    /// How `change` ended, if it has.
    fn ended(&self, known: &TableVersion, change: &Change) -> Option<Ended> {
        let archive_commit = known.archive_commit(change.day);
        let is_live = |path: &str| known.is_live(change.day, path);
        let is_ours = |file: &Written| is_live(&file.path);
        if !change.added.is_empty() && change.added.iter().all(is_ours) {
            return Some(Ended::Done { version: known.version });
        }
        let is_open = archive_commit == change.after
            && change.archive_commit > archive_commit
            && change.removed.iter().all(|path| is_live(path));
        (!is_open).then_some(Ended::Taken { archive_commit })
    }

    /// Writes a checkpoint of the newest version if the last one is `every` versions old.
    pub(crate) async fn checkpoint(&self, every: u64) -> Result<(), ColdError> {
        let known = self.newest().await?;
        if known.version < self.last_checkpoint().await?.saturating_add(every) {
            return Ok(());
        }
        let engine = Arc::clone(&self.engine);
        let file = self.object(&format!("_delta_log/{:020}.checkpoint.parquet", known.version));
        let written = self
            .blocking(move || known.snapshot.checkpoint(engine.as_ref(), None).map(|_| ()))
            .await?;
        match written {
            Ok(()) => Ok(()),
            // Somebody else has written it meanwhile.
            Err(_) if self.location.size(&file).await?.is_some() => Ok(()),
            Err(error) => Err(self.failed("writing a checkpoint", error).await),
        }
    }

    /// The version that `_last_checkpoint` names; 0 where it names none.
    async fn last_checkpoint(&self) -> Result<u64, ColdError> {
        let hint = self.object("_delta_log/_last_checkpoint");
        let Some(text) = self.location.whole(&hint).await? else { return Ok(0) };
        // A hint that cannot be read is written anew.
        let hint: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        Ok(hint.and_then(|hint| hint["version"].as_u64()).unwrap_or(0))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ColdError> {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let work = move || {
            // Given back when the work has ended, also if nobody waits for it any more.
            let _permit = permit;
            work()
        };
        spawn_blocking(work).await.map_err(|error| self.location.stopped(error))
    }

    /// What the kernel's error means. It names no file, so the log is read for the broken one.
    async fn failed(&self, what: &str, error: KernelError) -> ColdError {
        let error = match store_error(error) {
            Ok(error) => return self.location.failed(what, error),
            Err(error) => error,
        };
        match self.broken_entry().await {
            Ok(Some((entry, fault))) => self.location.damaged(entry, fault),
            Ok(None) => self.location.damaged(self.log_folder(), error),
            Err(other) => other,
        }
    }

    /// The first entry of the log that does not read as JSON lines, and why.
    pub(crate) async fn broken_entry(&self) -> Result<Option<(Path, String)>, ColdError> {
        for (entry, _) in self.entries().await? {
            let text = self.location.whole(&entry).await?.unwrap_or_default();
            if let Err(fault) = actions(&text) {
                return Ok(Some((entry, fault)));
            }
        }
        Ok(None)
    }

    /// The commits in the log and when each was written.
    pub(crate) async fn entries(&self) -> Result<Vec<(Path, Millis)>, ColdError> {
        let found = self.location.list(&self.log_folder()).await?;
        let is_commit = |meta: &ObjectMeta| {
            names::log_object(&meta.location).is_some_and(|(_, what)| what == "json")
        };
        let commits = found.into_iter().filter(is_commit);
        Ok(commits
            .map(|meta| (meta.location, Millis(meta.last_modified.timestamp_millis())))
            .collect())
    }
}

/// The actions of one commit.
pub(crate) fn actions(entry: &[u8]) -> Result<Vec<serde_json::Value>, String> {
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let actions: Result<Vec<_>, _> = lines.map(serde_json::from_slice).collect();
    match actions {
        Ok(actions) if actions.is_empty() => Err("it has no action".to_owned()),
        Ok(actions) => Ok(actions),
        Err(error) => Err(error.to_string()),
    }
}

/// Why a snapshot could not be taken in.
enum Unread {
    Kernel(KernelError),
    Foreign(String),
    Stats(String),
}

impl From<KernelError> for Unread {
    fn from(error: KernelError) -> Unread {
        Unread::Kernel(error)
    }
}

fn read(
    engine: &DeltaEngine,
    schema: &'static TableSchema,
    snapshot: SnapshotRef,
) -> Result<TableVersion, Unread> {
    let mut files: BTreeMap<Day, Vec<Arc<LiveFile>>> = BTreeMap::new();
    let scan = Arc::clone(&snapshot).scan_builder().build()?;
    for batch in scan.scan_metadata(engine)? {
        let batch = batch?.scan_files.apply_selection_vector()?.try_into_record_batch()?;
        for file in live_files(schema, &batch)? {
            files.entry(file.origin.day).or_default().push(Arc::new(file));
        }
    }
    for files in files.values_mut() {
        files.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    }
    let archive_commits = archive_commits(engine, &snapshot)?;
    let columns = snapshot.schema();
    let (lacks, is_later) = (schema.missing_in(&columns), schema.is_behind(&columns));
    Ok(TableVersion {
        version: snapshot.version(),
        archive_commits,
        files,
        lacks,
        is_later,
        snapshot,
    })
}

fn live_files(schema: &'static TableSchema, batch: &RecordBatch) -> Result<Vec<LiveFile>, Unread> {
    let missing = || KernelError::generic("the scan has no path, size and stats");
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let paths = text("path").ok_or_else(missing)?;
    let stats = text("stats").ok_or_else(missing)?;
    let sizes = batch.column_by_name("size").ok_or_else(missing)?;
    let sizes = sizes.as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
    let file = |row: usize| {
        let path = paths.value(row).to_owned();
        let origin = names::origin(&path).ok_or_else(|| Unread::Foreign(path.clone()))?;
        let counted = stats.is_valid(row).then(|| Bounds::from_stats(stats.value(row))).flatten();
        let (rows, bounds) = counted.ok_or_else(|| Unread::Stats(path.clone()))?;
        let bytes = sizes.value(row).unsigned_abs();
        let footer_bytes = footer_bytes(schema, bytes);
        Ok(LiveFile { schema, path, origin, rows, footer_bytes, bytes, bounds })
    };
    (0..batch.num_rows()).map(file).collect()
}

/// The last transaction of every partition: one pass over the log, newest first.
fn archive_commits(engine: &DeltaEngine, snapshot: &Snapshot) -> KernelResult<BTreeMap<Day, u64>> {
    let txn = StructType::try_new([
        StructField::nullable("appId", DataType::STRING),
        StructField::nullable("version", DataType::LONG),
    ])?;
    let action = StructType::try_new([StructField::nullable("txn", txn)])?;
    let mut archive_commits = BTreeMap::new();
    for batch in snapshot.log_segment().read_actions(engine, Arc::new(action))? {
        let batch = batch?.actions.try_into_record_batch()?;
        let missing = || KernelError::generic("the log has no column txn");
        let txn = batch.column_by_name("txn").and_then(|column| column.as_struct_opt());
        let txn = txn.ok_or_else(missing)?;
        let ids = txn.column_by_name("appId").and_then(|column| column.as_string_opt::<i32>());
        let ids = ids.ok_or_else(missing)?;
        let versions = txn.column_by_name("version").ok_or_else(missing)?;
        let versions = versions.as_primitive_opt::<Int64Type>().ok_or_else(missing)?;
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && ids.is_valid(*row)) {
            if let Some(day) = names::day_of_partition_id(ids.value(row)) {
                // Numbers only rise, so the highest is the last.
                let archive_commit: &mut u64 = archive_commits.entry(day).or_default();
                *archive_commit = (*archive_commit).max(versions.value(row).unsigned_abs());
            }
        }
    }
    Ok(archive_commits)
}

/// One try to add to the table what `known` lacks. Another commit may take the next version first,
/// or add the same: whoever looks again sees which.
fn add_columns(engine: &DeltaEngine, known: &TableVersion) -> KernelResult<()> {
    let alter = UpdateTableOperation::AlterTable;
    let mut change = Arc::clone(&known.snapshot).update_table(alter, WRITER, false);
    for (parent, field) in known.lacks.iter().cloned() {
        change = match parent {
            Some(parent) => change.add_column_at(parent, field),
            None => change.add_column(field),
        };
    }
    match change.build(engine, Box::new(FileSystemCommitter::new()))?.commit(engine)? {
        CommitResult::Committed(_) | CommitResult::Conflicted(_) => Ok(()),
        CommitResult::Retryable(retryable) => Err(retryable.error),
    }
}

/// One try to commit on `known`; `None` if another commit has taken the next version.
fn attempt(
    engine: &DeltaEngine,
    schema: &TableSchema,
    known: &TableVersion,
    change: &Change,
) -> KernelResult<Option<u64>> {
    let mut transaction = Arc::clone(&known.snapshot)
        .update_table(UpdateTableOperation::Write, WRITER, true)
        .build(engine, Box::new(FileSystemCommitter::new()))?
        .with_transaction_id(names::partition_id(change.day), change.archive_commit.cast_signed());
    for (day, archive_commit) in &change.covers {
        transaction = transaction
            .with_transaction_id(names::partition_id(*day), archive_commit.cast_signed());
    }
    let state = transaction.write_state()?;
    for file in &change.added {
        let partition = match schema.partition() {
            "month" => Scalar::String(names::month(change.day)),
            "level" => Scalar::String(names::level(&file.path).unwrap_or(0).to_string()),
            _ => Scalar::Date(change.day.0),
        };
        let context = state
            .write_context_builder()
            .with_partition_values(HashMap::from([(schema.partition().to_owned(), partition)]))
            .build()?;
        let url = context.table_root_dir().join(&file.path)?;
        let meta = FileMeta::new(url, file.written_at.0, file.bytes);
        let add = DataFileMetadata::new(meta, file.stats.clone());
        transaction.add_files(build_add_file_metadata(add, &context)?);
    }
    if !change.removed.is_empty() {
        let scan = Arc::clone(&known.snapshot).scan_builder().build()?;
        for batch in scan.scan_metadata(engine)? {
            if let Some(removed) = narrowed(batch?.scan_files, &change.removed)? {
                transaction.remove_files(removed);
            }
        }
    }
    Ok(match transaction.commit(engine)? {
        CommitResult::Committed(committed) => Some(committed.commit_version()),
        CommitResult::Conflicted(_) => None,
        CommitResult::Retryable(retryable) => return Err(retryable.error),
    })
}

/// The rows of `files` that are to be removed, if there are any.
fn narrowed(
    files: FilteredEngineData,
    removed: &HashSet<String>,
) -> KernelResult<Option<FilteredEngineData>> {
    let (data, mut selected) = files.into_parts();
    let batch = data.try_into_record_batch()?;
    let paths = batch.column_by_name("path").and_then(|column| column.as_string_opt::<i32>());
    let paths = paths.ok_or_else(|| KernelError::generic("the scan has no path"))?;
    selected.resize(batch.num_rows(), true);
    for (row, selected) in selected.iter_mut().enumerate() {
        *selected = *selected && paths.is_valid(row) && removed.contains(paths.value(row));
    }
    if !selected.contains(&true) {
        return Ok(None);
    }
    let data = Box::new(ArrowEngineData::new(batch));
    FilteredEngineData::try_new(data, selected).map(Some)
}

/// The store's own error, where the kernel's is one or comes from one.
fn store_error(error: KernelError) -> Result<object_store::Error, KernelError> {
    match error {
        KernelError::ObjectStore(error) => Ok(error),
        KernelError::Backtraced { source, .. } => store_error(*source),
        error if comes_from_store(&error) => {
            Ok(object_store::Error::Generic { store: "kernel", source: Box::new(error) })
        }
        other => Err(other),
    }
}

fn comes_from_store(error: &KernelError) -> bool {
    if let KernelError::IOError(_) | KernelError::JoinFailure(_) = error {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<object_store::Error>() || error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
