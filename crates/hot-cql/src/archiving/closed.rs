//! Finds the closed coupons of a partition in the queues, and checks each against its row.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::protocol::{closed_at, is_closed};
use hot::{ClosedPartition, HotError, bounded_join};
use scylla::value::CqlTimestamp;

use super::AT_ONCE;
use crate::CqlStore;
use crate::coupon_row::CouponRow;
use crate::spread::SpreadKey;
use crate::values::{date, instant, millis, parsed};
use cql_session::{Result, StatementProfile};

/// By this long after it was due an entry of a queue is written: its writer has given up by then.
const QUEUED_MS: i64 = 30_000;

/// Coupons that are read of a queue beyond its part: small parts are uneven.
pub(super) const QUEUED_MORE: u64 = 64;

/// Closed coupons that were found so far in all queues of a partition, which may have thousands.
pub(super) struct ClosedCount {
    pub(super) codes: AtomicU64,
    pub(super) enough: u64,
}

impl ClosedCount {
    fn is_enough(&self) -> bool {
        self.codes.load(Ordering::Relaxed) >= self.enough
    }
}

impl CqlStore {
    pub(super) async fn closed_partition(
        &self,
        day: Day,
        now: Millis,
        enough: u64,
    ) -> Result<Option<ClosedPartition>> {
        let Some(bits) = self.bits(day).await? else { return Ok(None) };
        let queues = self.cql_partitions(&SpreadKey::Closed { day, bucket_bits: bits }).await?;
        let all = ClosedCount { codes: AtomicU64::new(0), enough };
        let reads = queues.into_iter().map(|queue| self.closed_in(day, queue, now, enough, &all));
        let found: Vec<Vec<(Code, Millis)>> = bounded_join(AT_ONCE, reads).await?;
        let waiting = (found.iter().flatten().count() as u64).min(enough);
        let first = found.iter().flatten().map(|(_, since)| *since).min();
        Ok(first.map(|since| ClosedPartition { day, waiting, since }))
    }

    /// Up to `limit` closed coupons of one queue, with the instant since which each is final. Stops
    /// when `all` queues together have enough.
    pub(super) async fn closed_in(
        &self,
        day: Day,
        queue: i32,
        now: Millis,
        limit: u64,
        all: &ClosedCount,
    ) -> Result<Vec<(Code, Millis)>> {
        if all.is_enough() {
            return Ok(Vec::new());
        }
        let cql = "SELECT done_until FROM closed WHERE expiry_day = ? AND shard = ? LIMIT 1";
        let done: Option<CqlTimestamp> = self.session.value(cql, (date(day), queue)).await?;
        let done = done.map_or(Millis(i64::MIN / 4), millis);
        let slice = i32::try_from(limit).unwrap_or(i32::MAX).clamp(16, 500);
        let (mut found, mut after, mut is_first) = (Vec::new(), (done, String::new()), true);
        let mut known = HashSet::new();
        loop {
            let cql = "SELECT closed_at, code FROM closed WHERE expiry_day = ? AND shard = ? \
                       AND (closed_at, code) > (?, ?) AND (closed_at, code) < (?, ?) LIMIT ?";
            let (at, code) = (instant(after.0), after.1.as_str());
            // ScyllaDB takes no limit of one column beside one of two: before the first code of
            // the next millisecond is up to `now`.
            let end = (instant(now.plus_ms(1)), "");
            let values = (date(day), queue, at, code, end.0, end.1, slice);
            let rows: Vec<(CqlTimestamp, String)> =
                self.session.rows(StatementProfile::Bulk, cql, values).await?;
            let Some((at, code)) = rows.last() else { break };
            after = (millis(*at), code.clone());
            let looks = rows.iter().map(|(_, code)| async move {
                let code: Code = parsed("closed.code", code)?;
                if self.gone.lock().contains(&(day, code.clone())) {
                    return Ok(None);
                }
                let closed = self.final_since(day, &code, now).await?;
                Ok::<_, HotError>(closed.map(|since| (code, since)))
            });
            let looks: Vec<Option<(Code, Millis)>> = bounded_join(AT_ONCE, looks).await?;
            if is_first && looks.iter().all(Option::is_none) && after.0 < now.plus_ms(-QUEUED_MS) {
                // Each of them is archived, or was cancelled and is queued again when it is due.
                let cql = "UPDATE closed SET done_until = ? WHERE expiry_day = ? AND shard = ?";
                // A millisecond less: the slice may have ended between two codes of one instant.
                let values = (instant(after.0.plus_ms(-1)), date(day), queue);
                self.session.write(cql, values).await?;
            } else {
                is_first = false;
            }
            // A coupon that was cancelled and redeemed again is queued twice.
            let before = found.len();
            found.extend(looks.into_iter().flatten().filter(|one| known.insert(one.0.clone())));
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            all.codes.fetch_add((found.len() - before) as u64, Ordering::Relaxed);
            if found.len() as u64 >= limit || all.is_enough() {
                break;
            }
        }
        Ok(found)
    }

    /// `None` if the coupon is not final, or not here.
    async fn final_since(&self, day: Day, code: &Code, now: Millis) -> Result<Option<Millis>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
        let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
        // A sealed bucket is emptied as a whole, and refuses an archived marker.
        let Some(row) = row.filter(|row| row.is_coupon() && !row.is_sealed()) else {
            return Ok(None);
        };
        let located = self.located(&row).await?;
        let (coupon, cancel_days) = (&located.coupon, located.terms().cancel_days);
        let closed = closed_at(coupon, cancel_days);
        Ok(closed.filter(|_| is_closed(coupon, cancel_days, Some(now))).map(|(_, since)| since))
    }

    /// The coupons of `codes` with a row in this partition that is redeemed or void; with `now`
    /// only those that are final by then.
    pub(super) async fn final_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Option<Millis>,
    ) -> Result<Vec<Coupon>> {
        let looks = codes.iter().map(|code| async move {
            let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
            let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
            let Some(row) = row.filter(CouponRow::is_coupon) else { return Ok(None) };
            let located = self.located(&row).await?;
            let is_closed = is_closed(&located.coupon, located.terms().cancel_days, now);
            Ok::<_, HotError>(is_closed.then_some(located.coupon))
        });
        let found: Vec<Option<Coupon>> = bounded_join(AT_ONCE, looks).await?;
        Ok(found.into_iter().flatten().collect())
    }
}
