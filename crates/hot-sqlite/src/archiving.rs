//! Archiving: the plans of partitions that move to cold, their seals, and their archive commits.

mod closed;
mod deleting;
mod removal;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};
use hot::audit::{Act, AuditEvent, AuditKind, given};
use hot::settings::{COLD_BEGUN, COLD_COMMITTED};
use hot::{ClosedPartition, ColdMark, Emptying, PartitionPlan, Partitions, Reconciled, Residue};
use rusqlite::{Result as SqlResult, Row, params};

use crate::columns::{signed, unsigned};
use crate::coupons::{number_of, row_at};
use crate::day_order::{OfCode, PartitionEntry, count_rows};
use crate::failure::damaged;
use crate::txn::Txn;
use crate::{Result, SqliteHot, partitions, reconcile, settings};

/// Coupons that one transaction evicts: some 5 ms, so that other writers do not wait long.
const EVICT_MAX: usize = 200;

/// Pages that one transaction gives back to the disk.
const SHRINK_PAGES: i64 = 100;

/// Fewest free pages that are kept for new rows: 2 MiB. Of a larger file an eighth is kept.
const FREE_PAGES_KEPT: u64 = 512;

macro_rules! select_plan {
    ($rest:literal) => {
        concat!(
            "SELECT expiry_day, seal_after, sealed, archive_commit, emptied FROM partition_plan ",
            $rest
        )
    };
}

#[async_trait]
impl Partitions for SqliteHot {
    async fn partitions(&self) -> Result<Vec<PartitionPlan>> {
        let sql = select_plan!("WHERE emptied = 0 ORDER BY expiry_day");
        self.readers.run(move |txn| txn.all(sql, [], partitions::plan)).await
    }

    async fn partition(&self, day: Day) -> Result<Option<PartitionPlan>> {
        self.readers.run(move |txn| plan_of(txn, day)).await
    }

    async fn archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        let sql = "SELECT expiry_day, archive_commit FROM partition_plan WHERE archive_commit > 0";
        let read = |row: &Row<'_>| Ok((Day(row.get(0)?), unsigned(row, 1)?));
        self.readers.run(move |txn| txn.all(sql, [], read)).await
    }

    async fn closed(&self, now: Millis, enough: u64) -> Result<Vec<ClosedPartition>> {
        self.readers.run(move |txn| closed::closed_partitions(txn, now, enough)).await
    }

    async fn count(&self, day: Day) -> Result<u64> {
        let count = move |txn: &Txn<'_>| {
            let sql = "SELECT count(*) FROM archived_marker WHERE expiry_day = ?1";
            Ok(count_rows(txn, day)? + txn.one::<i64>(sql, [day.0])?.unsigned_abs())
        };
        self.readers.run(count).await
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
        for some in copied.chunks(EVICT_MAX) {
            let some = some.to_vec();
            evicted += self.background_write(move |txn| evict(txn, day, &some)).await?;
        }
        Ok(evicted)
    }

    async fn seal(&self, day: Day, now: Millis) -> Result<bool> {
        // Both flags at once: in one transaction no write comes between closing and the seal.
        let seal = move |txn: &Txn<'_>| {
            txn.run(
                "UPDATE partition_plan SET closing = 1, sealed = 1 \
                 WHERE expiry_day = ?1 AND seal_after < ?2 AND sealed = 0",
                params![day.0, now.0],
            )?;
            txn.forget_terms();
            txn.is_sealed(day)
        };
        self.writer.run(seal).await
    }

    async fn residue(&self, day: Day, after: Option<Code>, limit: usize) -> Result<Vec<Residue>> {
        let after = after.as_ref().map_or("", Code::as_str);
        self.by_code(day, after, limit, residue).await
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
        let finish = move |txn: &Txn<'_>| {
            let before = plan_of(txn, day)?;
            txn.run(
                "UPDATE partition_plan SET archive_commit = max(archive_commit, ?2), \
                 emptied = max(emptied, ?3) WHERE expiry_day = ?1",
                params![day.0, signed(archive_commit), emptied.is_some()],
            )?;
            match (emptied, before) {
                (Some(at), Some(plan)) if !plan.emptied => {
                    let changes = vec![given("expiry_day", day)];
                    let event = AuditEvent::of_store(AuditKind::DayArchived, changes);
                    txn.audit(&Act::of_system("compact", at), &event)
                }
                _ => Ok(()),
            }
        };
        self.writer.run(finish).await
    }

    async fn are_over(&self, campaigns: Vec<CampaignId>, before: Millis) -> Result<bool> {
        let are_over = move |txn: &Txn<'_>| {
            for id in &campaigns {
                let Some(campaign) = txn.campaign(id)? else { continue };
                if campaign.terms.expires_at >= before {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        self.readers.run(are_over).await
    }

    async fn delete_days(&self, days: &BTreeSet<Day>) -> Result<()> {
        deleting::delete(self, days).await
    }

    async fn deleted_days(&self) -> Result<Option<BTreeSet<Day>>> {
        let sql = "SELECT expiry_day FROM partition_plan WHERE sealed = 2";
        let days = self.readers.run(move |txn| txn.all(sql, [], |row| row.get(0).map(Day))).await?;
        Ok(Some(days.into_iter().collect()))
    }

    async fn shrink(&self) -> Result<bool> {
        let has_room = |txn: &Txn<'_>| {
            let free = txn.pragma("freelist_count")?;
            Ok(free > FREE_PAGES_KEPT && free > txn.pragma("page_count")? / 8)
        };
        if !self.readers.run(has_room).await? {
            return Ok(false);
        }
        let give_back = |txn: &Txn<'_>| {
            let before = txn.pragma("freelist_count")?;
            let sql = format!("PRAGMA incremental_vacuum({SHRINK_PAGES})");
            let mut statement = txn.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            // A file that another tool has rebuilt may not be able to.
            Ok(txn.pragma("freelist_count")? < before)
        };
        self.background_write(give_back).await
    }

    async fn reconcile(&self, day: Day, coupons: Vec<Coupon>) -> Result<Reconciled> {
        let mut all = Reconciled::default();
        for some in coupons.chunks(reconcile::RECONCILE_MAX) {
            let (keys, some) = (self.keys.current(), some.to_vec());
            let here = self.writer.run(move |txn| reconcile::coupons(txn, &keys, day, &some));
            all = all.and(here.await?);
        }
        Ok(all)
    }

    async fn pass_over_serials(&self) -> Result<()> {
        self.writer.run(reconcile::pass_over_serials).await
    }

    async fn cold_mark(&self) -> Result<ColdMark> {
        self.readers.run(cold_mark).await
    }

    async fn raise_cold_mark(&self, mark: ColdMark) -> Result<()> {
        let raise = move |txn: &Txn<'_>| {
            let here = cold_mark(txn)?;
            let marks = [
                (COLD_BEGUN, here.begun, mark.begun),
                (COLD_COMMITTED, here.committed, mark.committed),
            ];
            for (name, here, new) in marks {
                if let Some(new) = new.filter(|new| here < Some(*new)) {
                    settings::set(txn, name, &new.to_string())?;
                }
            }
            Ok(())
        };
        self.writer.run(raise).await
    }
}

