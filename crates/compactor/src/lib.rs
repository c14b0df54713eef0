//! Moves finished coupons from hot to cold.
//!
//! Two passes. *Closed* copies what no rule can change any more, partition by partition, and leaves
//! an archived marker; *Expired* seals a whole partition whose time is over, copies it, and empties
//! it. Both work in *archive commits*: what is moved from one partition by one commit. The order is
//! always copy, check, publish, remove, and every step may be repeated: an archive commit that was
//! killed anywhere is finished by whoever runs next, and any number of compactors may run at the
//! same time. Which of them has made an archive commit is decided by its commit alone.

mod closed;
mod examine;
mod expired;
mod finish;
mod merge;
mod pairing;
mod plan;
mod report;
mod tiers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cold::{ColdError, ColdStore, Swept};
use coupon::time::{Day, Millis};
use hot::{ColdMark, HotError, Partitions};

pub use examine::examine;
pub use pairing::{StoreMismatch, check_pairing};
pub use plan::{Pass, Work};
pub use report::{PartitionReport, Progress, Report, Watch};
pub use tiers::{WRITES_MAX, runs_at_most};

/// An archive commit of the Closed pass is made when so many wait in a partition: a file must be
/// worth its keep.
pub const CLOSED_ENOUGH: u64 = 100_000;

/// Or when one of them has waited so long.
pub const CLOSED_WAIT_DAYS: u16 = 30;

/// Most coupons of one Closed archive commit; their codes are held in memory, some 50 MB.
pub const CLOSED_ARCHIVE_COMMIT_MAX: usize = 1_000_000;

/// A partition is merged before a commit would give it more runs than this, a run being the files of
/// one commit: a look-up touches one footer of each. [`runs_at_most`] says how the number grows
/// where there are dozens of commits.
pub const PARTITION_FILES_MAX: usize = 8;

/// Coupons read from hot at a time.
const CHUNK: usize = 16_384;

/// So many partitions in a row that failed because a store did not do its part: it does not answer,
/// and the others would wait for it in vain.
const STORE_FAILURES_MAX: u32 = 3;

/// How often one archive commit is begun anew because somebody else was faster.
const RACES_MAX: u32 = 64;

/// How often a write that found no turn is repeated, with twice the pause each time.
const TURNS_MAX: u32 = 8;

/// A run over many partitions looks behind so many of them whether a checkpoint is due.
const CHECKPOINT_LOOK_EVERY: usize = 16;

/// Rows that are written to the holder index between two checkpoints of it.
const INDEXED_AT_ONCE: u64 = 1_000_000;

/// Rows that one run writes to it, about: a quarter of an hour, in which no other run can begin.
const INDEXED_MAX: u64 = 50_000_000;

/// First of those pauses.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// What can be set about a compactor.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// See [`CLOSED_ENOUGH`].
    pub closed_enough: u64,
    /// See [`CLOSED_WAIT_DAYS`].
    pub closed_wait_days: u16,
    /// See [`CLOSED_ARCHIVE_COMMIT_MAX`].
    pub closed_archive_commit_max: usize,
    /// See [`PARTITION_FILES_MAX`].
    pub partition_files_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            closed_enough: CLOSED_ENOUGH,
            closed_wait_days: CLOSED_WAIT_DAYS,
            closed_archive_commit_max: CLOSED_ARCHIVE_COMMIT_MAX,
            partition_files_max: PARTITION_FILES_MAX,
        }
    }
}

/// When closed coupons are worth an archive commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// When enough of them wait, or one has waited long.
    WhenWorthwhile,
    /// All of them, at once.
    Now,
    /// None: only what an earlier run has committed or sealed is finished. No partition is sealed,
    /// and nothing is deleted by its age. For a clock that is not trusted.
    OnlyFinish,
}

