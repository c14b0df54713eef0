//! How often something was done, by the quarter of an hour: reads the sums.

use std::time::Duration;

use async_trait::async_trait;
use coupon::ids::CampaignId;
use hot::activity::{Activities, Activity};
use hot::tables::{RecordRange, RecordRow};

use crate::counting::{SumRow, sums_part};
use crate::keys::{ALL_CAMPAIGNS, numbers, ordered};
use crate::{Result, StoreRecords};

/// How long somebody who counts from time to time waits for it.
const WORKER_WAITS: Duration = Duration::from_secs(60);

#[async_trait]
impl Activities for StoreRecords {
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>> {
        self.count_for_reader().await;
        let campaign = campaign.as_ref().map_or(ALL_CAMPAIGNS, CampaignId::as_str);
        let range = RecordRange { from: ordered(from).into(), ..RecordRange::first(usize::MAX) };
        let rows = self.tables.scan(&sums_part(campaign), range.before(ordered(until))).await?;
        let sum = |row: RecordRow| {
            let ([quarter], _) = numbers(&row.key)?;
            Ok((quarter, SumRow::read(&row.value)?.sum))
        };
        rows.into_iter().map(sum).collect()
    }

    async fn count_activity(&self) -> Result<()> {
        if !self.counter.was_just_here().await? && !self.counts.counts(WORKER_WAITS).await {
            tracing::warn!("the newest events are not counted yet: there are many");
        }
        Ok(())
    }
}
