//! Everything that a cluster holds, for `verify` and to compare a copy.
//!
//! Tables are read row by row in the engine's own order ([`tables`]). Partitions and campaigns are not: each of
//! them is put together from several tables.

mod campaigns;
mod coupons;
mod index_rows;
mod partitions;
mod tables;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::inventory::{
    Atomicity, CampaignItem, CountShift, EntryItem, IndexRow, IndexRowKind, Inventory, Item, Page,
    RowItem, Table, Verifiable, all,
};
use hot::{HotError, bounded_join};

use crate::CqlHot;
use cql_session::Result;

const AT_ONCE: usize = 128;

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
            Table::RejectedLines => store.page_of(tables::REJECTED, after, tables::rejected).await,
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
        let looks =
            asked.iter().map(|(campaign, user, code)| self.store.is_claimed(campaign, user, code));
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
        self.store.write_expiring(coupon.genesis().campaign.as_str(), &coupon, day).await
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
