//! The Delta log of one table: the only place that calls `delta_kernel`.
//!
//! Invariant: a [`TableVersion`] is never older than the moment at which its reader asked for it. A
//! reader that needs the newest version takes a ticket. A look-up that began after the ticket was
//! taken answers it, whoever started that look-up, so concurrent readers share one look-up. The
//! last version that was read is kept in memory.
//!
//! The kernel's calls block, so each runs on a blocking thread. The kernel has a small runtime of
//! its own, because a checkpoint never ends on an executor with one thread.

mod commit;
mod errors;
mod newest;
mod replay;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use coupon::time::{Day, Millis};
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::snapshot::SnapshotRef;
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{KernelError, KernelResult};
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use futures::TryFutureExt;
use futures::future::BoxFuture;
use object_store::ObjectMeta;
use object_store::path::Path;
use parking_lot::RwLock;
use tokio::runtime::EnterGuard;
use tokio::sync::Semaphore;

use crate::blocking::{self, BlockingPool};
use crate::error::Result;
use crate::live::LiveFile;
use crate::location::StoreLocation;
use crate::names;
use crate::schema::{ColumnAddition, TableSchema};
use newest::VersionMemory;

pub use commit::CommitOutcome;
pub(crate) use commit::PartitionChange;

/// Name of the writer in the `commitInfo` of a commit.
const WRITER: &str = concat!("couponry/", env!("CARGO_PKG_VERSION"));

/// Concurrent calls of the kernel for one table. When the store hangs, further calls wait for a
/// permit, where they can be cancelled, and do not take blocking threads from the hot store.
const CALLS_MAX: usize = 4;

/// Threads on which the kernel waits for the store. It needs at least two.
const KERNEL_THREADS: usize = 2;

static KERNEL_RUNTIME: LazyLock<TokioMultiThreadExecutor> = LazyLock::new(|| {
    TokioMultiThreadExecutor::new_owned_runtime(Some(KERNEL_THREADS), None)
        .expect("two threads can be started")
});

type DeltaEngine = DefaultEngine<KernelExecutor>;

#[derive(Debug)]
pub(crate) struct DeltaTable {
    location: StoreLocation,
    pub(crate) schema: &'static TableSchema,
    engine: Arc<DeltaEngine>,
    memory: RwLock<VersionMemory>,
    looking: tokio::sync::Mutex<()>,
    /// Permits for calls of the kernel: each call takes a thread until the store answers.
    threads: Arc<Semaphore>,
    looks: AtomicU64,
}

impl DeltaTable {
    pub(crate) fn new(location: &StoreLocation, schema: &'static TableSchema) -> DeltaTable {
        let engine = DefaultEngineBuilder::new(Arc::clone(&location.store))
            .with_task_executor(Arc::new(KernelExecutor(location.blocking.clone())))
            .build();
        DeltaTable {
            location: location.clone(),
            schema,
            engine: Arc::new(engine),
            memory: RwLock::default(),
            looking: tokio::sync::Mutex::default(),
            threads: Arc::new(Semaphore::new(CALLS_MAX)),
            looks: AtomicU64::new(0),
        }
    }

    /// The path of a file of the table within the store.
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
        // The kernel wants a URL and hands only its path to the store, so any scheme does.
        format!("memory:///{}/", self.schema.name)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let work = move || {
            // Released when the work ends, also when its caller was cancelled.
            let _permit = permit;
            work()
        };
        self.location.blocking(work).await
    }

    /// Creates the table unless it exists.
    pub(crate) async fn create(&self) -> Result<()> {
        if self.newest_if_any().await?.is_some() {
            // Its creator may have been killed before it synced the folder.
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
        // Whichever process created it, it must exist now.
        match (self.newest_if_any().await?, made) {
            (Some(_), _) => self.location.settle(&self.log_folder()).await,
            (None, Err(error)) => Err(self.failed("creating the table", error).await),
            (None, Ok(())) => Err(self.location.unavailable("the table was created and is gone")),
        }
    }

    /// Writes a checkpoint of the newest version if the last one is at least `every` versions old.
    pub(crate) async fn checkpoint(&self, every: u64) -> Result<()> {
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
            // Another process has written it meanwhile.
            Err(_) if self.location.size(&file).await?.is_some() => Ok(()),
            Err(error) => Err(self.failed("writing a checkpoint", error).await),
        }
    }

    /// The version in `_last_checkpoint`; 0 if there is none.
    async fn last_checkpoint(&self) -> Result<u64> {
        let hint = self.object("_delta_log/_last_checkpoint");
        let Some(text) = self.location.whole(&hint).await? else { return Ok(0) };
        // A file that cannot be read is written again with the next checkpoint.
        let hint: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        Ok(hint.and_then(|hint| hint["version"].as_u64()).unwrap_or(0))
    }

    /// The first entry of the log that is not lines of JSON, and why.
    pub(crate) async fn broken_entry(&self) -> Result<Option<(Path, String)>> {
        for (entry, _) in self.entries().await? {
            let text = self.location.whole(&entry).await?.unwrap_or_default();
            if let Err(fault) = actions(&text) {
                return Ok(Some((entry, fault)));
            }
        }
        Ok(None)
    }

    /// The entries of the log, and when each was written.
    pub(crate) async fn entries(&self) -> Result<Vec<(Path, Millis)>> {
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

pub(crate) fn actions(entry: &[u8]) -> Result<Vec<serde_json::Value>, String> {
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let actions: Result<Vec<_>, _> = lines.map(serde_json::from_slice).collect();
    match actions {
        Ok(actions) if actions.is_empty() => Err("it has no action".to_owned()),
        Ok(actions) => Ok(actions),
        Err(error) => Err(error.to_string()),
    }
}

/// Tries once to add the columns that the table lacks in `known`. Another commit may take the next
/// version first, or add the same columns; the caller looks up the newest version to find out.
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

/// One version of a table as its log has it: the only place that knows which files are live.
#[derive(Debug)]
pub(crate) struct TableVersion {
    pub(crate) version: u64,
    pub(crate) archive_commits: BTreeMap<Day, u64>,
    pub(crate) files: BTreeMap<Day, Vec<Arc<LiveFile>>>,
    /// Columns of this release that the table does not have yet.
    lacks: Vec<ColumnAddition>,
    /// Whether a later release has added columns to the table.
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

/// Waits on the runner of the pool, or else on a runtime of its own.
#[derive(Debug)]
struct KernelExecutor(BlockingPool);

impl TaskExecutor for KernelExecutor {
    /// A runner is in a runtime of tokio already.
    type Guard<'a> = Option<EnterGuard<'a>>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.block_on(task),
            Some(runner) => blocking::wait(&**runner, task),
        }
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.spawn(task),
            Some(_) => drop(tokio::spawn(task)),
        }
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, KernelResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match &self.0.0 {
            None => KERNEL_RUNTIME.spawn_blocking(task),
            Some(runner) => {
                let task = blocking::spawn_on(&**runner, task);
                Box::pin(task.map_err(KernelError::join_failure))
            }
        }
    }

    fn enter(&self) -> Option<EnterGuard<'_>> {
        match &self.0.0 {
            None => Some(KERNEL_RUNTIME.enter()),
            Some(_) => None,
        }
    }
}
