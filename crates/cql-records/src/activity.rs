//! How often something was done, by the quarter of an hour: reads the sums, and deletes old ones.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use coupon::ids::CampaignId;
use cql_session::{Result, StatementProfile};
use hot::activity::{Activities, Activity};

use crate::ClusterRecords;
use crate::counting::{ALL_CAMPAIGNS, activity_of};

/// How long somebody who counts from time to time waits for it.
const WORKER_WAITS: Duration = Duration::from_secs(60);

/// Quarters of one day: old sums are looked for once a day.
const DAY_QUARTERS: i64 = 96;

#[async_trait]
impl Activities for ClusterRecords {
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>> {
        self.count_for_reader().await;
        let cql = "SELECT quarter, issued, redeemed, cancelled FROM activity WHERE campaign_id = ? \
                   AND quarter >= ? AND quarter < ?";
        type Row = (i64, Option<i64>, Option<i64>, Option<i64>);
        let campaign = campaign.as_ref().map_or(ALL_CAMPAIGNS, CampaignId::as_str);
        let rows: Vec<Row> = self.session.scan(cql, (campaign, from, until)).await?;
        let of =
            |(at, issued, redeemed, cancelled)| (at, activity_of([issued, redeemed, cancelled]));
        Ok(rows.into_iter().map(of).collect())
    }

    async fn count_activity(&self) -> Result<()> {
        if !self.counter.was_just_here().await? && !self.counts.counts(WORKER_WAITS).await {
            tracing::warn!("the newest events are not counted yet: there are many");
        }
        Ok(())
    }

    /// Looks at all campaigns, and therefore only once a day in each process. A line of an import can bring an event
    /// that is as old: then it is counted again or not at all, in a row that is deleted the next day.
    async fn forget_activity(&self, before: i64) -> Result<u64> {
        let known = self.forgotten.load(Ordering::Relaxed);
        if before < known.saturating_add(DAY_QUARTERS) {
            return Ok(0);
        }
        let cql = "SELECT DISTINCT campaign_id FROM activity";
        let campaigns: Vec<(String,)> = self.session.scan(cql, ()).await?;
        let mut forgotten = 0;
        for (campaign,) in campaigns {
            let cql = "SELECT quarter FROM activity WHERE campaign_id = ? AND quarter < ?";
            let values = (campaign.as_str(), before);
            let old: Vec<(i64,)> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
            if !old.is_empty() {
                let cql = "DELETE FROM activity WHERE campaign_id = ? AND quarter < ?";
                self.session.write(cql, values).await?;
            }
            forgotten += old.len() as u64;
        }
        self.forgotten.store(before, Ordering::Relaxed);
        Ok(forgotten)
    }
}
