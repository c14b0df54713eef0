//! Changes of coupons, in as many transactions as they take.

use std::sync::Arc;

use coupon::apply::Change;
use coupon::ids::CampaignId;
use hot::Applied;
use router::Address;

use crate::changes;
use crate::cold::Prefetched;
use crate::issuing::handing_out::{self, Step};
use crate::issuing::shared;
use crate::stock::{Supply, Walked};
use crate::txn::Txn;
use crate::{Result, SqliteHot};

impl SqliteHot {
    pub(super) async fn change_coupon(&self, address: Address, change: Change) -> Result<Applied> {
        if self.readers.wait_for_the_disk() {
            // Callers read their pages in parallel here. The writer would read one page after the
            // other while all other jobs wait. It then finds them in memory, and decides again.
            let read = |txn: &Txn<'_>| changes::decide(txn, &address, &change).map(drop);
            let _ = self.readers.point(read).await;
        }
        self.write_with(Arc::default(), move |txn| {
            let decision = changes::decide(txn, &address, &change)?;
            changes::write_decision(txn, &decision)?;
            Ok(decision.applied)
        })
        .await
    }

    pub(super) async fn change_shared(
        &self,
        campaign: CampaignId,
        change: Change,
    ) -> Result<Applied> {
        let read = |txn: &Txn<'_>| shared::without_writing(txn, &campaign, &change);
        let (applied, prefetched) = self.look_with(read).await?;
        if let Some(applied) = applied {
            return Ok(applied);
        }
        let keys = self.keys.current();
        self.hand_out(prefetched, move |txn| {
            shared::step(txn, &Supply { keys: &keys, walked: None }, &campaign, &change)
        })
        .await
    }

    /// What [`SqliteHot::change_shared`] would answer. It takes as many read transactions as it
    /// needs to get past serials that are gone.
    pub(super) async fn dry_run_shared(
        &self,
        campaign: &CampaignId,
        change: &Change,
    ) -> Result<Applied> {
        let mut walked = Walked::default();
        loop {
            let keys = self.keys.current();
            let step = self.look(|txn| {
                let supply = Supply { keys: &keys, walked: Some(&walked) };
                shared::step(txn, &supply, campaign, change)
            });
            let cursor = match step.await?.into_answer() {
                Ok(applied) => return Ok(applied),
                Err(cursor) => cursor,
            };
            walked.to(&cursor);
            // So that the next dry run or issue begins there. If nothing can be written, this dry
            // run goes on without it.
            if let Err(error) = self.writer.run(move |txn| cursor.write(txn)).await {
                tracing::debug!(error = %error, "the cursor of a batch could not be written");
            }
            tokio::task::yield_now().await;
        }
    }

    /// Runs the steps of an issue, each in a transaction, until one has the answer.
    pub(super) async fn hand_out(
        &self,
        prefetched: Arc<Prefetched>,
        decide: impl Fn(&Txn<'_>) -> rusqlite::Result<Step> + Send + Sync + 'static,
    ) -> Result<Applied> {
        let decide = Arc::new(decide);
        loop {
            let decide = Arc::clone(&decide);
            let step = move |txn: &Txn<'_>| handing_out::run(txn, decide.as_ref());
            let step = self.write_with(Arc::clone(&prefetched), step);
            if let Some(applied) = step.await? {
                return Ok(applied);
            }
        }
    }
}
