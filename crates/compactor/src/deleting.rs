//! Deleting days: the coupons of expiry days that were kept for long enough are deleted from both tiers.
//!
//! 1. What a day had is counted, and kept in cold: from here on the day is deleted, whoever is killed.
//! 2. Hot deletes what it has of its coupons.
//! 3. The holder index loses them.
//! 4. A commit without files takes them out of `coupons`, and the next ones out of the side table. A sweep deletes the files.
//!
//! Each step may be repeated. The last one says that nothing is left to do.

use std::collections::BTreeMap;

use cold::{ColdFile, ColdPartition, DeletedDay};
use coupon::time::{DAY_MS, Day, Millis};

use crate::archive_commit::CommitRewrite;
use crate::{Compactor, RACES_MAX, Result};

/// Days are deleted together: each time, the whole holder index is read.
const SLACK_DAYS: u16 = 30;

/// What was deleted, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletedReport {
    pub days: u64,
    pub coupons: u64,
}

impl Compactor {
    /// What [`Compactor::run`] would delete now, at most: a day of a campaign that still runs stays. Reads no coupon.
    ///
    /// # Errors
    /// As [`Compactor::run`].
    pub async fn would_delete(&self, now: Millis) -> Result<DeletedReport> {
        let mut report = DeletedReport::default();
        if self.cold.version().await?.is_none() {
            return Ok(report);
        }
        for partition in self.due_days(now).await?.values() {
            report.days += 1;
            report.coupons += partition.files.iter().map(ColdFile::rows).sum::<u64>();
        }
        Ok(report)
    }

    /// Deletes the days that are due if `may_begin`, and goes on with those of earlier runs.
    pub(crate) async fn delete_days(&self, now: Millis, may_begin: bool) -> Result<DeletedReport> {
        let mut report = DeletedReport::default();
        let Some(done) = self.hot.deleted_days().await? else { return Ok(report) };
        if may_begin {
            let keep = self.settings.keep_archived_days.unwrap_or_default();
            let kept = now.plus_ms(-i64::from(keep) * DAY_MS);
            for partition in self.due_days(now).await?.into_values() {
                let had = self.counted(&partition).await?;
                let campaigns = had.campaigns.keys().cloned().collect();
                if self.hot.are_over(campaigns, kept).await? {
                    self.cold.keep_deleted(partition.day, &had).await?;
                    report.days += 1;
                    report.coupons += had.coupons;
                }
            }
        }
        let mut open = self.cold.deleted_days().await?;
        if open.is_empty() {
            return Ok(report);
        }
        let finished: BTreeMap<Day, u64> = self.hot.archive_commits().await?.into_iter().collect();
        let partitions = self.cold.partitions().await?.into_iter().map(|it| (it.day, it));
        let partitions: BTreeMap<Day, ColdPartition> = partitions.collect();
        open.retain(|day| {
            let is_behind = |it: &ColdPartition| {
                !it.files.is_empty() || finished.get(day).is_some_and(|to| *to < it.archive_commit)
            };
            !done.contains(day) || partitions.get(day).is_some_and(is_behind)
        });
        if open.is_empty() {
            return Ok(report);
        }
        self.hot.delete_days(&open).await?;
        for _ in 0..RACES_MAX {
            if self.cold.delete_holders(&open).await?.is_done {
                break;
            }
        }
        for day in open {
            self.remove_files(day).await?;
        }
        Ok(report)
    }

    /// The emptied partitions that were kept for long enough; none while the oldest one may wait for others.
    async fn due_days(&self, now: Millis) -> Result<BTreeMap<Day, ColdPartition>> {
        let Some(keep) = self.settings.keep_archived_days else { return Ok(BTreeMap::new()) };
        let is_older = |day: Day, days: u16| day.end().plus_days(days) < now;
        let mut due: BTreeMap<Day, ColdPartition> = self.emptied().await?;
        due.retain(|day, partition| is_older(*day, keep) && !partition.files.is_empty());
        let is_time =
            due.keys().next().is_some_and(|day| is_older(*day, keep.saturating_add(SLACK_DAYS)));
        Ok(if is_time { due } else { BTreeMap::new() })
    }

    async fn counted(&self, partition: &ColdPartition) -> Result<DeletedDay> {
        let mut rows = self.cold.partition_rows(partition, None).await?;
        let mut had = DeletedDay::default();
        loop {
            let some = rows.up_to(None, crate::CHUNK).await?;
            if some.is_empty() {
                return Ok(had);
            }
            some.iter().for_each(|coupon| had.add(coupon));
        }
    }

    async fn remove_files(&self, day: Day) -> Result<()> {
        for _ in 0..RACES_MAX {
            let on = self.cold.partition(day).await?;
            if on.files.is_empty() {
                break;
            }
            let rewrite = CommitRewrite { replaced: &on.files, rewrites: 0, total: 0 };
            self.write(&on, |_| Vec::new(), rewrite).await?;
        }
        self.catch_up(day).await.map(drop)
    }
}
