//! Closed coupons of open partitions: how many wait to be archived, and which ones.

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::ClosedPartition;
use hot::protocol::{closed_until, is_closed};
use rusqlite::{Result as SqlResult, params};

use crate::closed_index::{DayBatch, next_part};
use crate::columns::{parsed, signed};
use crate::coupons::row_of;
use crate::rows::state_number;
use crate::txn::Txn;

/// The closed coupons of a batch in a partition, in two ranges of one index: void, and redeemed.
struct ClosedRange {
    day: Day,
    batch: i64,
    /// Redeemed then or before.
    until: Millis,
    cancel_days: u16,
}

fn next_range(txn: &Txn<'_>, after: DayBatch, now: Millis) -> SqlResult<Option<ClosedRange>> {
    let Some((day, batch)) = next_part(txn, after)? else { return Ok(None) };
    let cancel_days = txn.campaign_at(txn.batch_at(batch)?.campaign)?.terms.cancel_days;
    let until = closed_until(cancel_days, now);
    Ok(Some(ClosedRange { day, batch, until, cancel_days }))
}

impl ClosedRange {
    fn count(&self, txn: &Txn<'_>, enough: u64) -> SqlResult<u64> {
        let counted: i64 = txn.one(
            "SELECT count(*) FROM (SELECT 1 FROM coupon INDEXED BY coupon_closed \
             WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = 3 \
             UNION ALL SELECT 1 FROM coupon INDEXED BY coupon_closed \
             WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = 2 \
             AND ended_at <= ?3 LIMIT ?4)",
            params![self.day.0, self.batch, self.until.0, signed(enough)],
        )?;
        Ok(counted.unsigned_abs())
    }

    fn since(&self, txn: &Txn<'_>) -> SqlResult<Option<Millis>> {
        let first = |state: &str| {
            txn.first(
                "SELECT ended_at FROM coupon INDEXED BY coupon_closed \
                 WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = ?3 \
                 ORDER BY ended_at LIMIT 1",
                params![self.day.0, self.batch, state_number(state)],
                |row| row.get(0).map(Millis),
            )
        };
        let redeemed = first("redeemed")?.filter(|at| *at <= self.until);
        let redeemed = redeemed.map(|at| at.plus_days(self.cancel_days));
        Ok(first("void")?.into_iter().chain(redeemed).min())
    }
}

pub(super) fn closed_partitions(
    txn: &Txn<'_>,
    now: Millis,
    enough: u64,
) -> SqlResult<Vec<ClosedPartition>> {
    let mut partitions: Vec<ClosedPartition> = Vec::new();
    let mut after = (Day(i32::MIN), i64::MIN);
    while let Some(range) = next_range(txn, after, now)? {
        after = (range.day, range.batch);
        if txn.is_sealed(range.day)? {
            continue;
        }
        let Some(since) = range.since(txn)? else { continue };
        match partitions.last_mut().filter(|partition| partition.day == range.day) {
            Some(partition) => {
                partition.since = partition.since.min(since);
                if partition.waiting < enough {
                    partition.waiting += range.count(txn, enough - partition.waiting)?;
                }
            }
            None => {
                let waiting = range.count(txn, enough)?;
                partitions.push(ClosedPartition { day: range.day, waiting, since });
            }
        }
    }
    Ok(partitions)
}

pub(super) fn closed_codes(
    txn: &Txn<'_>,
    day: Day,
    now: Millis,
    limit: usize,
) -> SqlResult<Vec<Code>> {
    let (mut codes, mut after) = (Vec::new(), (day, i64::MIN));
    while let Some(range) = next_range(txn, after, now)?.filter(|range| range.day == day) {
        after = (range.day, range.batch);
        let left = limit.saturating_sub(codes.len());
        codes.extend(txn.all(
            "SELECT code FROM coupon INDEXED BY coupon_closed \
             WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = 3 \
             UNION ALL SELECT code FROM coupon INDEXED BY coupon_closed \
             WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = 2 \
             AND ended_at <= ?3 LIMIT ?4",
            params![day.0, range.batch, range.until.0, left as i64],
            |row| parsed::<Code>(row, 0),
        )?);
    }
    codes.sort_unstable();
    Ok(codes)
}

/// The coupons of `codes` that have a row in the partition and are redeemed or void; with `now`,
/// only those that are closed by then.
pub(super) fn coupons_of(
    txn: &Txn<'_>,
    day: Day,
    codes: &[Code],
    now: Option<Millis>,
) -> SqlResult<Vec<Coupon>> {
    let mut coupons = Vec::with_capacity(codes.len());
    for code in codes {
        let Some(located) = row_of(txn, day, code)? else { continue };
        if is_closed(&located.coupon, located.terms().cancel_days, now) {
            coupons.push(located.coupon);
        }
    }
    Ok(coupons)
}
