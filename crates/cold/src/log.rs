//! The Delta log of one table: the only place that calls `delta_kernel`.
//!
//! Invariant: a [`TableVersion`] is never older than the moment at which its reader asked for it. A
//! reader that needs the newest version takes a ticket. A look-up that began after the ticket was
//! taken answers it, whoever started that look-up, so concurrent readers share one look-up. The
//! last version that was read is kept in memory.
//!
//! The kernel's calls block, so each runs on a blocking thread. The kernel has a small runtime of
//! its own, because a checkpoint never ends on an executor with one thread.

mod checkpoint;
mod commit;
mod create;
mod entries;
mod errors;
mod executor;
mod newest;
mod replay;
mod version;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};

use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use object_store::path::Path;
use tokio::sync::Semaphore;

use crate::error::Result;
use crate::location::StoreLocation;
use crate::schema::TableSchema;
use executor::KernelExecutor;
use newest::VersionMemory;

pub use commit::CommitOutcome;
pub(crate) use commit::PartitionChange;
pub(crate) use entries::actions;
pub(crate) use version::TableVersion;

/// Name of the writer in the `commitInfo` of a commit.
const WRITER: &str = concat!("couponry/", env!("CARGO_PKG_VERSION"));

/// Concurrent calls of the kernel for one table. When the store hangs, further calls wait for a
/// permit, where they can be cancelled, and do not take blocking threads from the hot store.
const CALLS_MAX: usize = 4;

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
}
