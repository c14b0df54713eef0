//! [`Partitions`] for [`CqlHot`]: what the compactor calls to move coupons to cold.
//!
//! A bucket is sealed by one conditional update. Paxos orders it among all others of the bucket's
//! CQL partition: every change that was accepted before the seal is there to be copied, and none is
//! accepted after it. Rows are deleted by a range delete with the write time of the seal, so that
//! no clock can make it delete more.

mod closed;
mod evict;
mod removing;
mod residue;
mod sealing;

use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use futures::future::join_all;
use hot::protocol::SERIAL_GAP;
use hot::settings::{COLD_BEGUN, COLD_COMMITTED, SERIAL_FLOOR};
use hot::{
    ClosedPartition, ColdMark, Emptying, HotError, ListPosition, PartitionPlan, Partitions,
    Reconciled, Residue, bounded_join,
};

use crate::CqlHot;
use crate::coupons::BUCKETS_OF_A_READ;
use crate::partitions::{PlanRow, seal_times};
use crate::spread::SpreadKey;
use crate::values::{date, instant, signed};
use closed::{ClosedCount, QUEUED_MORE};
use cql_session::{Result, StatementProfile};
use removing::WITH_ROWS_MAX;
pub(crate) use residue::{KeptMerge, ListedRows};

const PARTITIONS_AT_ONCE: usize = 4;

const RECONCILED_AT_ONCE: usize = 16;

const AT_ONCE: usize = 32;

#[async_trait]
impl Partitions for CqlHot {
    async fn partitions(&self) -> Result<Vec<PartitionPlan>> {
        let plans = self.store.plans().await?;
        let open = seal_times(&plans);
        let with_time = |plan: PartitionPlan| PartitionPlan {
            seal_after: open.get(&plan.day).copied().unwrap_or(plan.seal_after),
            ..plan
        };
        let left = plans.iter().filter(|plan| !plan.is_emptied());
        Ok(left.map(partition_plan).map(with_time).collect())
    }

    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>> {
        Ok(self.store.plan(StatementProfile::Read, day).await?.as_ref().map(partition_plan))
    }

    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        let plans = self.store.plans().await?;
        let moved = plans.iter().filter(|plan| plan.archive_commit() > 0);
        Ok(moved.map(|plan| (plan.day(), plan.archive_commit())).collect())
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>> {
        let store = &self.store;
        // Coupons that closed in the last second are in the memory of this process only.
        store.write_closed().await;
        let plans = store.plans().await?;
        let open = plans.iter().filter(|plan| !plan.is_closing()).map(PlanRow::day);
        let partitions = open.map(|day| store.closed_partition(day, now, enough));
        let partitions: Vec<Option<ClosedPartition>> =
            bounded_join(PARTITIONS_AT_ONCE, partitions).await?;
        Ok(partitions.into_iter().flatten().collect())
    }

    async fn count(&self, day: Day) -> Result<u64> {
        let session = &self.store.session;
        let Some(bits) = self.store.bits(day).await? else { return Ok(0) };
        let counts = (0..1_i32 << bits).map(|bucket| async move {
            let cql = "SELECT code, state FROM coupon WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            let rows: Vec<(String, Option<String>)> =
                session.scan(cql, (date(day), bucket)).await?;
            let moved =
                rows.iter().filter(|(_, state)| state.as_deref() == Some("forwarding")).count();
            Ok::<_, HotError>((rows.len() - moved) as u64)
        });
        let counts: Vec<u64> = bounded_join(AT_ONCE, counts).await?;
        Ok(counts.into_iter().sum())
    }

    async fn closed_codes(&self, day: Day, now: Millis, limit: usize) -> Result<Vec<Code>> {
        let store = &self.store;
        store.write_closed().await;
        let Some(bits) = store.bits(day).await? else { return Ok(Vec::new()) };
        let queues = store.cql_partitions(&SpreadKey::Closed { day, bucket_bits: bits }).await?;
        // Each queue gives its part of the limit, and a quarter more because they are uneven: what
        // is read beyond the limit would be read again for the next archive commit.
        let part = (limit as u64).div_ceil(queues.len().max(1) as u64);
        let each = part + part / 4 + QUEUED_MORE;
        let all = ClosedCount { codes: AtomicU64::new(0), enough: limit as u64 };
        let reads = queues.into_iter().map(|queue| store.closed_in(day, queue, now, each, &all));
        let some = bounded_join(AT_ONCE, reads).await?;
        let mut codes: Vec<Code> = some.into_iter().flatten().map(|(code, _)| code).collect();
        codes.truncate(limit);
        codes.sort_unstable();
        Ok(codes)
    }

