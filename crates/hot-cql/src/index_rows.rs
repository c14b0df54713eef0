//! Index rows: where to look for the coupons of a holder and for those that expire.
//!
//! They are written before the coupon's row. A crash leaves one too many, never one too few. The queues of closed
//! coupons are written after the coupons and in groups: an entry that is missing delays the move to cold and does no
//! other harm.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};
use hot::protocol::closed_at;
use hot::{Tier, bounded_join};

use crate::CqlStore;
use crate::coupons::CqlCoupon;
use crate::spread::SpreadKey;
use crate::values::{date, instant, signed, tie};
use cql_session::Result;

/// Rows of one write to one CQL partition.
const ROWS_AT_ONCE: usize = 50;

const BUCKETS_AT_ONCE: usize = 16;

impl CqlStore {
    pub(crate) async fn write_wallet(&self, coupon: &Coupon, day: Day) -> Result<()> {
        let Some(user) = coupon.holder() else { return Ok(()) };
        let cql = "INSERT INTO wallet (user_id, expires_at, tie, code, expiry_day) \
                   VALUES (?, ?, ?, ?, ?)";
        let (code, at) = (coupon.code(), instant(coupon.expires_at()));
        let values = (user.as_str(), at, signed(tie(code)), code.as_str(), date(day));
        self.session.write(cql, values).await
    }

    pub(crate) async fn has_expiring(&self, coupon: &Coupon) -> Result<bool> {
        let (code, at) = (coupon.code(), coupon.expires_at());
        let spread = SpreadKey::Expiring { on: Day::expiry_day_of(at) };
        for partition in self.cql_partitions_of(&spread, code).await? {
            if self.is_expiring_in(partition, at, signed(tie(code)), code).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_expiring_in(
        &self,
        partition: i32,
        expires_at: Millis,
        tie: i64,
        code: &Code,
    ) -> Result<bool> {
        let cql = "SELECT code FROM expiring WHERE expires_on = ? AND shard = ? \
                   AND expires_at = ? AND tie = ? AND code = ?";
        let on = Day::expiry_day_of(expires_at);
        let values = (date(on), partition, instant(expires_at), tie, code.as_str());
        self.session.has(cql, values).await
    }

    /// The CQL partitions from which the `expiring` row of a coupon is to be deleted. If it may be
    /// in several, only those that have it: a delete leaves a tombstone even without a row.
    pub(crate) async fn expiring_partitions(
        &self,
        expires_at: Millis,
        tie: i64,
        code: &Code,
    ) -> Result<Vec<i32>> {
        let spread = SpreadKey::Expiring { on: Day::expiry_day_of(expires_at) };
        let partitions = self.cql_partitions_of(&spread, code).await?;
        if partitions.len() == 1 {
            return Ok(partitions);
        }
        let mut with_row = Vec::new();
        for partition in partitions {
            if self.is_expiring_in(partition, expires_at, tie, code).await? {
                with_row.push(partition);
            }
        }
        Ok(with_row)
    }

    /// Writes that coupons of a campaign may expire on a day; once for each process.
    async fn write_campaign_day(&self, campaign: &str, on: Day) -> Result<()> {
        let known = (campaign.to_owned(), on);
        if self.campaign_days.read().contains(&known) {
            return Ok(());
        }
        let cql = "INSERT INTO campaign_day (campaign_id, expires_on) VALUES (?, ?)";
        self.session.write(cql, (campaign, date(on))).await?;
        // After the write: from now on this process skips it.
        self.campaign_days.write().insert(known);
        Ok(())
    }

    /// Deletes the index rows of a coupon that has no row in hot any more.
    pub(crate) async fn remove_index_rows(
        &self,
        holder: Option<&str>,
        expires_at: Millis,
        code: &Code,
    ) -> Result<()> {
        let wallet = async {
            let Some(holder) = holder else { return Ok(()) };
            let cql = "DELETE FROM wallet WHERE user_id = ? AND expires_at = ? AND tie = ? \
                       AND code = ?";
            let values = (holder, instant(expires_at), signed(tie(code)), code.as_str());
            self.session.write(cql, values).await
        };
        let expiring = async {
            let cql = "DELETE FROM expiring WHERE expires_on = ? AND shard = ? AND expires_at = ? \
                       AND tie = ? AND code = ?";
            let on = Day::expiry_day_of(expires_at);
            let (at, tie) = (instant(expires_at), signed(tie(code)));
            for partition in self.expiring_partitions(expires_at, tie, code).await? {
                self.session.write(cql, (date(on), partition, at, tie, code.as_str())).await?;
            }
            Result::<()>::Ok(())
        };
        let (wallet, expiring) = tokio::join!(wallet, expiring);
        wallet.and(expiring)
    }

    /// Writes the index rows by expiry of coupons, one CQL partition at a time; counts them.
    pub(crate) async fn write_expiring(
        &self,
        campaign: &str,
        coupons: &[(&Coupon, Day)],
    ) -> Result<()> {
        let mut rows_by_partition: BTreeMap<(Day, i32), Vec<(&Coupon, Day)>> = BTreeMap::new();
        for (coupon, day) in coupons {
            let on = Day::expiry_day_of(coupon.expires_at());
            // Before the row: a list of a campaign reads only the days that are written here.
            self.write_campaign_day(campaign, on).await?;
            let spread = SpreadKey::Expiring { on };
            let level = self.level_to_write(&spread, 1).await?;
            let key = (on, spread.partition(level, coupon.code()));
            rows_by_partition.entry(key).or_default().push((coupon, *day));
        }
        let cql = "INSERT INTO expiring (expires_on, shard, expires_at, tie, code, expiry_day, \
                   campaign_id) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let mut writes = Vec::new();
        for ((on, partition), coupons) in &rows_by_partition {
            for some in coupons.chunks(ROWS_AT_ONCE) {
                let rows = some.iter().map(|(coupon, day)| {
                    let code = coupon.code();
                    let (at, tie) = (instant(coupon.expires_at()), signed(tie(code)));
                    (date(*on), *partition, at, tie, code.as_str(), date(*day), campaign)
                });
                writes.push(self.session.write_all(cql, rows.collect()));
            }
        }
        bounded_join(BUCKETS_AT_ONCE, writes).await.map(drop)
    }

    /// After a change: remembers a closed coupon, so that it is queued for the move to cold.
    pub(crate) fn is_closed(&self, located: &CqlCoupon) {
        let cancel_days = located.terms().cancel_days;
        if located.tier == Tier::Hot
            && let Some((at, _)) = closed_at(&located.coupon, cancel_days)
        {
            // An import may say what happened long ago: the queue may have been read beyond that
            // instant.
            let at = at.max(located.coupon.modified_at());
            let closed = (at, located.coupon.code().clone());
            self.closed.lock().entry(located.day).or_default().push(closed);
        }
    }

    pub(crate) async fn write_closed(&self) {
        // A caller that reads the queues waits for what is being written into them.
        let _alone = self.queueing.lock().await;
        let closed = std::mem::take(&mut *self.closed.lock());
        for (day, coupons) in closed {
            if let Err(error) = self.queue_closed(day, &coupons).await {
                tracing::debug!(error = %error, "closed coupons could not be queued");
                // By the next try the queue may have been read beyond the instant since which they are closed.
                let now = Millis(self.session.now_ms());
                let again = coupons.into_iter().map(|(at, code)| (at.max(now), code));
                self.closed.lock().entry(day).or_default().extend(again);
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