/// Why a compaction stopped. What was done until then stays done, and nothing was removed from hot
/// that is not in cold.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The hot store did not do its part.
    #[error(transparent)]
    Hot(#[from] HotError),
    /// The cold tier did not do its part.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// The two do not belong together.
    #[error(transparent)]
    StoreMismatch(#[from] StoreMismatch),
    /// An archived marker stands for a coupon that cold does not have.
    #[error(
        "partition {day}: {code} was moved to cold and is not there; its archived marker stays"
    )]
    ArchivedMarkerAlone {
        /// The partition.
        day: Day,
        /// The code.
        code: String,
    },
    /// What was read back is not what was written.
    #[error("partition {day}: {file} does not hold what was written to it; nothing was removed")]
    NotAsWritten {
        /// The partition.
        day: Day,
        /// The file.
        file: String,
    },
    /// Others were faster, again and again.
    #[error("partition {day}: somebody else commits to it all the time; run it again")]
    Conflict {
        /// The partition.
        day: Day,
    },
}

/// Moves coupons from one hot store to one cold tier.
pub struct Compactor {
    hot: Arc<dyn Partitions>,
    cold: Arc<ColdStore>,
    settings: Settings,
    watch: Watch,
}

impl Compactor {
    /// A compactor; `watch` is told how it goes on, from any task.
    pub fn new(
        hot: Arc<dyn Partitions>,
        cold: Arc<ColdStore>,
        settings: Settings,
        watch: Watch,
    ) -> Compactor {
        Compactor { hot, cold, settings, watch }
    }

    /// What [`Compactor::run`] would do now; nothing is written.
    ///
    /// # Errors
    /// Those of both stores.
    pub async fn plan(&self, now: Millis, closed: Closed) -> Result<Vec<Work>, CompactError> {
        check_pairing(&*self.hot, &self.cold).await?;
        let partitions = self.hot.partitions().await?;
        let archive_commits = match self.cold.version().await? {
            Some(_) => {
                // A log that has lost an entry would be given the same number once more.
                self.cold.has_archive_commits(&self.hot.archive_commits().await?).await?;
                self.cold.index_fits().await?;
                self.cold.partitions().await?
            }
            None => Vec::new(),
        };
        let enough = match closed {
            Closed::Now => u64::MAX >> 1,
            Closed::WhenWorthwhile | Closed::OnlyFinish => self.settings.closed_enough,
        };
        let waiting = self.hot.closed(now, enough).await?;
        Ok(plan::plan(
            &plan::Seen { now, closed, partitions, archive_commits, waiting },
            &self.settings,
        ))
    }

    /// Does all that there is to do now, partition by partition. A partition that cannot be done is
    /// reported and the others are done all the same.
    ///
    /// # Errors
    /// What concerns all partitions: a store that fails three of them in a row or cannot be trusted, a
    /// hot store and a cold tier that do not belong together.
    pub async fn run(&self, now: Millis, closed: Closed) -> Result<Report, CompactError> {
        let works = self.plan(now, closed).await?;
        self.cold.probe().await?;
        let mut report = Report::default();
        let mut failures = 0;
        for work in works {
            (self.watch)(Progress::Begins(work));
            let done = match work.pass {
                Pass::Finish => self.finish(work.day).await,
                Pass::Closed => self.closed_pass(work.day, now).await,
                Pass::Expired => self.expired_pass(work.day, now).await,
            };
            match done {
                Ok(done) => {
                    failures = 0;
                    report.partitions.push(done);
                    if report.partitions.len().is_multiple_of(CHECKPOINT_LOOK_EVERY) {
                        self.cold.checkpoint().await?;
                    }
                }
                Err(error) => {
                    failures = if is_of_a_store(&error) { failures + 1 } else { 0 };
                    if failures == STORE_FAILURES_MAX
                        || matches!(error, CompactError::StoreMismatch(_))
                    {
                        return Err(error);
                    }
                    tracing::error!(day = %work.day, error = %error, "a partition was not moved");
                    report.failed.push((work, error));
                }
            }
        }
        if self.cold.version().await?.is_some() {
            if let Err(error) = self.index_holders(now, closed).await {
                tracing::error!(error = %error, "the holder index is not complete");
                report.not_indexed = Some(error);
            }
            self.cold.checkpoint().await?;
            if closed != Closed::OnlyFinish {
                report.swept = self.cold.sweep(now).await?;
            }
        }
        while self.patiently(|| self.hot.shrink()).await? {}
        Ok(report)
    }

