//! Imports, in as many transactions as they take, and the rejected lines of their batches.

use std::sync::Arc;

use coupon::campaign::{Batch, ImportCounts};
use coupon::ids::{BatchId, CampaignId};
use coupon::imported::ImportRun;
use coupon::time::Millis;
use hot::{HotError, ImportLine, ImportOutcome, Named, RejectedLine};

use crate::cold::Prefetched;
use crate::txn::Txn;
use crate::{SqliteHot, batches, import, rejected_lines};

/// Rejected lines that one transaction writes: about a millisecond, as for other background writes.
const REJECTED_MAX: usize = 500;

/// Rejected lines that one transaction deletes.
const DELETED_MAX: usize = 2_000;

impl SqliteHot {
    /// Makes the batch of an import, or finds it and deletes the rejected lines of earlier runs.
    pub(super) async fn open_batch(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>, HotError> {
        let named = {
            let (campaign, batch) = (campaign.clone(), batch.clone());
            self.writer.run(move |txn| batches::open_import(txn, &campaign, &batch, now)).await?
        };
        // A file may have left ten million lines, too many for one transaction. Lines that another
        // import into the batch keeps from now on stay.
        let mut left = matches!(named, Named::Same(_));
        while left {
            let (campaign, batch) = (campaign.clone(), batch.clone());
            let delete = move |txn: &Txn<'_>| match batch_number(txn, &campaign, &batch)? {
                Some(number) => rejected_lines::delete_of_batch(txn, number, now, DELETED_MAX),
                None => Ok(0),
            };
            left = self.writer.run(delete).await? > 0;
        }
        Ok(named)
    }

    /// Imports lines into a batch. A line whose coupon is in cold is imported in a later
    /// transaction.
    pub(super) async fn import_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<ImportLine>,
        run: ImportRun,
    ) -> Result<Vec<ImportOutcome>, HotError> {
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Arc<Vec<_>> = Arc::new(lines.into_iter().enumerate().collect());
        let mut prefetched = Arc::new(Prefetched::default());
        while !left.is_empty() {
            let (campaign, batch, run) = (campaign.clone(), batch.clone(), run.clone());
            let (lines, here) = (Arc::clone(&left), Arc::clone(&prefetched));
            let imported = self.writer.run(move |txn| {
                let txn = txn.with_prefetched(&here);
                Ok((import::lines(&txn, &campaign, &batch, &lines, &run)?, txn.wanted()))
            });
            let (imported, wanted) = imported.await?;
            let gone = || HotError::Damaged("the batch of an import is gone".into());
            let mut in_cold = Vec::new();
            for ((at, line), outcome) in left.iter().zip(imported.ok_or_else(gone)?) {
                match outcome {
                    Some(outcome) => outcomes[*at] = outcome,
                    None => in_cold.push((*at, line.clone())),
                }
            }
            left = Arc::new(in_cold);
            prefetched = Arc::new(prefetched.and(wanted, &*self.archive).await?);
        }
        Ok(outcomes)
    }

    /// Keeps rejected lines of a batch.
    pub(super) async fn keep_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: Vec<RejectedLine>,
        now: Millis,
    ) -> Result<(), HotError> {
        for some in lines.chunks(REJECTED_MAX) {
            let (campaign, batch, some) = (campaign.clone(), batch.clone(), some.to_vec());
            let keep = move |txn: &Txn<'_>| match batch_number(txn, &campaign, &batch)? {
                Some(number) => rejected_lines::keep(txn, number, &some, now),
                None => Ok(()),
            };
            self.background_write(keep).await?;
        }
        Ok(())
    }

    /// Writes how the import of a batch ended.
    pub(super) async fn close_batch(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>, HotError> {
        let (campaign, batch) = (campaign.clone(), batch.clone());
        self.writer
            .run(move |txn| {
                if let Some(number) = batch_number(txn, &campaign, &batch)? {
                    import::close(txn, number, &counts)?;
                }
                batches::batch(txn, &campaign, &batch)
            })
            .await
    }

    /// Rejected lines of a batch after line `after`.
    pub(super) async fn lines_after(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>, HotError> {
        let (campaign, batch) = (campaign.clone(), batch.clone());
        self.readers
            .run(move |txn| match batch_number(txn, &campaign, &batch)? {
                Some(number) => rejected_lines::page(txn, number, after, limit),
                None => Ok(Vec::new()),
            })
            .await
    }

    /// Deletes some of the rejected lines that were kept before `before`.
    pub(super) async fn delete_lines(&self, before: Millis) -> Result<usize, HotError> {
        self.writer.run(move |txn| rejected_lines::delete(txn, before, DELETED_MAX)).await
    }
}

fn batch_number(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    batch: &BatchId,
) -> rusqlite::Result<Option<i64>> {
    match txn.campaign(campaign)? {
        Some(campaign) => txn.batch_number(campaign.number, batch),
        None => Ok(None),
    }
}
