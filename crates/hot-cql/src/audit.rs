//! A cluster as `verify` sees it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, OperationId, UserId};
use coupon::time::Day;
use router::Owner;
use scylla::DeserializeRow;
use scylla::response::PagingState;
use scylla::value::{CqlDate, CqlTimestamp};

use super::archiving::{Listed, partition_plan};
use super::bounded_join::bounded_join;
use super::claims::EntryValue;
use super::session::{Result, StatementProfile, damaged};
use super::values::{CouponRow, date, day, instant, millis, parsed, signed, tie};
use super::{CqlHot, Store, examine};
use hot::HotError;
use hot::audit::{
    Atomicity, Audit, AuditBatch, AuditCampaign, AuditClaim, AuditEntry, AuditEntryIs, AuditPage,
    AuditPartition, AuditRow, Begun, CountShift, IndexRow, IndexRowKind, RowIs, Unreadable,
};

/// Rows that are looked at at a time.
const AT_ONCE: usize = 128;

/// Campaigns that are read at a time.
const CAMPAIGNS_AT_ONCE: usize = 8;

/// Names of campaigns of one read.
const NAMES: usize = 1_000;

macro_rules! entry_columns {
    () => {
        "SELECT code, kind, campaign_id, batch_id, expiry_day, valid_from, expires_at"
    };
}

