//! What happened, for those who read it: the feed, the audit, counts and redemptions.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::ids::{CampaignId, OrderRef};
use coupon::time::Day;
use hot::activity::{Activities, Activity};
use hot::audit::{Audit, AuditEntry, Audited};
use hot::feed::{Feed, FeedRead, FeedStart};
use hot::redemptions::{RedemptionPage, RedemptionQuery, Redemptions};

use crate::txn::Txn;
use crate::{Result, SqliteHot, activity, audit, cancelled, events, orders, redemptions};

/// Events that one transaction counts: some 5 ms.
const COUNTED_MAX: usize = 1_000;

/// Entries of redemptions that one transaction looks at to delete old ones: about a millisecond.
const ENTRIES_LOOKED_AT_MAX: usize = 2_000;

/// Sums of quarters that one transaction deletes: about a millisecond.
const QUARTERS_DELETED_MAX: usize = 2_000;

#[async_trait]
impl Feed for SqliteHot {
    async fn events(&self, from: FeedStart, limit: usize) -> Result<FeedRead> {
        self.readers.run(move |txn| events::page(txn, &from, limit)).await
    }
}

#[async_trait]
impl Audit for SqliteHot {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.writer.run(move |txn| txn.audit(&entry.act, &entry.event)).await
    }

    async fn audit(
        &self,
        campaign: Option<CampaignId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Audited>> {
        self.readers
            .run(move |txn| audit::page(txn, campaign.as_ref(), after.as_deref(), limit))
            .await
    }
}

#[async_trait]
impl Activities for SqliteHot {
    async fn activity(
        &self,
        campaign: Option<CampaignId>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, Activity)>> {
        self.count_or_warn().await;
        self.readers.run(move |txn| activity::read(txn, campaign.as_ref(), from, until)).await
    }

    async fn count_activity(&self) -> Result<()> {
        if self.readers.run(activity::is_behind).await? {
            let orders = self.options.orders;
            let count = move |txn: &Txn<'_>| activity::count(txn, COUNTED_MAX, orders);
            while self.background_write(count).await? {}
        }
        Ok(())
    }

    async fn forget_activity(&self, before: i64) -> Result<u64> {
        let (mut forgotten, mut after) = (0, -1);
        // One campaign after the other: no index has all old ones together.
        while let Some(campaign) =
            self.readers.run(move |txn| activity::next_campaign(txn, after)).await?
        {
            loop {
                let forget = move |txn: &Txn<'_>| {
                    activity::forget(txn, campaign, before, QUARTERS_DELETED_MAX)
                };
                match self.background_write(forget).await? {
                    0 => break,
                    some => forgotten += some as u64,
                }
            }
            after = campaign;
        }
        Ok(forgotten)
    }
}

#[async_trait]
impl Redemptions for SqliteHot {
    async fn redemptions(&self, query: RedemptionQuery) -> Result<RedemptionPage> {
        let limit = query.limit;
        let rows = self.readers.run(move |txn| redemptions::page(txn, &query)).await?;
        let last = rows.last().filter(|_| rows.len() >= limit);
        Ok(RedemptionPage { read_to: last.map(|row| row.position.clone()), rows })
    }

    async fn codes_of_order(&self, order: &OrderRef) -> Result<Option<Vec<Code>>> {
        if !(self.options.events && self.options.orders) {
            return Ok(None);
        }
        self.count_or_warn().await;
        let order = order.clone();
        self.readers.run(move |txn| orders::codes(txn, &order)).await.map(Some)
    }

    async fn forget_orders(&self, before: Day) -> Result<u64> {
        let (mut forgotten, mut after) = (0, (i64::MIN, String::new()));
        loop {
            let from = after.clone();
            let forget =
                move |txn: &Txn<'_>| orders::forget(txn, before, &from, ENTRIES_LOOKED_AT_MAX);
            let Some((last, some)) = self.background_write(forget).await? else { break };
            (after, forgotten) = (last, forgotten + some);
        }
        let mut after = (i64::MIN, 0);
        let forget =
            |from| move |txn: &Txn<'_>| cancelled::forget(txn, from, ENTRIES_LOOKED_AT_MAX);
        while let Some((last, some)) = self.background_write(forget(after)).await? {
            (after, forgotten) = (last, forgotten + some);
        }
        Ok(forgotten)
    }
}

impl SqliteHot {
    /// Counts what was not counted yet. A full disk takes no counts: then what was counted before is read.
    async fn count_or_warn(&self) {
        if let Err(error) = self.count_activity().await {
            tracing::warn!(error = %error, "the newest events are not counted yet");
        }
    }
}