fn plan_of(txn: &Txn<'_>, day: Day) -> SqlResult<Option<PartitionPlan>> {
    txn.first(select_plan!("WHERE expiry_day = ?1"), [day.0], partitions::plan)
}

/// Evicts the coupons that still have the version that was copied. Returns how many.
fn evict(txn: &Txn<'_>, day: Day, copied: &[(Code, u64)]) -> SqlResult<u64> {
    let mut evicted = 0;
    if txn.is_sealed(day)? {
        // The removal of the whole partition takes them.
        return Ok(evicted);
    }
    for (code, version) in copied {
        let Some(number) = number_of(txn, code)? else { continue };
        let which = "number = ?1 AND code = ?2 AND expiry_day = ?3 AND version = ?4 AND state >= 2";
        let asked = params![number.number(), code.as_str(), day.0, signed(*version)];
        if removal::remove_rows(txn, which, asked)? > 0 {
            partitions::mark_archived(txn, day, code, *version)?;
            evicted += 1;
        }
    }
    Ok(evicted)
}

fn cold_mark(txn: &Txn<'_>) -> SqlResult<ColdMark> {
    let (begun, committed) = (txn.setting_number(COLD_BEGUN)?, txn.setting_number(COLD_COMMITTED)?);
    Ok(ColdMark { begun, committed })
}

/// Reads rows in the order of the table, where codes are random, so that it reads each page once.
fn residue(txn: &Txn<'_>, day: Day, page: &[OfCode]) -> SqlResult<Vec<Residue>> {
    let mut all: Vec<Option<Residue>> = page.iter().map(|_| None).collect();
    let mut order: Vec<(i64, usize)> = Vec::new();
    for (at, (code, found)) in page.iter().enumerate() {
        match *found {
            PartitionEntry::Row(number) => order.push((number, at)),
            PartitionEntry::ArchivedMarker(version) => {
                let code = code.parse().map_err(|why| damaged("code", why))?;
                all[at] = Some(Residue::ArchivedMarker { code, version });
            }
        }
    }
    order.sort_unstable();
    for (number, at) in order {
        // A damaged row must not become final.
        let located = row_at(txn, number)?.filter(|it| it.day == day);
        let is_same = |coupon: &Coupon| coupon.code().as_str() == page[at].0;
        let coupon = located.map(|located| located.coupon).filter(is_same);
        all[at] = coupon.map(|coupon| Residue::Coupon(Box::new(coupon)));
    }
    Ok(all.into_iter().flatten().collect())
}