#[async_trait]
impl Audit for CqlHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::StepByStep
    }

    async fn audit_files(&self) -> Result<Vec<String>> {
        self.store.stray_partitions().await
    }

    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>> {
        self.store.audit_partitions().await
    }

    async fn audit_rows(&self, day: Day, after: String, limit: usize) -> Result<Vec<AuditRow>> {
        self.store.audit_rows(day, &after, limit).await
    }

    async fn audit_spots(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<AuditRow>>> {
        let looks = spots.iter().map(|(day, code)| self.store.audit_spot(*day, code));
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>> {
        self.store.audit_campaigns().await
    }

    async fn audit_entries(
        &self,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<AuditEntry>> {
        let cql = concat!(entry_columns!(), " FROM directory");
        let (rows, next) = self.store.audit_page::<EntryRow>(cql, after).await?;
        let items = rows.into_iter().filter_map(EntryRow::entry).collect();
        Ok(AuditPage { items, unreadable: Vec::new(), next })
    }

    async fn audit_entries_of(&self, codes: Vec<Code>) -> Result<Vec<Option<AuditEntry>>> {
        let cql = concat!(entry_columns!(), " FROM directory WHERE code = ?");
        let looks = codes.iter().map(|code| async move {
            let row: Option<EntryRow> =
                self.store.cluster.row(StatementProfile::Read, cql, (code.as_str(),)).await?;
            Ok::<_, HotError>(row.and_then(EntryRow::entry))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_claims(
        &self,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<AuditClaim>> {
        let cql = "SELECT campaign_id, user_id, claimed FROM claim";
        let (rows, next) = self.store.audit_page::<ClaimsRow>(cql, after).await?;
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for row in rows {
            let about = format!("the claim of {} on {}", row.user_id, row.campaign_id);
            let of_row = || -> Result<(CampaignId, UserId)> {
                Ok((parsed("campaign_id", &row.campaign_id)?, parsed("user_id", &row.user_id)?))
            };
            let values = row.claimed.iter().flat_map(BTreeMap::values);
            let claims = match of_row() {
                Ok((campaign, user)) => {
                    values.map(|value| claim(&campaign, &user, value)).collect()
                }
                Err(error) => vec![Err(error)],
            };
            for claim in claims {
                match claim {
                    Ok(claim) => items.push(claim),
                    Err(error) => {
                        let why = error.to_string();
                        unreadable.push(Unreadable { about: about.clone(), why });
                    }
                }
            }
        }
        Ok(AuditPage { items, unreadable, next })
    }

    async fn audit_claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>> {
        let cql = "SELECT campaign_id, user_id, claimed FROM claim \
                   WHERE campaign_id = ? AND user_id = ?";
        let looks = asked.iter().map(|(campaign, user, code)| async move {
            let values = (campaign.as_str(), user.as_str());
            let row: Option<ClaimsRow> =
                self.store.cluster.row(StatementProfile::Read, cql, values).await?;
            let claimed = row.and_then(|row| row.claimed).unwrap_or_default();
            Ok::<_, HotError>(claimed.values().any(|entry| entry.code == code.as_str()))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_index_rows(
        &self,
        kind: IndexRowKind,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<IndexRow>> {
        let cql = match kind {
            IndexRowKind::Wallet => {
                "SELECT user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM wallet"
            }
            IndexRowKind::Expiring => {
                "SELECT campaign_id AS user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM expiring"
            }
        };
        let (rows, next) = self.store.audit_page::<RawIndexRow>(cql, after).await?;
        let index_rows = rows.into_iter().filter_map(|row| row.index_row(kind).transpose());
        Ok(AuditPage { items: index_rows.collect::<Result<_>>()?, unreadable: Vec::new(), next })
    }

    async fn audit_unindexed(&self, coupons: Vec<(Day, Coupon)>) -> Result<Vec<Vec<IndexRowKind>>> {
        let looks = coupons.iter().map(|(_, coupon)| async move {
            let mut missing = Vec::new();
            if !self.store.has_wallet(coupon).await? {
                missing.push(IndexRowKind::Wallet);
            }
            if !self.store.has_expiring(coupon).await? {
                missing.push(IndexRowKind::Expiring);
            }
            Ok::<_, HotError>(missing)
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn mend_index_rows(&self, day: Day, coupon: Coupon) -> Result<()> {
        if let Some(holder) = coupon.holder() {
            self.store.write_wallet(holder, &coupon, day).await?;
        }
        self.store.write_expiring(coupon.genesis().campaign.as_str(), &coupon, day).await
    }

    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<()> {
        bounded_join(
            AT_ONCE,
            index_rows.iter().map(|index_row| self.store.remove_old_index_row(index_row)),
        )
        .await
        .map(drop)
    }

    /// Each process writes its own sums and nobody else's: a sum that is set right from outside
    /// would be wrong again when its process writes it down next.
    async fn mend_counts(&self, _shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64> {
        Ok(0)
    }
}

impl Store {
    /// A page of a walk over a whole table: what the engine calls its state is the position.
    async fn audit_page<R>(
        &self,
        cql: &'static str,
        after: Option<String>,
    ) -> Result<(Vec<R>, Option<String>)>
    where
        R: for<'f> scylla::deserialize::row::DeserializeRow<'f, 'f>,
    {
        let from = match after {
            None => PagingState::start(),
            Some(text) => PagingState::new_from_raw_bytes(bytes_of(&text)?),
        };
        let (rows, next) = self.cluster.page(cql, (), from).await?;
        let next = next.and_then(|state| state.as_bytes_slice().map(|bytes| text_of(bytes)));
        Ok((rows, next))
    }

    /// Partitions in which no coupon of ours can be. They are compared with plans that are read after
    /// them: a day may be planned at any moment, always before its first row is written.
    async fn stray_partitions(&self) -> Result<Vec<String>> {
        let cql = "SELECT DISTINCT expiry_day, bucket FROM coupon";
        // The lowest and the highest place of each day.
        let (mut used, mut from) = (BTreeMap::<Day, (i32, i32)>::new(), Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.cluster.page::<(CqlDate, i32)>(cql, (), state).await?;
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

    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>> {
        let plans = self.plans().await?;
        let days = plans.iter().map(|plan| async move {
            let next_serial = self.copied_serial(plan.day()).await?;
            let plan = partition_plan(plan);
            Ok::<_, HotError>(AuditPartition { day: plan.day, plan: Some(plan), next_serial })
        });
        bounded_join(AT_ONCE, days).await
    }

    async fn audit_rows(&self, day: Day, after: &str, limit: usize) -> Result<Vec<AuditRow>> {
        // Whatever is written between two codes is no code, and would not be looked for.
        let after = (!after.is_empty()).then(|| parsed::<Code>("code", after)).transpose()?;
        let rows = self.merged(day, after, limit, Listed::All).await?;
        let looks = rows.iter().map(|(bucket, row)| self.audit_row(row, *bucket));
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_spot(&self, day: Day, code: &Code) -> Result<Vec<AuditRow>> {
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
            .then(|| format!("it lies in bucket {bucket}, its code leads to {led_to:?}"));
        let is = match (row.is_archived_marker(), row.forward_to()) {
            (true, _) => RowIs::ArchivedMarker { version: row.archived() },
            (false, Some(to)) => RowIs::Forwarding { to },
            // The bucket is not looked at.
            (false, None) => match self.as_it_stands(row, 0).await {
                Ok(located) => RowIs::Coupon {
                    differs: examine::disagreement(row, &located.coupon),
                    coupon: Box::new(located.coupon),
                },
                Err(HotError::Damaged(why)) => RowIs::Unreadable(why),
                Err(error) => return Err(error),
            },
        };
        Ok(AuditRow { code: code.to_string(), is, astray })
    }

    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>> {
        // What this very process has counted.
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

    async fn has_wallet(&self, coupon: &Coupon) -> Result<bool> {
        let Some(holder) = coupon.holder() else { return Ok(true) };
        let cql = "SELECT code FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                   AND code = ?";
        let code = coupon.code();
        let at = instant(coupon.expires_at());
        let values = (holder.as_str(), at, signed(tie(code)), code.as_str());
        let index_row: Option<(String,)> =
            self.cluster.row(StatementProfile::Read, cql, values).await?;
        Ok(index_row.is_some())
    }

    async fn remove_old_index_row(&self, index_row: &IndexRow) -> Result<()> {
        let (code, at, tie) =
            (index_row.code.as_str(), instant(index_row.expires_at), index_row.tie);
        match (index_row.kind, &index_row.user) {
            (IndexRowKind::Wallet, Some(user)) => {
                let cql = "DELETE FROM wallet USING TIMESTAMP ? WHERE user_id = ? \
                           AND expires_at = ? AND tie = ? AND code = ?";
                self.cluster.write(cql, (index_row.written_at, user.as_str(), at, tie, code)).await
            }
            (IndexRowKind::Wallet, None) => Ok(()),
            (IndexRowKind::Expiring, _) => {
                let cql = "DELETE FROM expiring USING TIMESTAMP ? WHERE expires_on = ? \
                           AND shard = ? AND expires_at = ? AND tie = ? AND code = ?";
                let on = Day::expiry_day_of(index_row.expires_at);
                for shard in
                    self.expiring_partitions(index_row.expires_at, tie, &index_row.code).await?
                {
                    let values = (index_row.written_at, date(on), shard, at, tie, code);
                    self.cluster.write(cql, values).await?;
                }
                Ok(())
            }
        }
    }
}

fn claim(campaign: &CampaignId, user: &UserId, value: &EntryValue) -> Result<AuditClaim> {
    let sequence = usize::try_from(value.sequence).unwrap_or(0);
    let operation = OperationId(value.operation.as_u128());
    Ok(AuditClaim {
        campaign: campaign.clone(),
        user: user.clone(),
        code: parsed("claim.code", &value.code)?,
        day: day(value.expiry_day),
        issue: value.issue.and_then(|issue| usize::try_from(issue).ok()),
        begun: (sequence > 0).then_some(Begun { sequence, operation }),
    })
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Result<Vec<u8>> {
    let pairs = (0..text.len() / 2).map(|at| text.get(2 * at..2 * at + 2).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(damaged)).collect()
}

#[derive(DeserializeRow)]
struct EntryRow {
    code: String,
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
}

impl EntryRow {
    /// `None` where only the key is there: nobody has finished it.
    fn entry(self) -> Option<AuditEntry> {
        let kind = self.kind.clone()?;
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        let read = || -> Result<AuditEntryIs> {
            Ok(match kind.as_str() {
                "gone" => AuditEntryIs::Gone,
                "shared" => {
                    let campaign = parsed("campaign_id", &name(&self.campaign_id))?;
                    AuditEntryIs::Shared { campaign }
                }
                "coupon" => AuditEntryIs::Coupon {
                    owner: Owner {
                        campaign: parsed("campaign_id", &name(&self.campaign_id))?,
                        batch: parsed("batch_id", &name(&self.batch_id))?,
                    },
                    day: self.expiry_day.map(day).ok_or_else(|| damaged("no expiry_day"))?,
                    line: self.valid_from.map(millis).zip(self.expires_at.map(millis)),
                },
                other => return Err(damaged(format!("kind is {other:?}"))),
            })
        };
        let is = read().unwrap_or_else(|error| AuditEntryIs::Unreadable(error.to_string()));
        Some(AuditEntry { code: self.code, is })
    }
}

#[derive(DeserializeRow)]
struct ClaimsRow {
    campaign_id: String,
    user_id: String,
    claimed: Option<BTreeMap<i32, EntryValue>>,
}

#[derive(DeserializeRow)]
struct RawIndexRow {
    user_id: Option<String>,
    expires_at: CqlTimestamp,
    tie: i64,
    code: String,
    expiry_day: Option<CqlDate>,
    written: Option<i64>,
}

impl RawIndexRow {
    /// `None` for one of which only the key is there: it says nothing.
    fn index_row(self, kind: IndexRowKind) -> Result<Option<IndexRow>> {
        let (Some(expiry_day), Some(written_at)) = (self.expiry_day, self.written) else {
            return Ok(None);
        };
        let user = match kind {
            IndexRowKind::Wallet => Some(parsed("user_id", self.user_id.as_deref().unwrap_or(""))?),
            IndexRowKind::Expiring => None,
        };
        Ok(Some(IndexRow {
            kind,
            code: parsed("code", &self.code)?,
            day: day(expiry_day),
            expires_at: millis(self.expires_at),
            user,
            tie: self.tie,
            written_at,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        for bytes in [&[] as &[u8], &[0, 1, 0xff], b"state"] {
            assert_eq!(bytes_of(&text_of(bytes)).ok().as_deref(), Some(bytes));
        }
        assert!(bytes_of("zz").is_err());
    }
}
