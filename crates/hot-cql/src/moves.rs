//! [`Partitions`] and [`Facts`] for [`CqlHot`]: what the compactor and the operators call.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::{
    ClosedPartition, ColdMark, Emptying, Fact, Facts, PartitionPlan, Partitions, Reconciled,
    Residue,
};

use crate::CqlHot;
use crate::session::Result;

#[async_trait]
impl Facts for CqlHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.store.setting(fact.name()).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        self.store.replace_setting(fact.name(), seen, next).await
    }
}

#[async_trait]
impl Partitions for CqlHot {
    async fn partitions(&self) -> Result<Vec<PartitionPlan>> {
        self.store.partition_plans().await
    }

    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>> {
        self.store.partition_plan(day).await
    }

    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        self.store.partition_archive_commits().await
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>> {
        self.store.closed_partitions(now, enough).await
    }

    async fn count(&self, day: Day) -> Result<u64> {
        self.store.count_partition(day).await
    }

    async fn closed_codes(&self, day: Day, now: Millis, limit: usize) -> Result<Vec<Code>> {
        self.store.codes_closed(day, now, limit).await
    }

    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, None).await
    }

    async fn closed_coupons(&self, day: Day, codes: Vec<Code>, now: Millis) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, Some(now)).await
    }

    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64> {
        self.store.clock_is_right()?;
        self.store.evict_all(day, copied).await
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool> {
        self.store.clock_is_right()?;
        self.store.seal_partition(day, now).await
    }

    async fn residue(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Residue>> {
        self.store.residue_page(day, after, limit).await
    }

    async fn remove_residue(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>> {
        self.store.clock_is_right()?;
        self.store.remove_some(day, &so_far).await
    }

    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: bool,
    ) -> Result<()> {
        self.store.finish(day, archive_commit, emptied).await
    }

    async fn shrink(&self) -> Result<bool> {
        // The engine's own compaction gives space back.
        Ok(false)
    }

    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled> {
        self.store.reconcile_all(day, &coupons).await
    }

    async fn pass_over_serials(&self) -> Result<()> {
        self.store.pass_over().await
    }

    async fn cold_mark(&self) -> Result<ColdMark> {
        self.store.mark().await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()> {
        self.store.raise_mark(mark).await
    }
}
