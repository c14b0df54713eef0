//! A cluster as the source of a copy.

use std::collections::{BTreeMap, HashMap};

use coupon::campaign::ImportCounts;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId, IssueRef, UserId};
use coupon::time::{Day, Millis};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use super::Position;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::claims::EntryValue;
use crate::coupons::Located;
use crate::reconcile::SERIAL_FLOOR;
use crate::session::{Result, StatementProfile};
use crate::values::{CouponRow, coupon_columns, date, day, millis, parsed, signed};
use hot::copying::{
    CopiedBatch, CopiedCampaign, CopiedClaim, CopiedCounts, CopiedEntry, CopiedPartition,
    CopiedReplacement, EntryIs, Item, Page, SETTINGS,
};
use hot::{Account, HotError, RejectedLine};

/// Rows that are read at a time.
const AT_ONCE: usize = 128;

/// Buckets that are read at a time, ...
const BUCKETS_AT_ONCE: i32 = 32;

/// ... and how often for one page: most buckets of most partitions may be empty.
const WINDOWS_MAX: usize = 64;

/// Campaigns of one page: each is several reads.
const CAMPAIGNS_MAX: usize = 50;

/// Leased serials: see `stock`.
const RUN: i32 = 2;

/// A row of a table whose partitions are walked in the order of their tokens.
trait ByToken {
    fn token(&self) -> i64;
}

/// The rows of a page, and where the next one begins. Two keys may have one token: the last token of
/// a full page is left to the next, so that neither is passed over.
fn by_token<R: ByToken>(mut rows: Vec<R>, limit: usize) -> (Vec<R>, Option<String>) {
    if rows.len() < limit {
        return (rows, None);
    }
    let last = rows.last().map_or(i64::MAX, ByToken::token);
    let whole = rows.iter().take_while(|row| row.token() != last).count();
    if whole > 0 {
        rows.truncate(whole);
    }
    let next = rows.last().map(|row| row.token().to_string());
    (rows, next)
}

/// For a `LIMIT`: two at least, so that a page has one token more than the last.
fn limit_of(limit: usize) -> i32 {
    i32::try_from(limit.max(2)).unwrap_or(i32::MAX)
}

impl Store {
    pub(super) async fn copied_partitions(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let after = at.number(0, i32::MIN)?;
        let plans = self.plans().await?;
        let behind: Vec<_> = plans.iter().filter(|plan| plan.day().0 > after).collect();
        let some = behind.iter().take(limit);
        let days = some.map(|plan| async move {
            let next_serial = self.copied_serial(plan.day()).await?;
            Ok::<_, HotError>(Item::Day(CopiedPartition {
                day: plan.day(),
                bits: Some(plan.bits()),
                seal_after: plan.seal_after(),
                closing: plan.is_closing(),
                sealed: plan.is_sealed(),
                archive_commit: plan.archive_commit(),
                emptied: plan.is_emptied(),
                next_serial,
                entered: plan.entered().collect(),
            }))
        });
        let items = bounded_join(AT_ONCE, days).await?;
        let last = behind.get(limit.saturating_sub(1)).filter(|_| behind.len() > limit);
        Ok(Page { items, next: last.map(|plan| plan.day().0.to_string()) })
    }

    pub(crate) async fn copied_serial(&self, of: Day) -> Result<u64> {
        let cql = "SELECT next_serial FROM minted_run WHERE expiry_day = ? LIMIT 1";
        let row: Option<(Option<i64>,)> =
            self.cluster.row(StatementProfile::Read, cql, (date(of),)).await?;
        match row.and_then(|(next,)| next) {
            Some(next) => Ok(next.unsigned_abs()),
            None => Ok(self.setting_number(SERIAL_FLOOR).await?.unwrap_or(0)),
        }
    }

