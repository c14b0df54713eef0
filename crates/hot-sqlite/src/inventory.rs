//! Everything that this store holds, for `verify` and `copy`.

mod campaigns;
mod coupons;
mod tables;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::Facts;
use hot::inventory::{
    Atomicity, CampaignItem, CopySource, CountShift, EntryItem, IndexRow, IndexRowKind, Inventory,
    OrderEntry, Page, RowItem, Table, Vanishing, Verifiable,
};
use rusqlite::Result as SqlResult;

use self::tables::ReadPurpose::{AsStored, ToCopy};

use crate::txn::Txn;
use crate::{Result, SqliteHot, orders, schema};

#[async_trait]
impl Inventory for SqliteHot {
    async fn page(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page> {
        self.readers.run(move |txn| tables::page(txn, of, AsStored, after.as_deref(), limit)).await
    }
}

#[async_trait]
impl CopySource for SqliteHot {
    fn facts(&self) -> &dyn Facts {
        self
    }

    async fn page_to_copy(&self, of: Table, after: Option<String>, limit: usize) -> Result<Page> {
        self.readers.run(move |txn| tables::page(txn, of, ToCopy, after.as_deref(), limit)).await
    }

    async fn has(&self, items: &[Vanishing]) -> Result<Vec<bool>> {
        let items = items.to_vec();
        self.readers.run(move |txn| items.iter().map(|item| has(txn, item)).collect()).await
    }

    async fn orders(&self, after: Option<OrderEntry>, limit: usize) -> Result<Vec<OrderEntry>> {
        self.readers.run(move |txn| orders::page(txn, after.as_ref(), limit)).await
    }
}

#[async_trait]
impl Verifiable for SqliteHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::OneTransaction
    }

    async fn engine_faults(&self) -> Result<Vec<String>> {
        self.readers.run(schema::integrity).await
    }

    async fn counted_campaigns(&self) -> Result<Vec<CampaignItem>> {
        let tells = self.options.events;
        self.readers.run(move |txn| campaigns::counted(txn, tells)).await
    }

    async fn next_partition(&self, from: Day) -> Result<Option<Day>> {
        self.readers.run(move |txn| coupons::next_partition(txn, from)).await
    }

    async fn rows_by_code(&self, day: Day, after: String, limit: usize) -> Result<Vec<RowItem>> {
        self.by_code(day, &after, limit, coupons::rows_of).await
    }

    async fn rows_at(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<RowItem>>> {
        let keys = self.keys.current();
        self.readers.run(move |txn| coupons::rows_at(txn, &keys, &spots)).await
    }

    async fn entries_at(&self, codes: Vec<Code>) -> Result<Vec<Option<EntryItem>>> {
        let look =
            move |txn: &Txn<'_>| codes.iter().map(|code| tables::entry_of(txn, code)).collect();
        self.readers.run(look).await
    }

    async fn claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>> {
        let look =
            move |txn: &Txn<'_>| asked.iter().map(|asked| tables::is_claimed(txn, asked)).collect();
        self.readers.run(look).await
    }

    /// SQLite has indexes instead of index rows, and [`Verifiable::engine_faults`] checks them.
    async fn unindexed(&self, coupons: Vec<Coupon>) -> Result<Vec<Vec<IndexRowKind>>> {
        Ok(vec![Vec::new(); coupons.len()])
    }

    async fn mend_index_rows(&self, _day: Day, _coupon: Coupon) -> Result<()> {
        Ok(())
    }

    async fn remove_index_rows(&self, _index_rows: Vec<IndexRow>) -> Result<()> {
        Ok(())
    }

    async fn mend_counts(&self, shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64> {
        self.writer.run(move |txn| campaigns::mend(txn, &shifts)).await
    }
}

/// Whether what was copied is still in the source.
fn has(txn: &Txn<'_>, item: &Vanishing) -> SqlResult<bool> {
    match item {
        Vanishing::Account { account, .. } => {
            let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
            txn.statement("SELECT 1 FROM account WHERE login_id = ?1 AND user_id = ?2")?
                .exists([login, user])
        }
        Vanishing::Replacement(it) => txn
            .statement("SELECT 1 FROM replacement WHERE replaced = ?1")?
            .exists([it.replaced.as_str()]),
    }
}