    async fn coupons_of(&self, day: Day, codes: Vec<Code>) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, None).await
    }

    async fn closed_coupons(&self, day: Day, codes: Vec<Code>, now: Millis) -> Result<Vec<Coupon>> {
        self.store.final_coupons(day, codes, Some(now)).await
    }

    async fn evict(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64> {
        self.store.may_write()?;
        let evicted =
            copied.iter().map(|(code, version)| self.store.evict_one(day, code, *version));
        let evicted: Vec<bool> = bounded_join(AT_ONCE, evicted).await?;
        Ok(evicted.into_iter().filter(|evicted| *evicted).count() as u64)
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool> {
        self.store.may_write()?;
        self.store.seal_partition(day, now).await
    }

    async fn residue(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Residue>> {
        let rows = self.store.merged(day, after, limit, ListedRows::Residue).await?;
        let mut residue = Vec::with_capacity(rows.len());
        for row in rows {
            residue.push(match row.is_archived_marker() {
                true => {
                    Residue::ArchivedMarker { code: row.code()?, version: row.archived_version() }
                }
                false => Residue::Coupon(Box::new(self.store.located(&row).await?.coupon)),
            });
        }
        Ok(residue)
    }

    async fn remove_residue(&self, day: Day, so_far: Emptying) -> Result<Option<Emptying>> {
        let store = &self.store;
        store.may_write()?;
        let plan = store.plan(StatementProfile::Read, day).await?;
        let Some(plan) = plan.filter(|plan| plan.is_sealed()) else {
            return Err(HotError::Damaged(
                "a partition that is not sealed was to be emptied".into(),
            ));
        };
        // Rows that were read ahead must not be listed after they are deleted.
        *store.merge.lock().await = None;
        let buckets = 1_u64 << plan.bits();
        let first = so_far.after.as_ref().map_or(0, |after| after.tie);
        if first >= buckets {
            return Ok(None);
        }
        let end = (first + BUCKETS_OF_A_READ as u64).min(buckets);
        let some: Vec<i32> =
            (first..end).map(|bucket| i32::try_from(bucket).unwrap_or(i32::MAX)).collect();
        let mut sealed = store.sealed_buckets(day, &some).await?;
        let mut with_rows = sealed.iter().enumerate().filter(|(_, it)| it.has_rows);
        let one_too_many = with_rows.nth(WITH_ROWS_MAX).map(|(at, _)| at);
        sealed.truncate(one_too_many.unwrap_or(sealed.len()));
        let end = first + sealed.len() as u64;
        let (full, empty): (Vec<_>, Vec<_>) = sealed.into_iter().partition(|it| it.has_rows);
        // An imported row has a write time long ago, so one that a frozen process writes later into
        // an empty bucket stays deleted.
        let deletes = empty.iter().map(|it| store.remove_rows(day, it, "", None));
        bounded_join(AT_ONCE, deletes).await?;
        // All of them end, also after an error: one that is given up after its delete would leave
        // its index rows and counts.
        let removed = join_all(full.iter().map(|it| store.remove_bucket(day, it))).await;
        let removed: u64 = removed.into_iter().sum::<Result<u64>>()?;
        Ok(Some(Emptying {
            removed: so_far.removed + removed,
            after: Some(ListPosition { expires_at: day.end(), tie: end }),
            walked: false,
        }))
    }

    async fn finish_archive_commit(
        &self,
        day: Day,
        archive_commit: u64,
        emptied: Option<Millis>,
    ) -> Result<()> {
        let (store, emptied_at, emptied) = (&self.store, emptied, emptied.is_some());
        store.gone.lock().retain(|(of, _)| *of != day || !emptied);
        let mut attempts = store.attempts("an archive commit of a partition");
        loop {
            let plan = attempts.looked(store.plan(StatementProfile::Read, day).await)?;
            let Some(plan) = plan else { return Ok(()) };
            let wanted = plan.archive_commit().max(archive_commit);
            let emptied = plan.is_emptied() || emptied;
            if plan.archive_commit() == wanted && plan.is_emptied() == emptied {
                break;
            }
            if let Some(at) = emptied_at.filter(|_| !plan.is_emptied()) {
                let Some(at) = plan.archived_at() else {
                    // The first time stays: each process that goes on from here enters the same.
                    let cql = "UPDATE partition_plan SET archived_at = ? WHERE expiry_day = ? \
                               IF archived_at = null";
                    let values = (instant(at), date(day));
                    let cas = store.session.change(attempts.profile(), cql, values).await;
                    attempts.wrote(cas).await?;
                    continue;
                };
                // Before `emptied`: afterwards no run enters it in the audit.
                attempts.looked(store.tell_archived(day, at).await)?;
            }
            let cql = "UPDATE partition_plan SET archive_commit = ?, emptied = ? WHERE expiry_day \
                       = ? IF archive_commit = ?";
            let before = (plan.archive_commit() > 0).then(|| signed(plan.archive_commit()));
            let values = (signed(wanted), emptied, date(day), before);
            attempts.wrote(store.session.change(attempts.profile(), cql, values).await).await?;
        }
        if emptied {
            let bits = store.bits(day).await?.unwrap_or(0);
            let spread = SpreadKey::Closed { day, bucket_bits: bits };
            for queue in store.cql_partitions(&spread).await? {
                let cql = "DELETE FROM closed WHERE expiry_day = ? AND shard = ?";
                store.session.write(cql, (date(day), queue)).await?;
            }
        }
        Ok(())
    }

    async fn shrink(&self) -> Result<bool> {
        // The engine's own compaction gives space back.
        Ok(false)
    }

    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled> {
        let ones = coupons.iter().map(|coupon| self.store.reconcile_one(day, coupon));
        let ones: Vec<Reconciled> = bounded_join(RECONCILED_AT_ONCE, ones).await?;
        Ok(ones.into_iter().fold(Reconciled::default(), Reconciled::and))
    }

    async fn pass_over_serials(&self) -> Result<()> {
        let store = &self.store;
        let later = |floor: Option<u64>| Some(floor.unwrap_or(0) + SERIAL_GAP);
        store.session.change_number(store.attempts("a setting"), SERIAL_FLOOR, later).await?;
        for plan in store.plans().await? {
            let day = date(plan.day());
            let cql = "SELECT next_serial FROM minted_run WHERE expiry_day = ? LIMIT 1";
            let next: Option<i64> = store.session.value(cql, (day,)).await?;
            let Some(next) = next else { continue };
            let cql =
                "UPDATE minted_run SET next_serial = ? WHERE expiry_day = ? IF next_serial = ?";
            let after = next.saturating_add(signed(SERIAL_GAP));
            // Refused: another process mints during a restore, which none should do.
            let values = (after, day, next);
            store.session.change(StatementProfile::Change, cql, values).await?.known()?;
        }
        Ok(())
    }

    async fn cold_mark(&self) -> Result<ColdMark> {
        Ok(ColdMark {
            begun: self.store.session.setting_number(COLD_BEGUN).await?,
            committed: self.store.session.setting_number(COLD_COMMITTED).await?,
        })
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()> {
        // Begun first: a crash in between must not leave a commit that was never begun.
        for (name, new) in [(COLD_BEGUN, mark.begun), (COLD_COMMITTED, mark.committed)] {
            if let Some(new) = new {
                self.store.raise_setting(name, new).await?;
            }
        }
        Ok(())
    }
}

pub(crate) fn partition_plan(plan: &PlanRow) -> PartitionPlan {
    PartitionPlan {
        day: plan.day(),
        seal_after: plan.seal_after(),
        sealed: plan.is_sealed(),
        archive_commit: plan.archive_commit(),
        emptied: plan.is_emptied(),
    }
}