    pub(super) async fn copied_campaigns(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let limit = limit.min(CAMPAIGNS_MAX);
        let names = self.campaign_names(at.name::<CampaignId>(0)?.as_ref(), limit).await?;
        let campaigns = names.iter().map(|id| self.copied_campaign(id));
        // A name without a campaign: one that was never finished.
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
            self.cluster.row(StatementProfile::Read, cql, (id.as_str(),)).await?;
        let created_as = row.and_then(|(text,)| text).unwrap_or_default();
        let (counts, arrived) = self.copied_counts(id).await?;
        let cql = "SELECT batch_id, paused_reason, lines, imported, already_there, rejected \
                   FROM campaign WHERE campaign_id = ?";
        let rows: Vec<BatchMore> = self.cluster.scan(cql, (id.as_str(),)).await?;
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

    /// The counts over all processes, as they were written down, and what came into each batch.
    async fn copied_counts(&self, id: &CampaignId) -> Result<(CopiedCounts, HashMap<String, i64>)> {
        let cql = "SELECT batch_id, issued, redeemed, void, cold_issued, cold_redeemed, cold_void, \
                   arrived FROM campaign_counts WHERE campaign_id = ?";
        let rows: Vec<CampaignCountsRow> = self.cluster.scan(cql, (id.as_str(),)).await?;
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

    /// Below which every serial of a batch was offered: what is leased and perhaps not taken is on
    /// offer again where there are no leases.
    async fn offered(&self, id: &CampaignId, batch: &BatchId) -> Result<u64> {
        let values = (id.as_str(), batch.as_str());
        let cql = "SELECT cursor FROM lease WHERE campaign_id = ? AND batch_id = ? LIMIT 1";
        let cursor: Option<(Option<i64>,)> =
            self.cluster.row(StatementProfile::Read, cql, values).await?;
        let cql = "SELECT first FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   LIMIT 1";
        let values = (id.as_str(), batch.as_str(), RUN);
        let open: Option<(i64,)> = self.cluster.row(StatementProfile::Read, cql, values).await?;
        let cursor = cursor.and_then(|(cursor,)| cursor).unwrap_or(0);
        Ok(open.map_or(cursor, |(first,)| first.min(cursor)).unsigned_abs())
    }

    pub(super) async fn copied_accounts(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(login_id) AS at_token, login_id, user_id, password_hash, created_at \
                   FROM account WHERE token(login_id) > ? LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<AccountRow> = self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let (Some(user), Some(password_hash)) = (row.user_id, row.password_hash) else {
                continue;
            };
            let (login_id, user_id) =
                (parsed("login_id", &row.login_id)?, parsed("user_id", &user)?);
            let created_at = row.created_at.map_or(Millis(0), millis);
            let account = Account { login_id, user_id, password_hash };
            items.push(Item::Account { account, created_at });
        }
        Ok(Page { items, next })
    }

    /// Bucket by bucket, some at a time.
    pub(super) async fn copied_coupons(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let plans: Vec<(Day, i32)> = self
            .plans()
            .await?
            .iter()
            .filter(|plan| !plan.is_emptied())
            .map(|plan| (plan.day(), 1_i32 << plan.bits().min(30)))
            .collect();
        let (mut expiry_day, mut first) = (Day(at.number(0, i32::MIN)?), at.number(1, 0_i32)?);
        let mut code = at.text(2).to_owned();
        let mut items = Vec::new();
        let ahead = limit_of(limit / 8);
        for _ in 0..WINDOWS_MAX {
            let Some((of, buckets)) = plans.iter().copied().find(|(of, _)| *of >= expiry_day)
            else {
                return Ok(Page { items, next: None });
            };
            if of != expiry_day {
                (expiry_day, first, code) = (of, 0, String::new());
            }
            let end = (first + BUCKETS_AT_ONCE).min(buckets);
            let reads = (first..end).map(|bucket| {
                let after = if bucket == first { code.as_str() } else { "" };
                self.rows_of_bucket(of, bucket, after, ahead)
            });
            let read: Vec<Vec<CouponRow>> = bounded_join(BUCKETS_AT_ONCE as usize, reads).await?;
            let mut cut = None;
            for (bucket, rows) in (first..end).zip(read) {
                if rows.len() >= ahead as usize {
                    cut = rows.last().map(|last| last.code()).transpose()?.map(|it| (bucket, it));
                }
                self.take_rows(bucket, rows, &mut items).await?;
                if cut.is_some() {
                    break;
                }
            }
            match cut {
                Some((bucket, last)) => (first, code) = (bucket, last.to_string()),
                None if end == buckets => {
                    (expiry_day, first, code) = (Day(of.0 + 1), 0, String::new());
                }
                None => (first, code) = (end, String::new()),
            }
            if items.len() >= limit / 2 {
                break;
            }
        }
        Ok(Page { items, next: Some(format!("{} {first} {code}", expiry_day.0)) })
    }

    async fn rows_of_bucket(
        &self,
        expiry_day: Day,
        bucket: i32,
        after: &str,
        limit: i32,
    ) -> Result<Vec<CouponRow>> {
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ? LIMIT ?"
        );
        self.cluster
            .rows(StatementProfile::Bulk, cql, (date(expiry_day), bucket, after, limit))
            .await
    }

