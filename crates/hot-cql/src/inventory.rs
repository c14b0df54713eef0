//! Everything that a cluster holds, for `verify` and to compare a copy.
//!
//! Tables are read row by row in the engine's own order ([`tables`]). Partitions and campaigns are not: each of
//! them is put together from several tables.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId, UserId};
use coupon::time::Day;
use hot::inventory::{
    Atomicity, BatchItem, CampaignItem, CountShift, EntryItem, IndexRow, IndexRowKind, Inventory,
    Item, Page, PartitionItem, RowIs, RowItem, Table, Verifiable, all,
};
use hot::protocol::StateCounts;
use hot::{HotError, bounded_join};
use scylla::response::PagingState;
use scylla::value::CqlDate;

use crate::archiving::{ListedRows, partition_plan};
use crate::counts::as_written;
use crate::coupon_row::{CouponRow, coupon_rows, disagreement};
use crate::stock::RUN;
use crate::values::{date, day, instant, parsed, signed, tie};
use crate::{CqlHot, CqlStore};
use cql_session::{Result, StatementProfile};

const AT_ONCE: usize = 128;

/// Campaigns of one page: each is several reads.
const CAMPAIGNS_MAX: usize = 50;

#[async_trait]
impl Inventory for CqlHot {
    async fn page(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page> {
        let (store, after) = (&self.store, after.as_deref());
        match of {
            Table::Partitions => store.page_of_partitions().await,
            Table::Campaigns => store.page_of_campaigns(after, limit).await,
            Table::Coupons => store.page_of_coupons(after).await,
            Table::Settings => store.page_of_settings().await,
            Table::Accounts => store.page_of(tables::ACCOUNTS, after, tables::account).await,
            Table::Directory => store.page_of(tables::ENTRIES, after, tables::entry).await,
            Table::Claims => store.page_of(tables::CLAIMS, after, tables::claims).await,
            Table::Replacements => {
                store.page_of(tables::REPLACEMENTS, after, tables::replacement).await
            }
            Table::IndexRows(IndexRowKind::Wallet) => {
                store.page_of(tables::WALLET, after, tables::wallet).await
            }
            Table::IndexRows(IndexRowKind::Expiring) => {
                store.page_of(tables::EXPIRING, after, tables::expiring).await
            }
        }
    }
}

#[async_trait]
impl Verifiable for CqlHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::StepByStep
    }

    async fn engine_faults(&self) -> Result<Vec<String>> {
        self.store.stray_partitions().await
    }

    async fn counted_campaigns(&self) -> Result<Vec<CampaignItem>> {
        // What this process has counted.
        self.store.counts.write_down(&self.store).await;
        let items = all(self, Table::Campaigns).await?.into_iter();
        let campaign = |item| if let Item::Campaign(it) = item { Some(*it) } else { None };
        Ok(items.filter_map(campaign).collect())
    }

    async fn next_partition(&self, from: Day) -> Result<Option<Day>> {
        let plans = self.store.plans().await?;
        Ok(plans.iter().map(|plan| plan.day()).find(|day| *day >= from))
    }

    async fn rows_by_code(&self, day: Day, after: String, limit: usize) -> Result<Vec<RowItem>> {
        self.store.rows_by_code(day, &after, limit).await
    }

    async fn rows_at(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<RowItem>>> {
        let looks = spots.iter().map(|(day, code)| self.store.rows_at(*day, code));
        bounded_join(AT_ONCE, looks).await
    }

    async fn entries_at(&self, codes: Vec<Code>) -> Result<Vec<Option<EntryItem>>> {
        bounded_join(AT_ONCE, codes.iter().map(|code| self.store.entry_at(code))).await
    }

    async fn claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>> {
        let looks = asked.iter().map(|(campaign, user, code)| async move {
            Ok(self.store.session.claimed_codes(campaign, user).await?.contains(code))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn unindexed(&self, coupons: Vec<Coupon>) -> Result<Vec<Vec<IndexRowKind>>> {
        let looks = coupons.iter().map(|coupon| async move {
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
        self.store.write_wallet(&coupon, day).await?;
        let campaign = coupon.genesis().campaign.as_str();
        self.store.write_expiring(campaign, &[(&coupon, day)]).await
    }

    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<()> {
        let removes = index_rows.iter().map(|it| self.store.remove_old_index_row(it));
        bounded_join(AT_ONCE, removes).await.map(drop)
    }

    /// Changes nothing: each process writes its own sums, so a sum that another process corrects
    /// would be wrong again after the next write.
    async fn mend_counts(&self, _shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64> {
        Ok(0)
    }
}

impl CqlStore {
    /// All of them on one page: a few hundred bytes for each day.
    async fn page_of_partitions(&self) -> Result<Page> {
        let plans = self.plans().await?;
        let partitions = plans.iter().map(|plan| async move {
            let next_serial = self.next_serial(plan.day()).await?;
            let (closing, plan) = (plan.is_closing(), partition_plan(plan));
            Ok::<_, HotError>(Item::Partition(PartitionItem { plan, closing, next_serial }))
        });
        Ok(Page { items: bounded_join(AT_ONCE, partitions).await?, next: None })
    }

    /// Buckets with rows in which no coupon can be. They are compared with plans that are read
    /// after them: a plan may be made at any moment, always before the first row of its partition.
    async fn stray_partitions(&self) -> Result<Vec<String>> {
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
            let Day(of) = of;
            faults.extend(beyond.map(|bucket| {
                format!("there are rows in bucket {bucket} of day {of}, which has {bucket_counts}")
            }));
        }
        Ok(faults)
    }

    async fn page_of_campaigns(&self, after: Option<&str>, limit: usize) -> Result<Page> {
        let limit = limit.min(CAMPAIGNS_MAX);
        let after = after.map(|id| parsed::<CampaignId>("position", id)).transpose()?;
        let names = self.campaign_names(after.as_ref(), limit).await?;
        let campaigns = names.iter().map(|id| self.campaign_item(id));
        // A name without a campaign: it was never finished.
        let found: Vec<Option<CampaignItem>> = bounded_join(8, campaigns).await?;
        let items = found.into_iter().flatten();
        let items = items.map(|campaign| Item::Campaign(Box::new(campaign))).collect();
        let next = names.last().filter(|_| names.len() == limit).map(ToString::to_string);
        Ok(Page { items, next })
    }

    async fn campaign_item(&self, id: &CampaignId) -> Result<Option<CampaignItem>> {
        self.known.forget(id);
        let Some(here) = self.terms(id).await? else { return Ok(None) };
        let counted = as_written(self, id).await?;
        let mut batches = Vec::new();
        for batch in here.in_order() {
            batches.push(BatchItem {
                batch: batch.as_batch(id, counted.arrived_in(&batch.id)),
                paused_reason: batch.paused_reason.clone(),
                offered: match batch.run {
                    Some(_) => self.offered(id, &batch.id).await?,
                    None => 0,
                },
            });
        }
        let (terms, created_as) = (Arc::clone(&here.terms), here.created_as.to_string());
        let StateCounts { all, cold } = counted.sums;
        let stock: u64 = batches.iter().map(|it| it.batch.count).sum();
        let (rows, worth, spent) = (None, None, 0);
        Ok(Some(CampaignItem { terms, created_as, batches, stock, all, cold, rows, worth, spent }))
    }

    /// The serial below which every serial of a batch was offered: those of an open lease may not
    /// have been.
    async fn offered(&self, id: &CampaignId, batch: &BatchId) -> Result<u64> {
        let values = (id.as_str(), batch.as_str());
        let cql = "SELECT cursor FROM lease WHERE campaign_id = ? AND batch_id = ? LIMIT 1";
        let cursor: Option<i64> = self.session.value(cql, values).await?;
        // After the cursor: a lease that is taken in between begins where the cursor was.
        let cql = "SELECT first FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   LIMIT 1";
        let values = (id.as_str(), batch.as_str(), RUN);
        let open: Option<i64> = self.session.value(cql, values).await?;
        let cursor = cursor.unwrap_or(0);
        Ok(open.map_or(cursor, |first| first.min(cursor)).unsigned_abs())
    }

    async fn page_of_coupons(&self, after: Option<&str>) -> Result<Page> {
        let (rows, next) = self.session.scan_page(coupon_rows!(""), after).await?;
        let rows = rows.iter().filter(|row: &&CouponRow| row.code.is_some());
        let items = rows.map(|row| async move { Ok(Item::Row(self.row_item(row).await?)) });
        Ok(Page { items: bounded_join(AT_ONCE, items).await?, next })
    }

    async fn rows_by_code(&self, day: Day, after: &str, limit: usize) -> Result<Vec<RowItem>> {
        // A row between two codes has no valid code, and is not looked for.
        let after = (!after.is_empty()).then(|| parsed::<Code>("code", after)).transpose()?;
        let rows = self.merged(day, after, limit, ListedRows::All).await?;
        bounded_join(AT_ONCE, rows.iter().map(|row| self.row_item(row))).await
    }

    async fn rows_at(&self, day: Day, code: &Code) -> Result<Vec<RowItem>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(Vec::new()) };
        let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        Ok(vec![self.row_item(&row).await?])
    }

    async fn row_item(&self, row: &CouponRow) -> Result<RowItem> {
        let (day, bucket, code) = (row.day(), row.bucket, row.code()?);
        let led_to = self.bucket(day, &code).await?;
        let astray = (led_to != Some(bucket))
            .then(|| format!("it is in bucket {bucket}, its code leads to {led_to:?}"));
        let is = match (row.is_archived_marker(), row.forward_to()) {
            (true, _) => RowIs::ArchivedMarker { version: row.archived_version() },
            (false, Some(to)) => RowIs::Forwarding { to },
            (false, None) => match self.as_stored(row).await {
                Ok(located) => RowIs::Coupon {
                    differs: disagreement(row, &located.coupon),
                    coupon: Box::new(located.coupon),
                },
                Err(HotError::Damaged(why)) => RowIs::Unreadable(why),
                Err(error) => return Err(error),
            },
        };
        Ok(RowItem { day, code: code.to_string(), is, astray })
    }

    async fn has_wallet(&self, coupon: &Coupon) -> Result<bool> {
        let Some(holder) = coupon.holder() else { return Ok(true) };
        let cql = "SELECT code FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                   AND code = ?";
        let code = coupon.code();
        let at = instant(coupon.expires_at());
        let values = (holder.as_str(), at, signed(tie(code)), code.as_str());
        self.session.has(cql, values).await
    }

    async fn remove_old_index_row(&self, index_row: &IndexRow) -> Result<()> {
        let (code, at, tie) =
            (index_row.code.as_str(), instant(index_row.expires_at), index_row.tie);
        match (index_row.kind, &index_row.user) {
            (IndexRowKind::Wallet, Some(user)) => {
                let cql = "DELETE FROM wallet USING TIMESTAMP ? WHERE user_id = ? \
                           AND expires_at = ? AND tie = ? AND code = ?";
                self.session.write(cql, (index_row.written_at, user.as_str(), at, tie, code)).await
            }
            (IndexRowKind::Wallet, None) => Ok(()),
            (IndexRowKind::Expiring, _) => {
                let cql = "DELETE FROM expiring USING TIMESTAMP ? WHERE expires_on = ? \
                           AND shard = ? AND expires_at = ? AND tie = ? AND code = ?";
                let on = Day::expiry_day_of(index_row.expires_at);
                let of = self.expiring_partitions(index_row.expires_at, tie, &index_row.code);
                for partition in of.await? {
                    let values = (index_row.written_at, date(on), partition, at, tie, code);
                    self.session.write(cql, values).await?;
                }
                Ok(())
            }
        }
    }
}
