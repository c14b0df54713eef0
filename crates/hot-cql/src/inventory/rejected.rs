//! Rejected lines, batch by batch.

use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use hot::RejectedLine;
use hot::inventory::{Item, Page};
use scylla::value::CqlTimestamp;

use super::Position;
use super::campaigns::CAMPAIGNS_MAX;
use crate::Store;
use crate::session::{Result, StatementProfile};
use crate::values::millis;

impl Store {
    pub(super) async fn page_of_rejected(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let mut after = (at.name::<CampaignId>(0)?, at.name::<BatchId>(1)?, at.number(2, 0_i64)?);
        if let (Some(campaign), Some(batch), line) = &after {
            let (items, last) = self.rejected_behind(campaign, batch, *line, limit).await?;
            if items.len() == limit {
                return Ok(Page { items, next: Some(format!("{campaign} {batch} {last}")) });
            }
            let batches = self.terms(campaign).await?.map(|here| here.batches);
            let later = batches.as_ref().and_then(|batches| {
                let behind = (std::ops::Bound::Excluded(batch), std::ops::Bound::Unbounded);
                batches.range::<BatchId, _>(behind).next().map(|(id, _)| id.clone())
            });
            if let Some(later) = later {
                return Ok(Page { items, next: Some(format!("{campaign} {later} 0")) });
            }
            if !items.is_empty() {
                return Ok(Page { items, next: Some(campaign.to_string()) });
            }
        }
        // The next campaign that has batches.
        loop {
            let names = self.campaign_names(after.0.as_ref(), CAMPAIGNS_MAX).await?;
            let Some(last) = names.last().cloned() else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            for name in &names {
                let first = self.terms(name).await?.and_then(|here| {
                    here.batches.first_key_value().map(|(batch, _)| batch.clone())
                });
                if let Some(batch) = first {
                    let next = Some(format!("{name} {batch} 0"));
                    return Ok(Page { items: Vec::new(), next });
                }
            }
            after.0 = Some(last);
        }
    }

    async fn rejected_behind(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Item>, i64)> {
        let cql = "SELECT line, text, reason, detail, at FROM rejected_line \
                   WHERE campaign_id = ? AND batch_id = ? AND line > ? LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (campaign.as_str(), batch.as_str(), after, limit);
        type Row = (i64, Option<String>, Option<String>, Option<String>, Option<CqlTimestamp>);
        let rows: Vec<Row> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let last = rows.last().map_or(after, |row| row.0);
        let items = rows.into_iter().map(|(line, text, reason, detail, at)| Item::Rejected {
            campaign: campaign.clone(),
            batch: batch.clone(),
            line: RejectedLine {
                line: line.unsigned_abs(),
                text: text.unwrap_or_default(),
                reason: reason.unwrap_or_default(),
                detail: detail.unwrap_or_default(),
            },
            at: at.map_or(Millis(0), millis),
        });
        Ok((items.collect(), last))
    }
}