    async fn take_rows(
        &self,
        bucket: i32,
        rows: Vec<CouponRow>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        for row in rows {
            if row.is_archived_marker() {
                let (day, code) = (row.day(), row.code()?);
                items.push(Item::ArchivedMarker { day, code, version: row.archived() });
            } else if let Some(to) = row.forward_to() {
                // Whoever meets one sees to it that its coupon is there where it was moved.
                self.finish_move(&row, to).await?;
            } else {
                let coupon = Box::new(self.as_it_stands(&row, bucket).await?.coupon);
                items.push(Item::Coupon { day: row.day(), coupon });
            }
        }
        Ok(())
    }

    pub(super) async fn copied_entries(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(code) AS at_token, code, kind, campaign_id, batch_id, expiry_day, \
                   valid_from, expires_at, imported_state FROM directory WHERE token(code) > ? LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<EntryRow> = self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
        let entries = rows.into_iter().map(|row| self.copied_entry(row));
        let entries: Vec<Option<CopiedEntry>> = bounded_join(AT_ONCE, entries).await?;
        Ok(Page { items: entries.into_iter().flatten().map(Item::Entry).collect(), next })
    }

    /// `None` for what was begun and never finished: the same line, sent again, begins anew.
    async fn copied_entry(&self, row: EntryRow) -> Result<Option<CopiedEntry>> {
        let code: Code = parsed("code", &row.code)?;
        let is = match row.kind.as_deref() {
            None => return Ok(None),
            Some("gone") => EntryIs::Gone,
            Some("shared") => {
                let campaign = parsed("campaign_id", row.campaign_id.as_deref().unwrap_or(""))?;
                if self.terms(&campaign).await?.is_none() {
                    return Ok(None);
                }
                EntryIs::Shared { campaign }
            }
            Some(_) => {
                let Some(expiry_day) = row.expiry_day.map(day) else { return Ok(None) };
                let Some(bucket) = self.bucket(expiry_day, &code).await? else { return Ok(None) };
                if self.row_of(StatementProfile::Read, expiry_day, bucket, &code).await?.is_none()
                    && !self.is_sealed(expiry_day, bucket).await?
                {
                    return Ok(None);
                }
                EntryIs::Coupon {
                    campaign: parsed("campaign_id", row.campaign_id.as_deref().unwrap_or(""))?,
                    batch: parsed("batch_id", row.batch_id.as_deref().unwrap_or(""))?,
                    day: expiry_day,
                    line: match (row.valid_from, row.expires_at, row.imported_state) {
                        (Some(from), Some(until), Some(said)) => {
                            Some((millis(from), millis(until), said))
                        }
                        _ => None,
                    },
                }
            }
        };
        Ok(Some(CopiedEntry { code, is }))
    }

