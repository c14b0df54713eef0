//! The traits `Directory`, `Facts` and `Partitions` of the store: codes for the router, facts, and
//! partitions as the compactor archives them.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use hot::{
    ClosedPartition, ColdMark, Emptying, Fact, Facts, HotError, PartitionPlan, Partitions,
    Reconciled, Residue,
};
use router::{Directory, Entry, Owner};

use crate::archiving::{closed, cold_mark, eviction, removal, residue, shrink};
use crate::{Result, SqliteHot, archiving, batches, directory, partitions, reconcile, settings};

#[async_trait]
impl Directory for SqliteHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>> {
        // The names in an entry never change, so its statements need not see the same state.
        self.readers.apart(|txn| directory::entry(txn, code)).await
    }

    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>> {
        self.readers.point(|txn| batches::run_of(txn, key, day, serial)).await
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>> {
        self.readers.point(|txn| partitions::bucket_bits(txn, day)).await
    }

    async fn has_long_codes(&self) -> Result<bool> {
        Ok(self.checkpointer.long_codes.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Facts for SqliteHot {
    async fn fact(&self, fact: Fact) -> Result<Option<String>> {
        self.readers.run(move |txn| txn.setting(fact.name())).await
    }

    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool> {
        self.writer
            .run(move |txn| settings::replace(txn, fact.name(), seen.as_deref(), next.as_deref()))
            .await
    }
}

#[async_trait]
impl Partitions for SqliteHot {
    async fn partitions(&self) -> Result<Vec<PartitionPlan>> {
        self.readers.run(archiving::plans).await
    }

    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>> {
        self.readers.run(move |txn| archiving::plan_of(txn, day)).await
    }

    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        self.readers.run(archiving::archive_commits).await
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>> {
        self.readers.run(move |txn| closed::closed_partitions(txn, now, enough)).await
    }

    async fn count(&self, day: Day) -> Result<u64> {
        self.readers.run(move |txn| residue::count(txn, day)).await
    }

    async fn closed_codes(&self, day: Day, now: Millis, limit: usize) -> Result<Vec<Code>> {
        self.readers.run(move |txn| closed::closed_codes(txn, day, now, limit)).await
    }

    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>> {
        self.readers.run(move |txn| closed::coupons_of(txn, day, &codes, None)).await
    }

    async fn closed_coupons(&self, day: Day, codes: Vec<Code>, now: Millis) -> Result<Vec<Coupon>> {
        self.readers.run(move |txn| closed::coupons_of(txn, day, &codes, Some(now))).await
    }

    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64> {
        let mut evicted = 0;
        for some in copied.chunks(eviction::EVICT_MAX) {
            let some = some.to_vec();
            evicted += self.background_write(move |txn| eviction::evict(txn, day, &some)).await?;
        }
        Ok(evicted)
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool> {
        self.writer.run(move |txn| archiving::seal(txn, day, now)).await
    }

    async fn residue(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Residue>> {
        let after = after.as_ref().map_or("", Code::as_str);
        self.by_code(day, after, limit, residue::residue).await
    }

    async fn remove_residue(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>> {
        let rows = match self.is_alone.load(Ordering::Relaxed) {
            true => removal::REMOVE_MAX,
            false => removal::REMOVE_BESIDE_OTHERS_MAX,
        };
        self.background_write(move |txn| removal::remove(txn, day, &so_far, rows)).await
    }

    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: Option<Millis>,
    ) -> Result<()> {
        self.writer.run(move |txn| archiving::finish(txn, day, archive_commit, emptied)).await
    }

    async fn shrink(&self) -> Result<bool> {
        if !self.readers.run(shrink::has_room_to_give).await? {
            return Ok(false);
        }
        self.background_write(shrink::give_room_back).await
    }

    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled> {
        let mut all = Reconciled::default();
        for some in coupons.chunks(reconcile::RECONCILE_MAX) {
            let (keys, some) = (self.keys.current(), some.to_vec());
            let here =
                self.writer.run(move |txn| reconcile::coupons(txn, &keys, day, &some)).await?;
            all.reconciled += here.reconciled;
            all.known += here.known;
            all.strangers += here.strangers;
        }
        Ok(all)
    }

    async fn pass_over_serials(&self) -> Result<()> {
        self.writer.run(reconcile::pass_over_serials).await
    }

    async fn cold_mark(&self) -> Result<ColdMark> {
        self.readers.run(cold_mark::read).await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()> {
        self.writer.run(move |txn| cold_mark::raise(txn, &mark)).await
    }
}
