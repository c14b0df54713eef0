//! Campaigns, with their batches and counts, as items of a copy.

use std::collections::HashMap;

use coupon::campaign::ImportCounts;
use coupon::ids::{BatchId, CampaignId};
use hot::copying::{CopiedBatch, CopiedCampaign, CopiedCounts, Item, Page};
use scylla::DeserializeRow;

use crate::Store;
use crate::bounded_join::bounded_join;
use crate::copying::Position;
use crate::session::{Result, StatementProfile};

/// Campaigns of one page: each is several reads.
pub(super) const CAMPAIGNS_MAX: usize = 50;

/// The kind of a lease of serials, as in `stock`.
const RUN: i32 = 2;

impl Store {
    pub(crate) async fn copied_campaigns(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let limit = limit.min(CAMPAIGNS_MAX);
        let names = self.campaign_names(at.name::<CampaignId>(0)?.as_ref(), limit).await?;
        let campaigns = names.iter().map(|id| self.copied_campaign(id));
        // A name without a campaign: it was never finished.
        let found: Vec<Option<CopiedCampaign>> = bounded_join(8, campaigns).await?;
        let items = found.into_iter().flatten();
        let items = items.map(|campaign| Item::Campaign(Box::new(campaign))).collect();
        let next = names.last().filter(|_| names.len() == limit).map(ToString::to_string);
        Ok(Page { items, next })
    }

    pub(crate) async fn copied_campaign(&self, id: &CampaignId) -> Result<Option<CopiedCampaign>> {
        self.known.forget(id);
        let Some(here) = self.terms(id).await? else { return Ok(None) };
        let cql = "SELECT created_as FROM campaign WHERE campaign_id = ? LIMIT 1";
        let row: Option<(Option<String>,)> =
            self.session.row(StatementProfile::Read, cql, (id.as_str(),)).await?;
        let created_as = row.and_then(|(text,)| text).unwrap_or_default();
        let (counts, arrived) = self.copied_counts(id).await?;
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
            batches.push(CopiedBatch {
                id: batch.id.clone(),
                run: batch.run,
                arrived: count(arrived.get(batch.id.as_str()).copied()),
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
        let terms = (*here.terms).clone();
        Ok(Some(CopiedCampaign { terms, created_as, batches, counts }))
    }

    /// The counts over all processes, as they were written, and how many coupons came into each
    /// batch.
    async fn copied_counts(&self, id: &CampaignId) -> Result<(CopiedCounts, HashMap<String, i64>)> {
        let cql = "SELECT batch_id, issued, redeemed, void, cold_issued, cold_redeemed, cold_void, \
                   arrived FROM campaign_counts WHERE campaign_id = ?";
        let rows: Vec<CampaignCountsRow> = self.session.scan(cql, (id.as_str(),)).await?;
        let (mut counts, mut arrived) = (CopiedCounts::default(), HashMap::new());
        for row in rows {
            if row.batch_id.is_empty() {
                let all = [row.issued, row.redeemed, row.void];
                let cold = [row.cold_issued, row.cold_redeemed, row.cold_void];
                for at in 0..3 {
                    counts.all[at] += all[at].unwrap_or(0);
                    counts.cold[at] += cold[at].unwrap_or(0);
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
