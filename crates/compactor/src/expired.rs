//! The Expired pass: seals, archives and empties a partition whose time is over.

use cold::ColdPartition;
use coupon::time::{Day, Millis};
use hot::Emptying;

use crate::archive_commit::{ArchiveCommit, CommitRewrite};
use crate::merge::{self, PartitionMerge};
use crate::plan::CompactionPass;
use crate::progress::CompactionProgress;
use crate::report::PartitionReport;
use crate::tiers::{self, FileRun, REWRITES_MAX};
use crate::{CompactError, Compactor, RACES_MAX, Result};

impl Compactor {
    pub(crate) async fn expired_pass(&self, day: Day, now: Millis) -> Result<PartitionReport> {
        let mut report = PartitionReport::new(day, CompactionPass::Expired);
        // Before the seal, even for a partition that never had a row: behind a seal, a look-up of a
        // code without a row asks cold, which does not answer before its tables exist.
        self.create_tables().await?;
        if !self.with_retries(|| self.hot.seal(day, now)).await? {
            // An extension has postponed its time since the plan was made.
            return Ok(report);
        }
        let total = self.hot.count(day).await?;
        let known = self.hot.partition(day).await?.map_or(0, |plan| plan.archive_commit);
        for _ in 0..RACES_MAX {
            let partition = self.cold.partition(day).await?;
            // Before a merge: it may replace the files from which the side table is made.
            if partition.archive_commit > known {
                self.cold.commit_holders(day, partition.archive_commit).await?;
            }
            let runs = tiers::runs(&partition.files);
            let there: u64 = runs.iter().map(|run| run.size.rows).sum();
            let merged = tiers::at_end(&tiers::sizes(&runs), total.saturating_sub(there));
            let archive_commit =
                if merged.len() <= 1 && self.is_all_there(&partition, &runs).await? {
                    // The run that made this commit may have died before it recorded the commit.
                    self.record_committed(partition.version).await?;
                    partition.archive_commit
                } else {
                    let Some(archive_commit) =
                        self.write_rest(&partition, &runs, &merged, total).await?
                    else {
                        continue;
                    };
                    report.add(&archive_commit);
                    self.cold.commit_holders(day, archive_commit.number).await?;
                    archive_commit.number
                };
            // Only now: cold has all of it, and the side table is up to date.
            report.removed = self.empty(day, total).await?;
            // Last: until hot has the number, the next run repeats every step.
            let finish = || self.hot.finish_archive_commit(day, archive_commit, Some(now));
            self.with_retries(finish).await?;
            return Ok(report);
        }
        Err(CompactError::Conflict { day })
    }

    /// Makes one archive commit of what is left in hot and of the runs `merged`. The other runs
    /// stay; rows of hot that they have are not written again.
    async fn write_rest(
        &self,
        partition: &ColdPartition,
        runs: &[FileRun],
        merged: &[usize],
        total: u64,
    ) -> Result<Option<ArchiveCommit>> {
        let share = merge::share(runs.len(), true);
        let sources = |cold: &_| {
            let mut sources = vec![merge::residue(self.hot.clone(), partition.day, share)];
            sources.extend(runs.iter().enumerate().map(|(at, run)| match merged.contains(&at) {
                true => merge::rows(cold, run, share),
                false => merge::keys(cold, run, share),
            }));
            sources
        };
        let (mut replaced, mut rows) = (Vec::new(), total);
        for run in merged.iter().map(|at| &runs[*at]) {
            replaced.extend(run.files.iter().cloned());
            rows += run.size.rows;
        }
        // Marked as fully rewritten, so that a repeated pass does not merge the file again.
        let part = CommitRewrite { replaced: &replaced, rewrites: REWRITES_MAX, total: rows };
        let written = self.write(partition, sources, part).await;
        // Hot may have archived markers of an archive commit that was made after the partition was
        // looked up.
        self.unless_conflict(partition, written).await
    }

    /// Whether the files of the partition have everything that is left in hot: a run was killed
    /// after its commit, or the Closed pass has archived the whole partition.
    async fn is_all_there(&self, partition: &ColdPartition, runs: &[FileRun]) -> Result<bool> {
        let share = merge::share(runs.len(), true);
        let mut sources = vec![merge::residue(self.hot.clone(), partition.day, share)];
        sources.extend(runs.iter().map(|run| merge::keys(&self.cold, run, share)));
        match PartitionMerge::begin(partition.day, sources).await?.next(1).await {
            Ok(unwritten) => Ok(unwritten.is_empty()),
            // Writing the rest reports this error.
            Err(CompactError::ArchivedMarkerAlone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn empty(&self, day: Day, total: u64) -> Result<u64> {
        let mut so_far = Emptying::default();
        while let Some(further) =
            self.with_retries(|| self.hot.remove_residue(day, so_far.clone())).await?
        {
            so_far = further;
            (self.watch)(CompactionProgress::Removed { rows: so_far.removed, total });
        }
        Ok(so_far.removed)
    }
}