    pub(super) async fn copied_claims(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let cql = "SELECT token(campaign_id, user_id) AS at_token, campaign_id, user_id, claimed \
                   FROM claim WHERE token(campaign_id, user_id) > ? LIMIT ?";
        // A row has several entries.
        let limit = (limit / 4).max(2);
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<ClaimsRow> = self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit);
        let mut wanted = Vec::new();
        for row in &rows {
            let owner: (CampaignId, UserId) =
                (parsed("campaign_id", &row.campaign_id)?, parsed("user_id", &row.user_id)?);
            for (slot, value) in row.claimed.iter().flatten() {
                wanted.push((owner.clone(), *slot, value));
            }
        }
        let traces = wanted.iter().map(|(_, _, value)| self.trace_entry(value));
        let traces = bounded_join(AT_ONCE, traces).await?;
        let coupons = self.resolve(traces).await?;
        let mut items = Vec::with_capacity(wanted.len());
        for (((campaign, user), slot, value), coupon) in wanted.into_iter().zip(coupons) {
            let Some(day) = happened_on(value, coupon, &user) else { continue };
            items.push(Item::Claim(CopiedClaim {
                campaign,
                user,
                slot: i64::from(slot),
                day,
                code: parsed("claim.code", &value.code)?,
                reference: value.reference.as_deref().map(IssueRef::stored),
                issue: value.issue.map(i64::from),
            }));
        }
        Ok(Page { items, next })
    }

    pub(super) async fn copied_replacements(
        &self,
        at: &Position<'_>,
        limit: usize,
    ) -> Result<Page> {
        let cql = "SELECT token(replaced) AS at_token, replaced, campaign_id, user_id, reference, \
                   issue FROM replacement WHERE token(replaced) > ? LIMIT ?";
        let values = (at.number(0, i64::MIN)?, limit_of(limit));
        let rows: Vec<ReplacementRow> =
            self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let (rows, next) = by_token(rows, limit.max(2));
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            if !self.was_replaced(&row).await? {
                continue;
            }
            items.push(Item::Replacement(CopiedReplacement {
                replaced: parsed("replaced", &row.replaced)?,
                user: row.user_id.unwrap_or_default(),
                issue: row.issue.map(i64::from),
            }));
        }
        Ok(Page { items, next })
    }

    /// Whether another coupon was given: a replacement is won before that.
    async fn was_replaced(&self, row: &ReplacementRow) -> Result<bool> {
        let (Some(campaign), Some(user), Some(name)) =
            (&row.campaign_id, &row.user_id, &row.reference)
        else {
            return Ok(true);
        };
        if row.issue == Some(hot::protocol::ANY_ISSUE) || name.is_empty() {
            return Ok(true);
        }
        let cql = "SELECT claimed FROM claim WHERE campaign_id = ? AND user_id = ?";
        let claim: Option<(Option<BTreeMap<i32, EntryValue>>,)> = self
            .cluster
            .row(StatementProfile::Read, cql, (campaign.as_str(), user.as_str()))
            .await?;
        let entries = claim.and_then(|(entries,)| entries).unwrap_or_default();
        let named = entries.values().find(|entry| entry.reference.as_ref() == Some(name));
        let Some(value) = named else { return Ok(false) };
        let trace = self.trace_entry(value).await?;
        let coupon = self.resolve(vec![trace]).await?.pop().flatten();
        let user: UserId = parsed("user_id", user)?;
        Ok(happened_on(value, coupon, &user).is_some())
    }

    pub(super) async fn copied_rejected(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
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

    /// Of kinds that vanish.
    pub(super) async fn has_item(&self, item: &Item) -> Result<bool> {
        match item {
            Item::Account { account, .. } => {
                let here = self.account(&account.login_id).await?;
                Ok(here.is_some_and(|here| here.user_id == account.user_id))
            }
            Item::Replacement(it) => {
                let cql = "SELECT token(replaced) AS at_token, replaced, campaign_id, user_id, \
                           reference, issue FROM replacement WHERE replaced = ?";
                let row: Option<ReplacementRow> =
                    self.cluster.row(StatementProfile::Read, cql, (it.replaced.as_str(),)).await?;
                match row {
                    Some(row) => self.was_replaced(&row).await,
                    None => Ok(false),
                }
            }
            Item::Rejected { campaign, batch, line, .. } => {
                let cql = "SELECT line FROM rejected_line \
                           WHERE campaign_id = ? AND batch_id = ? AND line = ?";
                let values = (campaign.as_str(), batch.as_str(), signed(line.line));
                let row: Option<(i64,)> =
                    self.cluster.row(StatementProfile::Read, cql, values).await?;
                Ok(row.is_some())
            }
            Item::Day(_)
            | Item::Campaign(_)
            | Item::Coupon { .. }
            | Item::ArchivedMarker { .. }
            | Item::Entry(_)
            | Item::Claim(_)
            | Item::Setting { .. } => Ok(true),
        }
    }

    async fn rejected_behind(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Item>, i64)> {
        let cql = "SELECT line, text, word, detail, at FROM rejected_line \
                   WHERE campaign_id = ? AND batch_id = ? AND line > ? LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (campaign.as_str(), batch.as_str(), after, limit);
        type Row = (i64, Option<String>, Option<String>, Option<String>, Option<CqlTimestamp>);
        let rows: Vec<Row> = self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let last = rows.last().map_or(after, |row| row.0);
        let items = rows.into_iter().map(|(line, text, word, detail, at)| Item::Rejected {
            campaign: campaign.clone(),
            batch: batch.clone(),
            line: RejectedLine {
                line: line.unsigned_abs(),
                text: text.unwrap_or_default(),
                word: word.unwrap_or_default(),
                detail: detail.unwrap_or_default(),
            },
            at: at.map_or(Millis(0), millis),
        });
        Ok((items.collect(), last))
    }

    pub(super) async fn copied_settings(&self) -> Result<Page> {
        let mut items = Vec::new();
        for setting in SETTINGS {
            if let Some(text) = self.setting(setting.name()).await? {
                items.push(Item::Setting { setting, value: setting.value(&text)? });
            }
        }
        Ok(Page { items, next: None })
    }
}

