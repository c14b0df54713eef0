//! An import that the store stopped: what was committed stays, is said, and is counted.

use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::ImportCounts;
use coupon::ids::{BatchId, CampaignId};
use hot::{HotError, HotStore};
use tokio::sync::Semaphore;

use super::Import;
use crate::failure::Failure;

/// First pause before the counts are tried again, doubled up to [`COUNT_PAUSE_MAX`].
const COUNT_PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest pause between two tries: a disk that has room again is seen within it.
const COUNT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Tries until the counts are given up, a quarter of an hour: by then the same file has been sent
/// again, or nobody will.
const COUNT_TRIES: u32 = 36;

/// Stopped imports whose counts are tried again at a time; of more the rows stay as they are.
static COUNTING: Semaphore = Semaphore::const_new(16);

/// An import that ended before its file did, because the store failed.
#[derive(Debug)]
pub struct ImportStopped {
    /// What the store said.
    pub error: HotError,
    /// The batch that the lines went into.
    pub batch: BatchId,
    /// How the lines ended that are done: `imported`, `already_there` and `rejected` add up to
    /// `lines`. With [`HotError::Unknown`] some 200 lines more may be in.
    pub counts: ImportCounts,
}

impl ImportStopped {
    /// What is in, and what to do, for people.
    pub fn sentence(&self) -> String {
        let ImportCounts { imported, already_there, rejected, .. } = self.counts;
        let batch = &self.batch;
        format!(
            "the import stopped: {imported} lines are imported, {already_there} were already \
             there, {rejected} are rejected; send the same file again into batch {batch}, and it \
             goes on"
        )
    }
}

impl Import<'_> {
    /// Writes down how the lines so far ended, so that the batch's row is true, or nearly, if
    /// nothing comes after it.
    pub(super) async fn count(&mut self) -> Result<(), Failure> {
        let counts = self.so_far();
        self.engine.hot.close_import(&self.campaign, &self.batch, counts).await?;
        self.counted = counts;
        Ok(())
    }

    /// The counts of the lines that have ended.
    fn so_far(&self) -> ImportCounts {
        let ImportCounts { imported, already_there, rejected, .. } = self.counts;
        ImportCounts { lines: imported + already_there + rejected, ..self.counts }
    }

    /// The failure that says what was committed. The batch's row gets the counts now, or as soon
    /// as the store takes them.
    pub(super) async fn stopped(mut self, error: HotError) -> Failure {
        // The outcomes of a window that was on its way beside count, whether or not it failed too.
        self.is_over = true;
        let _ = self.settle().await;
        let counts = self.so_far();
        if self.count().await.is_err() {
            count_later(Late {
                hot: Arc::clone(&self.engine.hot),
                campaign: self.campaign.clone(),
                batch: self.batch.clone(),
                was: self.counted,
                counts,
            });
        }
        Failure::ImportStopped(Box::new(ImportStopped { error, batch: self.batch, counts }))
    }
}

/// Counts that the store did not take.
struct Late {
    hot: Arc<dyn HotStore>,
    campaign: CampaignId,
    batch: BatchId,
    /// What the row said when the import stopped: once it says something else, another import into
    /// the batch has counted.
    was: ImportCounts,
    counts: ImportCounts,
}

fn count_later(late: Late) {
    let Ok(place) = COUNTING.try_acquire() else { return };
    tokio::spawn(async move {
        let _place = place;
        let mut pause = COUNT_PAUSE_MIN;
        for _ in 0..COUNT_TRIES {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(COUNT_PAUSE_MAX);
            if late.is_done().await {
                return;
            }
        }
    });
}

impl Late {
    /// Tries once; `true` when there is nothing left to do.
    async fn is_done(&self) -> bool {
        let Late { hot, campaign, batch, was, counts } = self;
        match hot.batch(campaign, batch).await {
            Ok(Some(row)) if row.import == *was => {
                hot.close_import(campaign, batch, *counts).await.is_ok()
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }
}
