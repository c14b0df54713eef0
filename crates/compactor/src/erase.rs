//! Erasing persons from cold: rewrites the files that name them, and deletes what is replaced at once.
//!
//! A rewrite is an archive commit of one run that reads nothing from hot: the same rows in the same versions, each with
//! the archive commit that brought it. To hot, to the side table and to a run that was killed it is a merge.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cold::ColdPartition;
use coupon::time::{Day, Millis};

use crate::archive_commit::CommitRewrite;
use crate::error::is_of_a_store;
use crate::report::ErasedReport;
use crate::tiers::{self, FileRun};
use crate::{ClosedPolicy, CompactError, Compactor, RACES_MAX, Result};

/// How often files of killed writers are looked for. Once more than the numbers of their commits must be taken.
const SWEEPS_MAX: u32 = 3;

impl Compactor {
    /// Erases the persons of all erasures that the cold store knows as pending: afterwards no file of cold names them.
    /// Reads the files that may name one of them once, for all persons. What was done before an error stays done, and the
    /// next call does the rest. [`Compactor::run`] does the same.
    ///
    /// # Errors
    /// As [`Compactor::run`]; also that of the first partition that cannot be read, after the others were done.
    pub async fn erase(&self, now: Millis) -> Result<ErasedReport> {
        // It checks that the two stores belong together.
        self.plan(now, ClosedPolicy::OnlyFinish).await?;
        self.cold.probe().await?;
        self.erase_persons(now).await
    }

    pub(crate) async fn erase_persons(&self, now: Millis) -> Result<ErasedReport> {
        let mut report = ErasedReport::default();
        let known = self.cold.known_erasures();
        if known.pending.is_empty() {
            return Ok(report);
        }
        // One set from the first look to the last.
        let (hot, cold) = (Arc::clone(&self.hot), Arc::new(self.cold.pinned()));
        let pinned = Compactor::new(hot, cold, self.settings, Arc::clone(&self.watch));
        let is_clean = match self.cold.version().await? {
            Some(_) => pinned.erase_all(now, &mut report).await?,
            None => true,
        };
        report.through = is_clean.then_some(known.last);
        Ok(report)
    }

    /// Returns whether nothing is left to do.
    async fn erase_all(&self, now: Millis, report: &mut ErasedReport) -> Result<bool> {
        let mut clean = HashSet::new();
        let damage = self.erase_coupons(&mut clean, report).await?;
        let index = self.cold.erase_holders().await?;
        report.files += index.commits;
        report.rows += index.written;
        let is_swept = self.sweep_erased(now).await?;
        // Another compactor may have committed files that it began before it knew of the erasures.
        let partitions = self.cold.partitions().await?;
        if let Some(partition) = partitions.last() {
            // A run that was killed after its last commit did not record it.
            self.record_committed(partition.version).await?;
        }
        let mut files = partitions.iter().flat_map(|partition| &partition.files);
        let is_clean = files.all(|file| clean.contains(file.path()) || !self.cold.is_behind(file));
        damage.map_or(Ok(is_swept && is_clean && index.is_done), Err)
    }

    /// Adds the files that name nobody to `clean`. Returns why the first partition that is damaged was left out.
    async fn erase_coupons(
        &self,
        clean: &mut HashSet<String>,
        report: &mut ErasedReport,
    ) -> Result<Option<CompactError>> {
        let finished: BTreeMap<Day, u64> = self.hot.archive_commits().await?.into_iter().collect();
        let mut damage = None;
        for partition in self.cold.partitions().await? {
            // No pass is due that brings the side table and hot up to the rewrite of an emptied partition.
            let is_finished = finished.get(&partition.day) == Some(&partition.archive_commit);
            match self.erase_partition(&partition, is_finished, clean, report).await {
                Ok(()) => {}
                Err(error) if is_of_a_store(&error) => return Err(error),
                Err(error) => drop(damage.get_or_insert(error)),
            }
        }
        Ok(damage)
    }

    async fn erase_partition(
        &self,
        found: &ColdPartition,
        is_finished: bool,
        clean: &mut HashSet<String>,
        report: &mut ErasedReport,
    ) -> Result<()> {
        if is_finished && self.with_persons(&tiers::runs(&found.files), clean).await?.is_none() {
            return Ok(());
        }
        for _ in 0..RACES_MAX {
            // Before a run is rewritten, the side table must have its rows.
            let partition = self.catch_up(found.day).await?;
            let runs = tiers::runs(&partition.files);
            let Some(run) = self.with_persons(&runs, clean).await? else { return Ok(()) };
            if let Some(commit) = self.merge_runs(&partition, &[run]).await? {
                report.files += run.files.len() as u64;
                report.rows += commit.files.iter().map(|new| new.file.rows()).sum::<u64>();
            }
        }
        Err(CompactError::Conflict { day: found.day })
    }

    async fn with_persons<'a>(
        &self,
        runs: &'a [FileRun],
        clean: &mut HashSet<String>,
    ) -> Result<Option<&'a FileRun>> {
        for run in runs {
            for file in &run.files {
                if clean.contains(file.path()) {
                    continue;
                }
                if self.cold.has_persons(file).await? {
                    return Ok(Some(run));
                }
                clean.insert(file.path().to_owned());
            }
        }
        Ok(None)
    }

    /// Brings the side table and hot up to the last commit of a partition.
    pub(crate) async fn catch_up(&self, day: Day) -> Result<ColdPartition> {
        let partition = self.cold.partition(day).await?;
        self.cold.commit_holders(day, partition.archive_commit).await?;
        self.finish_open(&partition).await?;
        Ok(partition)
    }

    /// Deletes what may name the persons and is in no commit. Returns whether that was all.
    async fn sweep_erased(&self, now: Millis) -> Result<bool> {
        for _ in 0..SWEEPS_MAX {
            let (_, open) = self.cold.sweep_erased(now).await?;
            if open.is_empty() {
                return Ok(true);
            }
            for day in open {
                let on = self.cold.partition(day).await?;
                let nothing = CommitRewrite { replaced: &[], rewrites: 0, total: 0 };
                self.write(&on, |_| Vec::new(), nothing).await?;
                self.catch_up(day).await?;
            }
        }
        Ok(false)
    }
}
