//! Index rows: where to look for coupons that somebody may hold, that may expire, that may be
//! closed.
//!
//! Wallet and expiry are written before the truth, the closed queue after it and in groups: one
//! that is missing there delays a move to cold, no more.

use std::collections::BTreeMap;
use std::sync::Mutex;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};

use super::Store;
use super::bounded_join::bounded_join;
use super::coupons::Located;
use super::session::{Result, StatementProfile};
use super::spread::Spread;
use super::values::{date, instant, signed, tie};
use hot::Tier;
use hot::protocol::closed_at;

/// Rows of one write to one partition.
const ROWS_AT_ONCE: usize = 50;

/// Partitions that are written to at a time.
const BUCKETS_AT_ONCE: usize = 16;

/// Closed coupons that are not yet in their queue.
#[derive(Default)]
pub(super) struct Closed(Mutex<BTreeMap<Day, Vec<(Millis, Code)>>>);

impl Closed {
    fn put(&self, day: Day, at: Millis, code: Code) {
        if let Ok(mut all) = self.0.lock() {
            all.entry(day).or_default().push((at, code));
        }
    }

    fn take(&self) -> BTreeMap<Day, Vec<(Millis, Code)>> {
        self.0.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default()
    }
}

impl Store {
    pub(super) async fn write_wallet(
        &self,
        user: &UserId,
        coupon: &Coupon,
        day: Day,
    ) -> Result<()> {
        let cql = "INSERT INTO wallet (user_id, expires_at, tie, code, expiry_day) \
                   VALUES (?, ?, ?, ?, ?)";
        let code = coupon.code();
        let values = (
            user.as_str(),
            instant(coupon.expires_at()),
            signed(tie(code)),
            code.as_str(),
            date(day),
        );
        self.cluster.write(cql, values).await
    }

    pub(super) async fn write_expiring(
        &self,
        campaign: &str,
        coupon: &Coupon,
        day: Day,
    ) -> Result<()> {
        self.write_campaign_day(campaign, coupon).await?;
        let cql = "INSERT INTO expiring (expires_on, shard, expires_at, tie, code, expiry_day, \
                   campaign_id) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (code, on) = (coupon.code(), Day::expiry_day_of(coupon.expires_at()));
        let level = self.level_to_write(Spread::Expiring, on, 1).await?;
        let values = (
            date(on),
            Spread::Expiring.partition(level, code),
            instant(coupon.expires_at()),
            signed(tie(code)),
            code.as_str(),
            date(day),
            campaign,
        );
        self.cluster.write(cql, values).await
    }

