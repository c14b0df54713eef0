//! The Closed pass: archives coupons that no rule can change any more, out of a partition that is
//! still open.

use cold::ColdPartition;
use coupon::code::Code;
use coupon::time::{Day, Millis};

use crate::archive_commit::{ArchiveCommit, CommitRewrite};
use crate::merge;
use crate::plan::CompactionPass;
use crate::report::PartitionReport;
use crate::tiers::{self, FileRun};
use crate::{CompactError, Compactor, RACES_MAX, Result};

/// Abort after copying the same coupons this many times without evicting one.
const STUCK_MAX: u32 = 3;

impl Compactor {
    /// If another process seals the partition meanwhile, leaves it to the Expired pass: rows of a
    /// sealed partition can no longer be evicted one by one.
    pub(crate) async fn closed_pass(&self, day: Day, now: Millis) -> Result<PartitionReport> {
        let mut report = PartitionReport::new(day, CompactionPass::Closed);
        self.create_tables().await?;
        let (mut lost, mut stuck, mut last) = (0, 0, Vec::new());
        while lost < RACES_MAX {
            let partition = self.cold.partition(day).await?;
            // A file may be merged only after the side table has its rows.
            let evicted = self.finish_open(&partition).await?;
            report.removed += evicted;
            if self.is_sealed(day).await? {
                return Ok(report);
            }
            let codes =
                self.hot.closed_codes(day, now, self.settings.closed_archive_commit_max).await?;
            if codes.is_empty() {
                return Ok(report);
            }
            // A coupon that was copied and not evicted was changed in between. If there is another
            // reason, it would be copied for ever.
            stuck = if evicted == 0 && is_within(&codes, &last) { stuck + 1 } else { 0 };
            if stuck == STUCK_MAX {
                let what = format!(
                    "hot evicted none of {} closed coupons in {STUCK_MAX} tries",
                    codes.len()
                );
                return Err(CompactError::NoProgress { day, what });
            }
            let runs = tiers::runs(&partition.files);
            let merged = tiers::make_room(&tiers::sizes(&runs), self.settings.partition_files_max);
            let archive_commit = match merged.is_empty() {
                true => self.copy_closed(&partition, &codes, now).await?,
                false => {
                    let merged: Vec<&FileRun> = merged.iter().map(|at| &runs[*at]).collect();
                    self.merge_runs(&partition, &merged).await?
                }
            };
            match archive_commit {
                Some(archive_commit) => {
                    report.add(&archive_commit);
                    // A merge copies nothing from hot: it says nothing about rows that are stuck.
                    last = if merged.is_empty() { codes } else { last };
                }
                None => {
                    lost += 1;
                    // The other compactor evicts its rows: no progress here proves nothing.
                    last.clear();
                }
            }
        }
        Err(CompactError::Conflict { day })
    }

    async fn copy_closed(
        &self,
        partition: &ColdPartition,
        codes: &[Code],
        now: Millis,
    ) -> Result<Option<ArchiveCommit>> {
        let picked = || merge::picked(self.hot.clone(), partition.day, codes.to_vec(), now);
        let part = CommitRewrite { replaced: &[], rewrites: 0, total: codes.len() as u64 };
        self.write(partition, |_| vec![picked()], part).await
    }

    /// Hot has evicted all rows of these runs, so it only records the number.
    pub(crate) async fn merge_runs(
        &self,
        partition: &ColdPartition,
        merged: &[&FileRun],
    ) -> Result<Option<ArchiveCommit>> {
        let share = merge::share(merged.len(), false);
        let sources = |cold: &_| merged.iter().map(|run| merge::rows(cold, run, share)).collect();
        let sizes: Vec<_> = merged.iter().map(|run| run.size).collect();
        let replaced: Vec<_> = merged.iter().flat_map(|run| run.files.clone()).collect();
        let part = CommitRewrite {
            replaced: &replaced,
            // One run alone is rewritten to erase persons, and keeps its place among the others.
            rewrites: match merged {
                [run] => run.size.rewrites,
                _ => tiers::rewrites_of(&sizes),
            },
            total: sizes.iter().map(|run| run.rows).sum(),
        };
        let written = self.write(partition, sources, part).await;
        self.unless_conflict(partition, written).await
    }

    pub(crate) async fn is_sealed(&self, day: Day) -> Result<bool> {
        Ok(self.hot.partition(day).await?.is_none_or(|plan| plan.sealed))
    }
}

/// Whether `last` contains all of `codes`. Both ascend.
fn is_within(codes: &[Code], last: &[Code]) -> bool {
    let mut last = last.iter();
    codes.iter().all(|code| last.by_ref().find(|it| *it >= code) == Some(code))
}
