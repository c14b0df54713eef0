//! Rejected lines, batch by batch.

use coupon::ids::{BatchId, CampaignId};
use hot::inventory::{Item, Page};

use super::Position;
use super::campaigns::CAMPAIGNS_MAX;
use crate::Store;
use cql_session::Result;

impl Store {
    pub(super) async fn page_of_rejected(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let mut after = (at.name::<CampaignId>(0)?, at.name::<BatchId>(1)?, at.number(2, 0_u64)?);
        if let (Some(campaign), Some(batch), line) = &after {
            let lines = self.session.rejected_behind(campaign, batch, *line, limit).await?;
            let last = lines.last().map_or(*line, |(last, _)| last.line);
            let of = |(line, at)| {
                let (campaign, batch) = (campaign.clone(), batch.clone());
                Item::Rejected { campaign, batch, line, at }
            };
            let items: Vec<Item> = lines.into_iter().map(of).collect();
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
}