    /// Whether a coupon is found by its expiry.
    pub(super) async fn has_expiring(&self, coupon: &Coupon) -> Result<bool> {
        let (code, at) = (coupon.code(), coupon.expires_at());
        for partition in self.partitions_of(Spread::Expiring, Day::expiry_day_of(at), code).await? {
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
        let row: Option<(String,)> = self.cluster.row(StatementProfile::Read, cql, values).await?;
        Ok(row.is_some())
    }

    /// The partitions from which the `expiring` row of a coupon is to be deleted. Where it may be
    /// in several, only those that have it: a delete leaves a tombstone also where no row is.
    pub(super) async fn expiring_partitions(
        &self,
        expires_at: Millis,
        tie: i64,
        code: &Code,
    ) -> Result<Vec<i32>> {
        let on = Day::expiry_day_of(expires_at);
        let partitions = self.partitions_of(Spread::Expiring, on, code).await?;
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

    /// That coupons of a campaign may expire on this one's day; once for each process.
    async fn write_campaign_day(&self, campaign: &str, coupon: &Coupon) -> Result<()> {
        let on = Day::expiry_day_of(coupon.expires_at());
        let known = (campaign.to_owned(), on);
        if self.campaign_days.read().is_ok_and(|all| all.contains(&known)) {
            return Ok(());
        }
        let cql = "INSERT INTO campaign_day (campaign_id, expires_on) VALUES (?, ?)";
        self.cluster.write(cql, (campaign, date(on))).await?;
        if let Ok(mut all) = self.campaign_days.write() {
            all.insert(known);
        }
        Ok(())
    }

    /// Removes the index rows of a coupon that has no row here any more.
    pub(super) async fn remove_index_rows(
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
            self.cluster.write(cql, values).await
        };
        let expiring = async {
            let cql = "DELETE FROM expiring WHERE expires_on = ? AND shard = ? AND expires_at = ? \
                       AND tie = ? AND code = ?";
            let on = Day::expiry_day_of(expires_at);
            let (at, tie) = (instant(expires_at), signed(tie(code)));
            for partition in self.expiring_partitions(expires_at, tie, code).await? {
                self.cluster.write(cql, (date(on), partition, at, tie, code.as_str())).await?;
            }
            Result::<()>::Ok(())
        };
        let (wallet, expiring) = tokio::join!(wallet, expiring);
        wallet.and(expiring)
    }

    /// After a change: whether the coupon can be moved to cold one day, unless it is cancelled.
    pub(super) fn is_closed(&self, located: &Located) {
        let cancel_days = located.terms().cancel_days;
        if located.tier == Tier::Hot
            && let Some((at, _)) = closed_at(&located.coupon, cancel_days)
        {
            // An import tells of what is long past: its queue may have been seen to until then.
            let at = at.max(located.coupon.modified_at());
            self.closed.put(located.day, at, located.coupon.code().clone());
        }
    }

    /// Puts closed coupons into their queues.
    pub(super) async fn write_closed(&self) {
        // Whoever asks for the queues waits for what is being put into them.
        let _alone = self.queueing.lock().await;
        for (day, coupons) in self.closed.take() {
            if let Err(error) = self.queue_closed(day, &coupons).await {
                tracing::debug!(error = %error, "closed coupons could not be queued");
                for (at, code) in coupons {
                    self.closed.put(day, at, code);
                }
            }
        }
    }

    async fn queue_closed(&self, day: Day, coupons: &[(Millis, Code)]) -> Result<()> {
        // Without a plan there is no row of that day, and nothing to move.
        let Some(bits) = self.bits(day).await? else { return Ok(()) };
        let spread = Spread::Closed { bucket_bits: bits };
        let level = self.level_to_write(spread, day, coupons.len() as u64).await?;
        let mut queues: BTreeMap<i32, Vec<&(Millis, Code)>> = BTreeMap::new();
        for closed in coupons {
            queues.entry(spread.partition(level, &closed.1)).or_default().push(closed);
        }
        let cql = "INSERT INTO closed (expiry_day, shard, closed_at, code) VALUES (?, ?, ?, ?)";
        for (shard, coupons) in queues {
            for some in coupons.chunks(ROWS_AT_ONCE) {
                let rows = some.iter();
                let rows = rows.map(|(at, code)| (date(day), shard, instant(*at), code.as_str()));
                self.cluster.write_all(cql, rows.collect()).await?;
            }
        }
        Ok(())
    }

    /// That these coupons may expire: the index rows of many, a partition at a time.
    pub(super) async fn write_expiring_all(
        &self,
        campaign: &str,
        coupons: &[(&Coupon, Day)],
    ) -> Result<()> {
        let mut shards: BTreeMap<(Day, i32), Vec<(&Coupon, Day)>> = BTreeMap::new();
        for (coupon, day) in coupons {
            self.write_campaign_day(campaign, coupon).await?;
            let on = Day::expiry_day_of(coupon.expires_at());
            let level = self.level_to_write(Spread::Expiring, on, 1).await?;
            let shard_key = (on, Spread::Expiring.partition(level, coupon.code()));
            shards.entry(shard_key).or_default().push((coupon, *day));
        }
        let cql = "INSERT INTO expiring (expires_on, shard, expires_at, tie, code, expiry_day, \
                   campaign_id) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let mut writes = Vec::new();
        for ((on, shard), coupons) in &shards {
            for some in coupons.chunks(ROWS_AT_ONCE) {
                let rows = some.iter().map(|(coupon, day)| {
                    let code = coupon.code();
                    let (at, tie) = (instant(coupon.expires_at()), signed(tie(code)));
                    (date(*on), *shard, at, tie, code.as_str(), date(*day), campaign)
                });
                writes.push(self.cluster.write_all(cql, rows.collect()));
            }
        }
        bounded_join(BUCKETS_AT_ONCE, writes).await.map(drop)
    }
}
