//! Campaigns, with their batches and counts.

use std::sync::Arc;

use coupon::ids::{BatchId, CampaignId};
use hot::bounded_join;
use hot::inventory::{BatchItem, CampaignItem, Item, Page};
use hot::protocol::StateCounts;

use crate::CqlStore;
use crate::counts::as_written;
use crate::stock::RUN;
use crate::values::parsed;
use cql_session::Result;

/// Campaigns of one page: each is several reads.
const CAMPAIGNS_MAX: usize = 50;

impl CqlStore {
    pub(super) async fn page_of_campaigns(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let limit = limit.min(CAMPAIGNS_MAX);
        let after = after.map(|id| parsed::<CampaignId>("position", id)).transpose()?;
        let names = self.campaign_names(after.as_ref(), limit).await?;
        let campaigns = names.iter().map(|id| self.campaign_item(id));
        // A name without a campaign: it was never finished.
        let found: Vec<Option<CampaignItem>> = bounded_join(8, campaigns).await?;
        let items = found.into_iter().flatten();
        let items = items.map(|campaign| Item::Campaign(Box::new(campaign))).collect();
        let next = names.last().filter(|_| names.len() == limit).map(ToString::to_string);
        Ok(Page { items, next })
    }

    pub(crate) async fn campaign_item(&self, id: &CampaignId) -> Result<Option<CampaignItem>> {
        self.known.forget(id);
        let Some(here) = self.terms(id).await? else { return Ok(None) };
        let counted = as_written(self, id).await?;
        let mut batches = Vec::new();
        for batch in here.in_order() {
            batches.push(BatchItem {
                batch: batch.as_batch(id, counted.arrived_in(&batch.id)),
                paused_reason: batch.paused_reason.clone(),
                offered: match batch.run {
                    Some(_) => self.offered(id, &batch.id).await?,
                    None => 0,
                },
            });
        }
        let (terms, created_as) = (Arc::clone(&here.terms), here.created_as.to_string());
        let StateCounts { all, cold } = counted.sums;
        let stock: u64 = batches.iter().map(|it| it.batch.count).sum();
        Ok(Some(CampaignItem { terms, created_as, batches, stock, all, cold, rows: None }))
    }

    /// The serial below which every serial of a batch was offered: those of an open lease may not
    /// have been.
    async fn offered(&self, id: &CampaignId, batch: &BatchId) -> Result<u64> {
        let values = (id.as_str(), batch.as_str());
        let cql = "SELECT cursor FROM lease WHERE campaign_id = ? AND batch_id = ? LIMIT 1";
        let cursor: Option<i64> = self.session.value(cql, values).await?;
        // After the cursor: a lease that is taken in between begins where the cursor was.
        let cql = "SELECT first FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   LIMIT 1";
        let values = (id.as_str(), batch.as_str(), RUN);
        let open: Option<i64> = self.session.value(cql, values).await?;
        let cursor = cursor.unwrap_or(0);
        Ok(open.map_or(cursor, |first| first.min(cursor)).unsigned_abs())
    }
}
