//! Seals an expiry day: closes its plan, then seals each of its buckets.

use coupon::time::{Day, Millis};

use super::AT_ONCE;
use crate::CqlStore;
use crate::coupon_row::{CouponRow, coupon_rows};
use crate::partitions::PlanRow;
use crate::values::{date, instant};
use cql_session::{Result, StatementProfile};
use hot::bounded_join;

impl CqlStore {
    /// `false` if the time of the partition is not over.
    ///
    /// A partition closes only after those from which coupons were forwarded to it are sealed and
    /// their coupons have arrived: then no coupon can be on its way any more.
    pub(crate) async fn seal_partition(&self, day: Day, now: Millis) -> Result<bool> {
        // The recursion ends: each partition is earlier than the one that was entered from it.
        let Some(plan) = self.plan(StatementProfile::Serial, day).await? else { return Ok(false) };
        if plan.is_sealed() {
            return Ok(true);
        }
        if !plan.is_closing() && plan.seal_after() >= now {
            return Ok(false);
        }
        for from in plan.entered().collect::<Vec<_>>() {
            if from < day && !Box::pin(self.seal_partition(from, now)).await? {
                return Ok(false);
            }
        }
        let mut attempts = self.attempts("the seal of a partition");
        loop {
            let plan = attempts.looked(self.plan(StatementProfile::Serial, day).await)?;
            let Some(plan) = plan else { return Ok(false) };
            if plan.is_closing() {
                break;
            }
            if plan.seal_after() >= now {
                return Ok(false);
            }
            // Another partition may have been entered since: it is sealed before closing, too.
            for from in plan.entered().collect::<Vec<_>>() {
                if from < day && !Box::pin(self.seal_partition(from, now)).await? {
                    return Ok(false);
                }
            }
            // The condition names what was read: an extension in between postpones the seal.
            let cql = "UPDATE partition_plan SET closing = true WHERE expiry_day = ? IF seal_after \
                       = ? AND closing = null AND entered = ?";
            let entered: Vec<_> = plan.entered().map(date).collect();
            let entered = (!entered.is_empty()).then_some(entered);
            let values = (date(day), instant(plan.seal_after()), entered);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
        let buckets = 0..1_i32 << plan.bits().min(30);
        // After `closing`: nothing new can be entered for this day while its buckets are sealed.
        bounded_join(AT_ONCE, buckets.map(|bucket| self.seal_bucket(day, bucket))).await?;
        let mut attempts = self.attempts("the seal of a partition");
        // Last: `sealed` says of every bucket that it is sealed and that its moves are finished.
        let is_sealed = |plan: Option<PlanRow>| plan.is_some_and(|plan| plan.is_sealed());
        while !is_sealed(attempts.looked(self.plan(StatementProfile::Read, day).await)?) {
            let cql =
                "UPDATE partition_plan SET sealed = true WHERE expiry_day = ? IF closing = true";
            let cas = self.session.change(attempts.profile(), cql, (date(day),)).await;
            attempts.wrote(cas).await?;
        }
        Ok(true)
    }

    async fn seal_bucket(&self, day: Day, bucket: i32) -> Result<()> {
        let mut attempts = self.attempts("the seal of a bucket");
        loop {
            let _lock = attempts.looked(self.write_locks.lock((day, bucket)).await)?;
            let cql = "UPDATE coupon SET sealed = true WHERE expiry_day = ? AND bucket = ? \
                       IF sealed = null";
            let cas = self.session.change(attempts.profile(), cql, (date(day), bucket)).await;
            if attempts.wrote(cas).await? || attempts.looked(self.is_sealed(day, bucket).await)? {
                break;
            }
        }
        // After the seal: from now on no other coupon can be forwarded from here.
        let cql = coupon_rows!("WHERE expiry_day = ? AND bucket = ? AND code >= ''");
        let mut from = Some(scylla::response::PagingState::start());
        while let Some(state) = from {
            let (rows, next) =
                self.session.page::<CouponRow>(cql, (date(day), bucket), state).await?;
            for row in rows {
                if let Some(to) = row.forward_to() {
                    self.finish_move(&row, to).await?;
                }
            }
            from = next;
        }
        Ok(())
    }
}
