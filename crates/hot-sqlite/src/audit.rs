//! The store as `verify` reads it.

mod partitions;
mod tables;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::HotError;
use hot::audit::{
    Atomicity, Audit, AuditCampaign, AuditClaim, AuditEntry, AuditPage, AuditPartition, AuditRow,
    CountShift, IndexRow, IndexRowKind,
};

use crate::txn::Txn;
use crate::{SqliteHot, schema};

#[async_trait]
impl Audit for SqliteHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::OneTransaction
    }

    async fn audit_files(&self) -> Result<Vec<String>, HotError> {
        self.readers.run(schema::integrity).await
    }

    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>, HotError> {
        self.readers.run(partitions::all).await
    }

    async fn audit_rows(
        &self,
        day: Day,
        after: String,
        limit: usize,
    ) -> Result<Vec<AuditRow>, HotError> {
        self.readers.run(move |txn| partitions::rows_after(txn, day, &after, limit)).await
    }

    async fn audit_spots(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<AuditRow>>, HotError> {
        let look = move |txn: &Txn<'_>| {
            spots.iter().map(|(day, code)| partitions::rows_under(txn, *day, code)).collect()
        };
        self.readers.run(look).await
    }

    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>, HotError> {
        self.readers.run(tables::campaigns).await
    }

    async fn audit_entries(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditEntry>, HotError> {
        self.readers.run(move |txn| tables::entries_after(txn, after.as_deref(), limit)).await
    }

    async fn audit_entries_of(
        &self,
        codes: Vec<Code>,
    ) -> Result<Vec<Option<AuditEntry>>, HotError> {
        let look =
            move |txn: &Txn<'_>| codes.iter().map(|code| tables::entry_of(txn, code)).collect();
        self.readers.run(look).await
    }

    async fn audit_claims(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<AuditPage<AuditClaim>, HotError> {
        self.readers.run(move |txn| tables::claims_after(txn, after.as_deref(), limit)).await
    }

    async fn audit_claimed(
        &self,
        asked: Vec<(CampaignId, UserId, Code)>,
    ) -> Result<Vec<bool>, HotError> {
        let look =
            move |txn: &Txn<'_>| asked.iter().map(|asked| tables::is_claimed(txn, asked)).collect();
        self.readers.run(look).await
    }

    /// SQLite has indexes instead of index rows, and [`Audit::audit_files`] checks them.
    async fn audit_index_rows(
        &self,
        _kind: IndexRowKind,
        _after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<IndexRow>, HotError> {
        Ok(AuditPage { items: Vec::new(), unreadable: Vec::new(), next: None })
    }

    async fn audit_unindexed(
        &self,
        coupons: Vec<(Day, Coupon)>,
    ) -> Result<Vec<Vec<IndexRowKind>>, HotError> {
        Ok(vec![Vec::new(); coupons.len()])
    }

    async fn mend_index_rows(&self, _day: Day, _coupon: Coupon) -> Result<(), HotError> {
        Ok(())
    }

    async fn remove_index_rows(&self, _index_rows: Vec<IndexRow>) -> Result<(), HotError> {
        Ok(())
    }

    async fn mend_counts(&self, shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64, HotError> {
        self.writer.run(move |txn| tables::mend(txn, &shifts)).await
    }
}
