//! Campaigns, with their batches and counts.

use std::collections::HashMap;
use std::sync::Arc;

use coupon::campaign::ImportCounts;
use coupon::ids::{BatchId, CampaignId};
use hot::inventory::{BatchItem, CampaignItem, Item, Page};
use scylla::DeserializeRow;

use super::Position;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::session::{Result, StatementProfile};

/// Campaigns of one page: each is several reads.
pub(super) const CAMPAIGNS_MAX: usize = 50;

/// The kind of a lease of serials, as in `stock`.
const RUN: i32 = 2;

impl Store {
    pub(super) async fn page_of_campaigns(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let limit = limit.min(CAMPAIGNS_MAX);
        let names = self.campaign_names(at.name::<CampaignId>(0)?.as_ref(), limit).await?;
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
        let cql = "SELECT created_as FROM campaign WHERE campaign_id = ? LIMIT 1";
        let row: Option<(Option<String>,)> =
            self.session.row(StatementProfile::Read, cql, (id.as_str(),)).await?;
        let created_as = row.and_then(|(text,)| text).unwrap_or_default();
        let ([all, cold], arrived) = self.campaign_item_counts(id).await?;
        let cql = "SELECT batch_id, paused_reason, lines, imported, already_there, rejected \
                   FROM campaign WHERE campaign_id = ?";
        let rows: Vec<BatchMore> = self.session.scan(cql, (id.as_str(),)).await?;
        let mut more: HashMap<String, BatchMore> = HashMap::new();
        for row in rows {
            if let Some(batch) = row.batch_id.clone() {
                more.insert(batch, row);
            }
        }
        let mut batches = Vec::new();
        for batch in here.in_order() {
            let more = more.remove(batch.id.as_str()).unwrap_or_default();
            let count = |column: Option<i64>| column.unwrap_or(0).unsigned_abs();
            let arrived = count(arrived.get(batch.id.as_str()).copied());
            batches.push(BatchItem {
                id: batch.id.clone(),
                run: batch.run,
                count: batch.run.map_or(arrived, |run| run.count),
                paused: batch.paused,
                paused_reason: more.paused_reason,
                import: ImportCounts {
                    lines: count(more.lines),
                    imported: count(more.imported),
                    already_there: count(more.already_there),
                    rejected: count(more.rejected),
                },
                created_at: batch.made_at,
                offered: match batch.run {
                    Some(_) => self.offered(id, &batch.id).await?,
                    None => 0,
                },
            });
        }
        let terms = Arc::clone(&here.terms);
        let stock: u64 = batches.iter().map(|batch| batch.count).sum();
        Ok(Some(CampaignItem { terms, created_as, batches, stock, all, cold, rows: None }))
    }

    /// The counts over all processes, of all coupons and of those in cold, as they were written, and
    /// how many coupons came into each batch.
    async fn campaign_item_counts(
        &self,
        id: &CampaignId,
    ) -> Result<([[i64; 3]; 2], HashMap<String, i64>)> {
        let cql = "SELECT batch_id, issued, redeemed, void, cold_issued, cold_redeemed, cold_void, \
                   arrived FROM campaign_counts WHERE campaign_id = ?";
        let rows: Vec<CampaignCountsRow> = self.session.scan(cql, (id.as_str(),)).await?;
        let (mut counts, mut arrived) = ([[0; 3]; 2], HashMap::new());
        for row in rows {
            if row.batch_id.is_empty() {
                let all = [row.issued, row.redeemed, row.void];
                let cold = [row.cold_issued, row.cold_redeemed, row.cold_void];
                for at in 0..3 {
                    counts[0][at] += all[at].unwrap_or(0);
                    counts[1][at] += cold[at].unwrap_or(0);
                }
            } else {
                *arrived.entry(row.batch_id).or_insert(0) += row.arrived.unwrap_or(0);
            }
        }
        Ok((counts, arrived))
    }

    /// The serial below which every serial of a batch was offered: serials that are leased and not
    /// issued are on offer again in a store without leases.
    async fn offered(&self, id: &CampaignId, batch: &BatchId) -> Result<u64> {
        let values = (id.as_str(), batch.as_str());
        let cql = "SELECT cursor FROM lease WHERE campaign_id = ? AND batch_id = ? LIMIT 1";
        let cursor: Option<(Option<i64>,)> =
            self.session.row(StatementProfile::Read, cql, values).await?;
        let cql = "SELECT first FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   LIMIT 1";
        let values = (id.as_str(), batch.as_str(), RUN);
        let open: Option<(i64,)> = self.session.row(StatementProfile::Read, cql, values).await?;
        let cursor = cursor.and_then(|(cursor,)| cursor).unwrap_or(0);
        Ok(open.map_or(cursor, |(first,)| first.min(cursor)).unsigned_abs())
    }
}

#[derive(Default, DeserializeRow)]
struct BatchMore {
    batch_id: Option<String>,
    paused_reason: Option<String>,
    lines: Option<i64>,
    imported: Option<i64>,
    already_there: Option<i64>,
    rejected: Option<i64>,
}

#[derive(DeserializeRow)]
struct CampaignCountsRow {
    batch_id: String,
    issued: Option<i64>,
    redeemed: Option<i64>,
    void: Option<i64>,
    cold_issued: Option<i64>,
    cold_redeemed: Option<i64>,
    cold_void: Option<i64>,
    arrived: Option<i64>,
}
