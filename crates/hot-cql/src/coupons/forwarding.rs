//! Coupons that an extension forwards to a later partition: the row there, and the directory entry.

use coupon::coupon::Coupon;
use coupon::ids::OperationId;
use coupon::time::Day;
use hot::HotError;
use scylla::value::MaybeUnset;

use crate::CqlStore;
use crate::coupon_row::CouponRow;
use crate::values::date;
use cql_session::{Cas, Result, StatementProfile};

impl CqlStore {
    /// Finishes forwarding a coupon: its row in the later partition, then its directory entry. A
    /// process that reads a forwarding row does this first.
    pub(crate) async fn finish_move(&self, row: &CouponRow, to: Day) -> Result<()> {
        let located = self.as_stored(row).await?;
        self.arrive(&located.coupon, (located.day, located.here.bucket), to).await.map(drop)
    }

    /// Writes a coupon that the row at `from` forwards into its later partition, if it is not there, and makes the
    /// directory name that, unless it names a later one; returns its bucket.
    pub(super) async fn arrive(
        &self,
        coupon: &Coupon,
        (day, from): (Day, i32),
        to: Day,
    ) -> Result<i32> {
        let code = coupon.code();
        let no_plan = || HotError::Damaged(format!("no plan for {code}'s partition"));
        let bucket = self.bucket(to, code).await?.ok_or_else(no_plan)?;
        let mut attempts = self.attempts("a forwarded coupon");
        loop {
            let _lock = attempts.looked(self.write_locks.lock((to, bucket)).await)?;
            let there =
                attempts.looked(self.row_of(StatementProfile::Read, to, bucket, code).await)?;
            // In a sealed bucket without a row: it came, and was archived.
            if there.is_some() || attempts.looked(self.is_sealed(to, bucket).await)? {
                break;
            }
            // The same id from every process that finishes it: the coupon's last event has it.
            let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
            let profile = attempts.profile();
            // Readers of the feed may come when the row that forwards it is gone.
            let made = attempts.looked(self.session.made_at(day, from, code).await)?;
            let (at, made) = ((to, bucket), MaybeUnset::Set(made));
            let put = self.put_row(profile, coupon, at, operation, None, made).await;
            attempts.wrote(put).await?;
        }
        // After the row: a reader that follows the entry looks only there.
        let mut attempts = self.attempts("the directory entry of a forwarded coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present.is_some_and(|present| present >= to) {
                return Ok(bucket);
            }
            let cas = self.redirect(attempts.profile(), coupon, present, to).await;
            if attempts.wrote(cas).await? {
                return Ok(bucket);
            }
        }
    }

    /// Makes the directory name the partition `to`, if it still names `present`.
    pub(crate) async fn redirect(
        &self,
        profile: StatementProfile,
        coupon: &Coupon,
        present: Option<Day>,
        to: Day,
    ) -> Result<Cas> {
        let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, batch_id = ?, \
                   expiry_day = ? WHERE code = ? IF expiry_day = ?";
        let (id, batch) = (coupon.genesis().campaign.as_str(), coupon.genesis().batch.as_str());
        let values = (id, batch, date(to), coupon.code().as_str(), present.map(date));
        self.session.change(profile, cql, values).await
    }
}
