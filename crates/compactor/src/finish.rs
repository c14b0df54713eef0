//! Finishes an archive commit: deletes its rows from hot.

use cold::{ColdFile, ColdPartition};
use coupon::code::Code;
use coupon::time::Day;
use hot::HotError;

use crate::plan::CompactionPass;
use crate::progress::CompactionProgress;
use crate::report::PartitionReport;
use crate::{Compactor, Result};

impl Compactor {
    pub(crate) async fn finish(&self, day: Day) -> Result<PartitionReport> {
        let mut report = PartitionReport::new(day, CompactionPass::Finish);
        let partition = self.cold.partition(day).await?;
        report.removed = self.finish_open(&partition).await?;
        Ok(report)
    }

    /// Returns how many rows became archived markers. Evicts the rows of each archive commit once, also
    /// after a merge: a merged file knows which archive commit brought each row.
    pub(crate) async fn finish_open(&self, partition: &ColdPartition) -> Result<u64> {
        let Some(plan) = self.hot.partition(partition.day).await? else { return Ok(0) };
        if partition.archive_commit <= plan.archive_commit {
            return Ok(0);
        }
        // The compactor that committed may have been killed before it recorded the commit.
        self.record_committed(partition.version).await?;
        // Before the first eviction: a list by holder finds an evicted coupon only there.
        self.cold.commit_holders(partition.day, partition.archive_commit).await?;
        let is_new = |file: &&ColdFile| file.newest_archive_commit() > plan.archive_commit;
        let total = partition.files.iter().filter(is_new).map(ColdFile::rows).sum();
        let (mut seen, mut evicted) = (0, 0);
        for file in partition.files.iter().filter(is_new) {
            let mut keys = self.cold.keys_behind(file, plan.archive_commit).await?;
            while let Some(chunk) = keys.next().await? {
                seen += chunk.len() as u64;
                match self.evict(partition.day, chunk).await? {
                    Some(some) => evicted += some,
                    // The Expired pass deletes the remaining rows.
                    None => return Ok(evicted),
                }
                (self.watch)(CompactionProgress::Removed { rows: seen, total });
            }
        }
        // Last: the next run after a killed one evicts again.
        self.with_retries(|| {
            self.hot.finish_archive_commit(partition.day, partition.archive_commit, None)
        })
        .await?;
        Ok(evicted)
    }

    /// Returns `None` if the partition is sealed: then a store may refuse the call for ever.
    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<Option<u64>> {
        match self.hot.evict(day, copied.clone()).await {
            Ok(evicted) => return Ok(Some(evicted)),
            Err(HotError::Overloaded { .. } | HotError::Unavailable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if self.is_sealed(day).await? {
            return Ok(None);
        }
        match self.with_retries(|| self.hot.evict(day, copied.clone())).await {
            Ok(evicted) => Ok(Some(evicted)),
            Err(_) if self.is_sealed(day).await? => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
