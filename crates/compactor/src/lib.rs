//! Archives finished coupons: moves them from hot to cold.
//!
//! All work is done in *archive commits*: what one commit copies from one partition. Invariants:
//! a row leaves hot only after a commit has it in cold, and the commit was read back before it was
//! made. The order is always copy, check, publish, delete, and every step may be repeated. So an
//! archive commit that was killed at any point is finished by the next run. Any number of
//! compactors may run at the same time; the commit to cold alone decides which of them made an
//! archive commit.
//!
//! There are two passes. *Closed* archives coupons that no rule can change any more while their
//! partition is open, and leaves an archived marker in the place of each. *Expired* seals a
//! partition whose time is over, archives what is left of it, and empties it.

mod archive_commit;
mod closed;
mod deleting;
mod erase;
mod error;
mod expired;
mod finish;
mod mark;
mod merge;
mod pairing;
mod plan;
mod progress;
mod report;
mod run;
mod settings;
mod tiers;

use std::sync::Arc;

use cold::{ColdStore, SweepReport};
use coupon::time::Millis;
use hot::Partitions;

pub use deleting::DeletedReport;
pub use error::CompactError;
use error::Result;
pub use pairing::{StoreMismatch, check_pairing};
pub use plan::{CompactionPass, DuePass};
pub use progress::{CompactionProgress, ProgressWatch};
pub use report::{CompactionReport, ErasedReport, PartitionReport};
pub use settings::{
    CLOSED_ARCHIVE_COMMIT_MAX, CLOSED_ENOUGH, CLOSED_WAIT_DAYS, ClosedPolicy, CompactionSettings,
    PARTITION_FILES_MAX,
};
pub use tiers::WRITES_MAX;

/// Coupons read from hot at a time.
const CHUNK: usize = 16_384;

/// How often an archive commit begins again because another compactor was faster.
const RACES_MAX: u32 = 64;

pub struct Compactor {
    hot: Arc<dyn Partitions>,
    cold: Arc<ColdStore>,
    settings: CompactionSettings,
    watch: ProgressWatch,
}

impl Compactor {
    /// Calls `watch` from any task.
    pub fn new(
        hot: Arc<dyn Partitions>,
        cold: Arc<ColdStore>,
        settings: CompactionSettings,
        watch: ProgressWatch,
    ) -> Compactor {
        Compactor { hot, cold, settings, watch }
    }

    /// What [`Compactor::run`] would do now. Writes nothing.
    pub async fn plan(&self, now: Millis, closed: ClosedPolicy) -> Result<Vec<DuePass>> {
        check_pairing(&*self.hot, &self.cold).await?;
        let partitions = self.hot.partitions().await?;
        let archive_commits = match self.cold.version().await? {
            Some(_) => {
                // After a log has lost an entry, the number of that entry would be used again.
                self.cold.has_archive_commits(&self.hot.archive_commits().await?).await?;
                self.cold.index_fits().await?;
                self.cold.partitions().await?
            }
            None => Vec::new(),
        };
        let enough = match closed {
            ClosedPolicy::Now => u64::MAX >> 1,
            ClosedPolicy::WhenWorthwhile | ClosedPolicy::OnlyFinish => self.settings.closed_enough,
        };
        let waiting = self.hot.closed(now, enough).await?;
        Ok(plan::plan(
            &plan::PlanInput { now, closed, partitions, archive_commits, waiting },
            &self.settings,
        ))
    }

    /// See [`ColdStore::cut_logs`].
    pub async fn vacuum(&self, now: Millis) -> Result<SweepReport> {
        match self.cold.version().await? {
            Some(_) => Ok(self.cold.cut_logs(now).await?),
            None => Ok(SweepReport::default()),
        }
    }
}
