//! A run over all partitions: the persons to erase, the passes, then the holder index, a checkpoint and a sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cold::{ColdFile, ColdPartition, ColdStore};
use coupon::time::{Day, Millis};

use crate::error::is_of_a_store;
use crate::{
    ClosedPolicy, CompactError, CompactionPass, CompactionProgress, CompactionReport, Compactor,
    DuePass, PartitionReport, Result,
};

/// Abort after this many consecutive partitions that failed because of a store. It does not answer,
/// and the other partitions would wait in vain.
const STORE_FAILURES_MAX: u32 = 3;

/// Check every this many partitions whether a checkpoint is due.
const CHECKPOINT_LOOK_EVERY: usize = 16;

/// Rows written to the holder index between two checkpoints of it.
const INDEXED_AT_ONCE: u64 = 1_000_000;

/// Rows that one run writes to the holder index, about: a quarter of an hour, during which no other
/// run can begin.
const INDEXED_MAX: u64 = 50_000_000;

impl Compactor {
    /// Does all the work that is due, partition by partition. A partition that fails is reported,
    /// and the others are still done.
    ///
    /// # Errors
    /// Errors that concern all partitions: a store that fails three of them in a row or is not
    /// safe, or two stores that do not belong together.
    pub async fn run(&self, now: Millis, closed: ClosedPolicy) -> Result<CompactionReport> {
        let works = self.plan(now, closed).await?;
        // Before the first commit: a store that lets two writers create one object loses commits.
        self.cold.probe().await?;
        let mut report = CompactionReport::default();
        match self.erase_persons(now).await {
            Ok(erased) => report.erased = erased,
            Err(error) => {
                tracing::error!(error = %error, "erased persons are still in the cold tier");
                report.not_erased = Some(error);
            }
        }
        let mut failures = 0;
        for work in works {
            (self.watch)(CompactionProgress::Begins(work));
            match self.work(work, now).await {
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
                    tracing::error!(day = %work.day, error = %error, "a partition was not archived");
                    report.failed.push((work, error));
                }
            }
        }
        if self.cold.version().await?.is_some() {
            match self.delete_days(now, closed != ClosedPolicy::OnlyFinish).await {
                Ok(deleted) => report.deleted = deleted,
                Err(error) => {
                    tracing::error!(error = %error, "old expiry days were not deleted");
                    report.not_deleted = Some(error);
                }
            }
            if let Err(error) = self.index_holders(now, closed).await {
                tracing::error!(error = %error, "the holder index is not complete");
                report.not_indexed = Some(error);
            }
            self.cold.checkpoint().await?;
            self.list_complete_days().await?;
            if closed != ClosedPolicy::OnlyFinish {
                report.swept = self.cold.sweep(now).await?;
            }
        }
        // Last: it gives back the pages of all rows that this run has deleted.
        while self.with_retries(|| self.hot.shrink()).await? {}
        Ok(report)
    }

    async fn work(&self, work: DuePass, now: Millis) -> Result<PartitionReport> {
        // Before the seal: a partition that cannot be archived would stay sealed in hot.
        ColdStore::check_day(work.day)?;
        match work.pass {
            CompactionPass::Finish => self.finish(work.day).await,
            CompactionPass::Closed => self.closed_pass(work.day, now).await,
            CompactionPass::Expired => self.expired_pass(work.day, now).await,
        }
    }

    /// Lists the expiry days that are complete in cold. A day is listed too late after a killed
    /// run, and never too early: only an emptied partition is, and no clock is asked.
    async fn list_complete_days(&self) -> Result<()> {
        let deleted = self.cold.deleted_days().await?;
        let mut complete = self.emptied().await?;
        complete.retain(|day, _| !deleted.contains(day));
        let rows = |it: &ColdPartition| (it.day, it.files.iter().map(ColdFile::rows).sum());
        let days: Vec<(Day, u64)> = complete.values().map(rows).collect();
        Ok(self.cold.write_complete_days(&days).await?)
    }

    /// The partitions that were archived from and emptied.
    pub(crate) async fn emptied(&self) -> Result<BTreeMap<Day, ColdPartition>> {
        // In this order: a partition that was archived from, and is not open later, was emptied.
        let archived: BTreeSet<Day> =
            self.hot.archive_commits().await?.into_iter().map(|(day, _)| day).collect();
        let open: BTreeSet<Day> =
            self.hot.partitions().await?.into_iter().map(|plan| plan.day).collect();
        let all = self.cold.partitions().await?.into_iter().map(|it| (it.day, it));
        Ok(all.filter(|(day, _)| archived.contains(day) && !open.contains(day)).collect())
    }

    /// Up to a limit; the next run continues.
    async fn index_holders(&self, now: Millis, closed: ClosedPolicy) -> Result<()> {
        let (begun, mut rows) = (Instant::now(), 0);
        while rows < INDEXED_MAX {
            let merged = self.cold.merge_holders(INDEXED_AT_ONCE).await?;
            rows += merged.written;
            (self.watch)(CompactionProgress::Indexed { rows });
            // No commit: another process merges, and it merges to the end.
            if merged.is_done || merged.commits == 0 {
                break;
            }
            // The checkpoint keeps look-ups of the newest version short, and the sweep deletes
            // replaced files.
            self.cold.checkpoint().await?;
            if closed != ClosedPolicy::OnlyFinish {
                let since = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                self.cold.sweep_index(now.plus_ms(since)).await?;
            }
        }
        Ok(())
    }
}
