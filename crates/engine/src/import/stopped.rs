//! Imports that the store stopped: what was committed stays, and its counts are reported and
//! stored.

use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::ImportCounts;
use coupon::ids::{BatchId, CampaignId};
use hot::audit::Act;
use hot::{HotError, HotStore};
use tokio::sync::Semaphore;

use super::RunningImport;
use crate::failure::{Failure, ImportStopped, Result};

/// First pause before the counts are written again; doubles up to [`COUNT_PAUSE_MAX`].
const COUNT_PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest pause between two tries: so long until a disk that has room again is noticed.
const COUNT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Tries to write the counts, in a quarter of an hour: by then the file was sent again, or nobody
/// will send it.
const COUNT_TRIES: u32 = 36;

/// Stopped imports whose counts are written again at a time. The rows of more stay as they are.
static COUNTING: Semaphore = Semaphore::const_new(16);

impl RunningImport<'_> {
    /// Writes the counts of the lines so far, so that the batch's row is right, or nearly, if the
    /// process stops.
    pub(super) async fn count_as(&mut self, ended: Option<&Act>) -> Result<()> {
        let counts = self.so_far();
        self.engine.hot.close_import(&self.campaign, &self.batch, counts, ended).await?;
        self.counted = counts;
        Ok(())
    }

    /// The end of the import, which is now.
    pub(super) fn act(&self) -> Act {
        Act { actor: self.run.actor.clone(), at: self.engine.now(), reason: None }
    }

    /// The counts of the lines that have ended.
    fn so_far(&self) -> ImportCounts {
        let ImportCounts { imported, already_there, rejected, .. } = self.counts;
        ImportCounts { lines: imported + already_there + rejected, ..self.counts }
    }

    /// The failure with the counts of what was committed. The batch's row gets them now, or as soon
    /// as the store takes them.
    pub(super) async fn stopped(mut self, error: HotError) -> Failure {
        // The window that is being written counts too, even if it fails.
        self.is_over = true;
        let _ = self.settle().await;
        let counts = self.so_far();
        let act = self.act();
        if self.count_as(Some(&act)).await.is_err() {
            count_later(PendingCounts {
                hot: Arc::clone(&self.engine.hot),
                campaign: self.campaign.clone(),
                batch: self.batch.clone(),
                was: self.counted,
                counts,
                act,
            });
        }
        Failure::ImportStopped(Box::new(ImportStopped { error, batch: self.batch, counts }))
    }
}

/// Counts that the store has not taken yet.
struct PendingCounts {
    hot: Arc<dyn HotStore>,
    campaign: CampaignId,
    batch: BatchId,
    /// The counts in the row when the import stopped. If the row has others, another import into
    /// the batch wrote them.
    was: ImportCounts,
    counts: ImportCounts,
    act: Act,
}

fn count_later(late: PendingCounts) {
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

impl PendingCounts {
    /// `true` if there is nothing left to do.
    async fn is_done(&self) -> bool {
        let PendingCounts { hot, campaign, batch, was, counts, act } = self;
        match hot.batch(campaign, batch).await {
            Ok(Some(row)) if row.import == *was => {
                hot.close_import(campaign, batch, *counts, Some(act)).await.is_ok()
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }
}
