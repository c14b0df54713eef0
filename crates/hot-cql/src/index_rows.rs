//! Index rows: where to look for the coupons of a holder and for those that expire.
//!
//! They are written before the coupon's row. A crash leaves one too many, never one too few.

mod closed;

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::{Day, Millis};

use crate::CqlStore;
use crate::spread::SpreadKey;
use crate::values::{date, instant, signed, tie};
pub(crate) use closed::PendingClosed;
use cql_session::Result;
use hot::bounded_join;

/// Rows of one write to one CQL partition.
const ROWS_AT_ONCE: usize = 50;

const BUCKETS_AT_ONCE: usize = 16;

const INTO_EXPIRING: &str = "INSERT INTO expiring (expires_on, shard, expires_at, tie, code, \
    expiry_day, campaign_id) VALUES (?, ?, ?, ?, ?, ?, ?)";

impl CqlStore {
    pub(crate) async fn write_wallet(&self, coupon: &Coupon, day: Day) -> Result<()> {
        let Some(user) = coupon.holder() else { return Ok(()) };
        let cql = "INSERT INTO wallet (user_id, expires_at, tie, code, expiry_day) \
                   VALUES (?, ?, ?, ?, ?)";
        let (code, at) = (coupon.code(), instant(coupon.expires_at()));
        let values = (user.as_str(), at, signed(tie(code)), code.as_str(), date(day));
        self.session.write(cql, values).await
    }

    pub(crate) async fn write_expiring(
        &self,
        campaign: &str,
        coupon: &Coupon,
        day: Day,
    ) -> Result<()> {
        let (on, partition) = self.expiring_partition(campaign, coupon).await?;
        let (code, at) = (coupon.code(), instant(coupon.expires_at()));
        let (tie, code) = (signed(tie(code)), code.as_str());
        let values = (date(on), partition, at, tie, code, date(day), campaign);
        self.session.write(INTO_EXPIRING, values).await
    }

    /// The day and the CQL partition for the index row by expiry of a coupon; counts the row.
    async fn expiring_partition(&self, campaign: &str, coupon: &Coupon) -> Result<(Day, i32)> {
        // Before the row: a list of a campaign reads only the days that are written here.
        self.write_campaign_day(campaign, coupon).await?;
        let on = Day::expiry_day_of(coupon.expires_at());
        let spread = SpreadKey::Expiring { on };
        let level = self.level_to_write(&spread, 1).await?;
        Ok((on, spread.partition(level, coupon.code())))
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

    /// Writes that coupons of a campaign may expire on the day of this one; once for each process.
    async fn write_campaign_day(&self, campaign: &str, coupon: &Coupon) -> Result<()> {
        let on = Day::expiry_day_of(coupon.expires_at());
        let known = (campaign.to_owned(), on);
        if self.campaign_days.read().is_ok_and(|all| all.contains(&known)) {
            return Ok(());
        }
        let cql = "INSERT INTO campaign_day (campaign_id, expires_on) VALUES (?, ?)";
        self.session.write(cql, (campaign, date(on))).await?;
        // After the write: from now on this process skips it.
        if let Ok(mut all) = self.campaign_days.write() {
            all.insert(known);
        }
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

    /// Writes the index rows by expiry of many coupons, one CQL partition at a time.
    pub(crate) async fn write_expiring_all(
        &self,
        campaign: &str,
        coupons: &[(&Coupon, Day)],
    ) -> Result<()> {
        let mut rows_by_partition: BTreeMap<(Day, i32), Vec<(&Coupon, Day)>> = BTreeMap::new();
        for (coupon, day) in coupons {
            let key = self.expiring_partition(campaign, coupon).await?;
            rows_by_partition.entry(key).or_default().push((coupon, *day));
        }
        let mut writes = Vec::new();
        for ((on, partition), coupons) in &rows_by_partition {
            for some in coupons.chunks(ROWS_AT_ONCE) {
                let rows = some.iter().map(|(coupon, day)| {
                    let code = coupon.code();
                    let (at, tie) = (instant(coupon.expires_at()), signed(tie(code)));
                    (date(*on), *partition, at, tie, code.as_str(), date(*day), campaign)
                });
                writes.push(self.session.write_all(INTO_EXPIRING, rows.collect()));
            }
        }
        bounded_join(BUCKETS_AT_ONCE, writes).await.map(drop)
    }
}
