//! What one query sees of the two tiers.
//!
//! A partition of which hot has nothing any more is completely in cold. So every reader of both tiers reads
//! the partitions of hot first, and cold after it. All tables of a query see the same partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use cold::ColdPartition;
use coupon::time::{Day, Millis};
use engine::{Engine, Failure};
use hot::HotError;
use tokio::sync::OnceCell;

#[derive(Clone)]
pub(crate) struct TierReader {
    pub(crate) engine: Arc<Engine>,
    /// The version of cold to read. With it hot is not read, because it has no versions.
    pub(crate) as_of: Option<u64>,
    pub(crate) now: Millis,
    seen: Arc<OnceCell<Arc<SeenPartitions>>>,
}

#[derive(Debug, Default)]
pub(crate) struct SeenPartitions {
    /// Partitions that hot may still have something of, by day.
    pub(crate) open: Vec<Day>,
    /// Partitions in cold alone, with no code in two files.
    pub(crate) settled: Vec<ColdPartition>,
    /// Partitions in cold alone, with codes that may be in several files.
    pub(crate) layered: Vec<ColdPartition>,
}

/// The failure of either store as an error of hot.
pub(crate) fn of_store(failure: Failure) -> HotError {
    match failure {
        Failure::Store(error) => error,
        other => HotError::Unavailable(format!("{other:?}").into()),
    }
}

impl std::fmt::Debug for TierReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tiers").field("as_of", &self.as_of).field("now", &self.now).finish()
    }
}

impl TierReader {
    pub(crate) fn new(engine: Arc<Engine>, as_of: Option<u64>) -> TierReader {
        let now = engine.now();
        TierReader { engine, as_of, now, seen: Arc::default() }
    }

    /// The partitions of the query. The first call reads them.
    pub(crate) async fn seen(&self) -> Result<Arc<SeenPartitions>, HotError> {
        self.seen.get_or_try_init(async || self.look().await.map(Arc::new)).await.cloned()
    }

    /// Reads the partitions that hot may still have something of.
    pub(crate) async fn open(&self) -> Result<Vec<Day>, HotError> {
        let plans = self.engine.partitions().partitions().await?;
        Ok(plans.into_iter().map(|plan| plan.day).collect())
    }

    async fn look(&self) -> Result<SeenPartitions, HotError> {
        self.engine.know_erasures().await.map_err(of_store)?;
        let (open, has_cold) = match self.as_of {
            Some(_) => (Vec::new(), true),
            None => (self.open().await?, self.engine.has_cold().await.map_err(of_store)?),
        };
        let partitions = match has_cold {
            true => {
                let snapshot = self.engine.cold().snapshot(self.as_of).await;
                snapshot.map_err(|error| HotError::Cold(Box::new(error)))?
            }
            false => Vec::new(),
        };
        let in_hot: BTreeSet<Day> = open.iter().copied().collect();
        let alone = partitions.into_iter().filter(|partition| !in_hot.contains(&partition.day));
        // couponry itself reads the files that have old names of erased people.
        let cold = self.engine.cold();
        let is_clean = |it: &ColdPartition| !it.files.iter().any(|file| cold.is_behind(file));
        let (settled, layered) = alone.partition(|it| is_settled(it) && is_clean(it));
        Ok(SeenPartitions { open: in_hot.into_iter().collect(), settled, layered })
    }
}

/// Whether no code is in two files: the files of one archive commit share no code.
fn is_settled(partition: &ColdPartition) -> bool {
    let mut archive_commits = partition.files.iter().map(cold::ColdFile::archive_commit);
    let first = archive_commits.next();
    archive_commits.all(|archive_commit| Some(archive_commit) == first)
}
