//! The queues of closed coupons, written after the coupons and in groups.
//!
//! An entry that is missing delays the move to cold and does no other harm.

use std::collections::BTreeMap;
use std::sync::Mutex;

use coupon::code::Code;
use coupon::time::{Day, Millis};
use hot::Tier;
use hot::protocol::closed_at;

use super::ROWS_AT_ONCE;
use crate::CqlStore;
use crate::coupons::CqlCoupon;
use crate::spread::SpreadKey;
use crate::values::{date, instant};
use cql_session::Result;

#[derive(Default)]
pub(crate) struct PendingClosed(Mutex<BTreeMap<Day, Vec<(Millis, Code)>>>);

impl PendingClosed {
    fn put(&self, day: Day, at: Millis, code: Code) {
        if let Ok(mut all) = self.0.lock() {
            all.entry(day).or_default().push((at, code));
        }
    }

    fn take(&self) -> BTreeMap<Day, Vec<(Millis, Code)>> {
        self.0.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
    }
}

impl CqlStore {
    /// After a change: remembers a closed coupon, so that it is queued for the move to cold.
    pub(crate) fn is_closed(&self, located: &CqlCoupon) {
        let cancel_days = located.terms().cancel_days;
        if located.tier == Tier::Hot
            && let Some((at, _)) = closed_at(&located.coupon, cancel_days)
        {
            // An import may say what happened long ago: the queue may have been read beyond that
            // instant.
            let at = at.max(located.coupon.modified_at());
            self.closed.put(located.day, at, located.coupon.code().clone());
        }
    }

    pub(crate) async fn write_closed(&self) {
        // A caller that reads the queues waits for what is being written into them.
        let _alone = self.queueing.lock().await;
        for (day, coupons) in self.closed.take() {
            if let Err(error) = self.queue_closed(day, &coupons).await {
                tracing::debug!(error = %error, "closed coupons could not be queued");
                // By the next try the queue may have been read beyond the instant since which they are closed.
                let now = Millis(self.session.now_ms());
                coupons.into_iter().for_each(|(at, code)| self.closed.put(day, at.max(now), code));
            }
        }
    }

    async fn queue_closed(&self, day: Day, coupons: &[(Millis, Code)]) -> Result<()> {
        // Without a plan the partition has no row, and nothing to move.
        let Some(bits) = self.bits(day).await? else { return Ok(()) };
        let spread = SpreadKey::Closed { day, bucket_bits: bits };
        let level = self.level_to_write(&spread, coupons.len() as u64).await?;
        let mut queues: BTreeMap<i32, Vec<&(Millis, Code)>> = BTreeMap::new();
        for closed in coupons {
            queues.entry(spread.partition(level, &closed.1)).or_default().push(closed);
        }
        let cql = "INSERT INTO closed (expiry_day, shard, closed_at, code) VALUES (?, ?, ?, ?)";
        for (queue, coupons) in queues {
            for some in coupons.chunks(ROWS_AT_ONCE) {
                let rows = some.iter();
                let rows = rows.map(|(at, code)| (date(day), queue, instant(*at), code.as_str()));
                self.session.write_all(cql, rows.collect()).await?;
            }
        }
        Ok(())
    }
}