/// The partition in which the coupon of a claim's entry is by now, if the entry came to something:
/// what was begun and not finished was told to nobody.
fn happened_on(value: &EntryValue, coupon: Option<Located>, user: &UserId) -> Option<Day> {
    let happened = |it: &Located| value.intent().happened(&it.coupon, user);
    coupon.filter(happened).map(|located| located.day)
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

#[derive(DeserializeRow)]
struct AccountRow {
    at_token: i64,
    login_id: String,
    user_id: Option<String>,
    password_hash: Option<String>,
    created_at: Option<CqlTimestamp>,
}

#[derive(DeserializeRow)]
struct EntryRow {
    at_token: i64,
    code: String,
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    imported_state: Option<String>,
}

#[derive(DeserializeRow)]
struct ClaimsRow {
    at_token: i64,
    campaign_id: String,
    user_id: String,
    claimed: Option<BTreeMap<i32, EntryValue>>,
}

#[derive(DeserializeRow)]
struct ReplacementRow {
    at_token: i64,
    replaced: String,
    campaign_id: Option<String>,
    user_id: Option<String>,
    reference: Option<String>,
    issue: Option<i32>,
}

macro_rules! by_token {
    ($($row:ident)*) => {
        $(impl ByToken for $row {
            fn token(&self) -> i64 {
                self.at_token
            }
        })*
    };
}
by_token!(AccountRow EntryRow ClaimsRow ReplacementRow);

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(i64);

    impl ByToken for Row {
        fn token(&self) -> i64 {
            self.0
        }
    }

    #[test]
    fn no_key_is_passed_over() {
        let rows = [
            ("nothing", vec![], 2, vec![], None),
            ("the end", vec![1, 2], 3, vec![1, 2], None),
            ("a full page", vec![1, 2, 3], 3, vec![1, 2], Some("2")),
            ("two of one token at its end", vec![1, 2, 2], 3, vec![1], Some("1")),
            ("all of one token", vec![2, 2], 2, vec![2, 2], Some("2")),
        ];
        for (name, tokens, limit, want, next) in rows {
            let page = tokens.into_iter().map(Row).collect();
            let (kept, from) = by_token::<Row>(page, limit);
            assert_eq!(kept.iter().map(|row| row.0).collect::<Vec<_>>(), want, "{name}");
            assert_eq!(from.as_deref(), next, "{name}");
        }
    }
}
