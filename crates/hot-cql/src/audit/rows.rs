//! Partitions, coupons and campaigns, as `verify` reads them.

use std::collections::{BTreeMap, BTreeSet};

use coupon::code::Code;
use coupon::time::Day;
use hot::HotError;
use hot::audit::{AuditBatch, AuditCampaign, AuditPartition, AuditRow, RowIs};
use scylla::response::PagingState;
use scylla::value::CqlDate;

use super::AT_ONCE;
use crate::Store;
use crate::archiving::{Listed, partition_plan};
use crate::bounded_join::bounded_join;
use crate::coupon_row::{CouponRow, disagreement};
use crate::session::{Result, StatementProfile};
use crate::values::{day, parsed};

/// Campaigns that are read at a time.
const CAMPAIGNS_AT_ONCE: usize = 8;

/// Names of campaigns of one read.
const NAMES: usize = 1_000;

impl Store {
    /// Buckets with rows in which no coupon can be. They are compared with plans that are read
    /// after them: a plan may be made at any moment, always before the first row of its partition.
    pub(super) async fn stray_partitions(&self) -> Result<Vec<String>> {
        let cql = "SELECT DISTINCT expiry_day, bucket FROM coupon";
        // The lowest and the highest bucket of each partition.
        let (mut used, mut from) = (BTreeMap::<Day, (i32, i32)>::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.session.page::<(CqlDate, i32)>(cql, (), state).await?;
            for (of, bucket) in rows {
                let bucket_counts = used.entry(day(of)).or_insert((bucket, bucket));
                *bucket_counts = (bucket_counts.0.min(bucket), bucket_counts.1.max(bucket));
            }
            from = next;
        }
        let plans = self.plans().await?;
        let bucket_counts: BTreeMap<Day, i32> =
            plans.iter().map(|plan| (plan.day(), 1 << plan.bits().min(30))).collect();
        let mut faults = Vec::new();
        for (of, (lowest, highest)) in used {
            let Some(bucket_counts) = bucket_counts.get(&of) else {
                faults.push(format!("there are rows on day {}, which has no plan", of.0));
                continue;
            };
            let both = BTreeSet::from([lowest, highest]);
            let beyond = both.into_iter().filter(|it| !(0..*bucket_counts).contains(it));
            faults.extend(beyond.map(|bucket| {
                format!(
                    "there are rows in bucket {bucket} of day {}, which has {bucket_counts}",
                    of.0
                )
            }));
        }
        Ok(faults)
    }

    pub(super) async fn audit_partitions(&self) -> Result<Vec<AuditPartition>> {
        let plans = self.plans().await?;
        let days = plans.iter().map(|plan| async move {
            let next_serial = self.copied_serial(plan.day()).await?;
            let plan = partition_plan(plan);
            Ok::<_, HotError>(AuditPartition { day: plan.day, plan: Some(plan), next_serial })
        });
        bounded_join(AT_ONCE, days).await
    }

    pub(super) async fn audit_rows(
        &self,
        day: Day,
        after: &str,
        limit: usize,
    ) -> Result<Vec<AuditRow>> {
        // A row between two codes has no valid code, and is not looked for.
        let after = (!after.is_empty()).then(|| parsed::<Code>("code", after)).transpose()?;
        let rows = self.merged(day, after, limit, Listed::All).await?;
        let looks = rows.iter().map(|(bucket, row)| self.audit_row(row, *bucket));
        bounded_join(AT_ONCE, looks).await
    }

    pub(super) async fn audit_spot(&self, day: Day, code: &Code) -> Result<Vec<AuditRow>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(Vec::new()) };
        match self.row_of(StatementProfile::Read, day, bucket, code).await? {
            Some(row) => Ok(vec![self.audit_row(&row, bucket).await?]),
            None => Ok(Vec::new()),
        }
    }

    async fn audit_row(&self, row: &CouponRow, bucket: i32) -> Result<AuditRow> {
        let code = row.code()?;
        let led_to = self.bucket(row.day(), &code).await?;
        let astray = (led_to != Some(bucket))
            .then(|| format!("it is in bucket {bucket}, its code leads to {led_to:?}"));
        let is = match (row.is_archived_marker(), row.forward_to()) {
            (true, _) => RowIs::ArchivedMarker { version: row.archived_version() },
            (false, Some(to)) => RowIs::Forwarding { to },
            // The bucket is not used.
            (false, None) => match self.as_stored(row, 0).await {
                Ok(located) => RowIs::Coupon {
                    differs: disagreement(row, &located.coupon),
                    coupon: Box::new(located.coupon),
                },
                Err(HotError::Damaged(why)) => RowIs::Unreadable(why),
                Err(error) => return Err(error),
            },
        };
        Ok(AuditRow { code: code.to_string(), is, astray })
    }

    pub(super) async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>> {
        // What this process has counted.
        self.counts.write_down(self).await;
        let (mut campaigns, mut after) = (Vec::new(), None);
        loop {
            let names = self.campaign_names(after.as_ref(), NAMES).await?;
            let Some(last) = names.last().cloned() else { return Ok(campaigns) };
            let found = names.iter().map(|id| self.copied_campaign(id));
            for campaign in bounded_join(CAMPAIGNS_AT_ONCE, found).await?.into_iter().flatten() {
                let batches = campaign.batches.into_iter().map(|batch| AuditBatch {
                    id: batch.id,
                    run: batch.run,
                    count: batch.run.map_or(batch.arrived, |run| run.count),
                    made_at: batch.created_at,
                    offered: batch.offered,
                });
                let batches: Vec<AuditBatch> = batches.collect();
                campaigns.push(AuditCampaign {
                    terms: std::sync::Arc::new(campaign.terms),
                    stock: batches.iter().map(|batch| batch.count).sum(),
                    all: campaign.counts.all,
                    cold: campaign.counts.cold,
                    rows: None,
                    batches,
                });
            }
            after = Some(last);
        }
    }
}