    /// What was archived comes into the index that people's lists are read from, up to a limit: the
    /// next run goes on.
    async fn index_holders(&self, now: Millis, closed: Closed) -> Result<(), CompactError> {
        let (begun, mut rows) = (Instant::now(), 0);
        while rows < INDEXED_MAX {
            let merged = self.cold.merge_holders(INDEXED_AT_ONCE).await?;
            rows += merged.written;
            (self.watch)(Progress::Indexed { rows });
            // Without a commit somebody else is at it, who goes on to the end.
            if merged.is_done || merged.commits == 0 {
                break;
            }
            // A reader's look at the log stays short, and what was merged away goes.
            self.cold.checkpoint().await?;
            if closed != Closed::OnlyFinish {
                let since = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                self.cold.sweep_index(now.plus_ms(since)).await?;
            }
        }
        Ok(())
    }

    /// Removes the log entries of all tables that nobody needs any more; see
    /// [`ColdStore::cut_logs`].
    ///
    /// # Errors
    /// Those of the cold tier.
    pub async fn vacuum(&self, now: Millis) -> Result<Swept, CompactError> {
        match self.cold.version().await? {
            Some(_) => Ok(self.cold.cut_logs(now).await?),
            None => Ok(Swept::default()),
        }
    }

    /// The tables are there, and the hot store knows that it takes part in them.
    async fn make_tables(&self) -> Result<(), CompactError> {
        let mark = self.hot.cold_mark().await?;
        if mark.begun.is_none() {
            self.begins(0).await?;
        }
        // Until a commit was made, whoever began may have been stopped before there was a table.
        if mark.committed.is_none() {
            self.cold.create().await?;
        }
        Ok(())
    }

    /// Before a version is committed the hot store knows of it, so that a cold tier which has a
    /// later one can only mean that the hot store was restored from a backup.
    async fn begins(&self, version: u64) -> Result<(), CompactError> {
        let mark = ColdMark { begun: Some(version), committed: None };
        Ok(self.patiently(|| self.hot.raise_cold_mark(mark)).await?)
    }

    async fn has_committed(&self, version: u64) -> Result<(), CompactError> {
        let mark = ColdMark { begun: Some(version), committed: Some(version) };
        Ok(self.patiently(|| self.hot.raise_cold_mark(mark)).await?)
    }

    /// A write to hot steps back behind those of customers.
    async fn patiently<T, F>(&self, write: impl Fn() -> F) -> Result<T, HotError>
    where
        F: Future<Output = Result<T, HotError>>,
    {
        let mut pause = TURN_PAUSE;
        for _ in 1..TURNS_MAX {
            match write().await {
                Err(HotError::Overloaded { .. } | HotError::Unavailable(_)) => {}
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        write().await
    }
}

/// Whether a store did not do its part, for a reason that may be the same for every partition.
fn is_of_a_store(error: &CompactError) -> bool {
    match error {
        CompactError::Hot(error) => !matches!(error, HotError::Damaged(_) | HotError::Cold(_)),
        CompactError::StoreMismatch(_) => true,
        CompactError::Cold(error) => !matches!(
            error,
            ColdError::Damaged { .. } | ColdError::TooMuch { .. } | ColdError::Order { .. }
        ),
        CompactError::ArchivedMarkerAlone { .. }
        | CompactError::NotAsWritten { .. }
        | CompactError::Conflict { .. } => false,
    }
}
