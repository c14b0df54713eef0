//! The archived marker of a reconciled coupon, and the forwarding rows that lead to it.

use coupon::coupon::Coupon;
use coupon::ids::{OperationId, UserId};
use coupon::time::Day;
use router::home;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use crate::CqlStore;
use crate::coupon_row::CouponRow;
use crate::values::{date, signed};
use cql_session::{Cas, Result, StatementProfile};

impl CqlStore {
    /// Replaces the row of a coupon in the partition `at` by an archived marker if the coupon was
    /// archived there; in any other partition by a row that forwards to `archived_at`. Returns the
    /// coupon of the row.
    pub(super) async fn put_archived_marker(
        &self,
        at: Day,
        coupon: &Coupon,
        archived_at: Day,
    ) -> Result<Option<Coupon>> {
        let (code, always) = (coupon.code(), at == archived_at);
        let Some(bucket) = self.bucket(at, code).await? else { return Ok(None) };
        let operation = Uuid::now_v7();
        let mut attempts = self.attempts("a coupon's archived marker");
        let mut before = None;
        loop {
            let row =
                attempts.looked(self.row_of(StatementProfile::Read, at, bucket, code).await)?;
            let is_sealed = match &row {
                Some(row) => row.is_sealed(),
                None => self.is_sealed(at, bucket).await?,
            };
            // Nothing changes a coupon there. A marker would be younger than the seal, and so outlive the deletion
            // of the bucket.
            if is_sealed {
                return Ok(before);
            }
            if row.is_none() && !always {
                // A minted coupon without a row would be taken for an untouched one.
                if home(&self.keys.current(), code) != Some(at) {
                    return Ok(before);
                }
                let id = OperationId(operation.as_u128());
                let (profile, made) = (attempts.profile(), MaybeUnset::Unset);
                let to = Some(archived_at);
                let put = self.put_row(profile, coupon, (at, bucket), id, to, made).await;
                attempts.wrote(put).await?;
                continue;
            }
            if let Some(row) = &row {
                if row.is_archived_marker() || (!always && row.forward_to() == Some(archived_at)) {
                    return Ok(before);
                }
                before = Some(self.as_stored(row).await?.coupon);
            }
            let to = (!always).then_some(archived_at);
            let lock = attempts.looked(self.write_locks.lock((at, bucket)).await)?;
            let profile = attempts.profile();
            let replaced =
                self.replace_row((at, bucket), row.as_ref(), coupon, operation, to, profile);
            let cas = replaced.await;
            // Before the index rows are deleted: other writers of the bucket need not wait.
            drop(lock);
            attempts.wrote(cas).await?;
            // After the row: a crash leaves an index row too many, never one too few.
            if let Some(coupon) = &before {
                let holder = coupon.holder().map(UserId::as_str);
                self.remove_index_rows(holder, coupon.expires_at(), code).await?;
            }
        }
    }

    async fn replace_row(
        &self,
        (at, bucket): (Day, i32),
        row: Option<&CouponRow>,
        coupon: &Coupon,
        operation: Uuid,
        to: Option<Day>,
        profile: StatementProfile,
    ) -> Result<Cas> {
        let next = signed(coupon.version().max(row.map_or(0, CouponRow::version)) + 1);
        let before = row.map(|row| signed(row.version()));
        let (at, code) = (date(at), coupon.code().as_str());
        match to {
            // A reader is forwarded to the partition in which the coupon was archived.
            Some(to) => {
                let cql = "UPDATE coupon SET version = ?, state = 'forwarding', forward_to = \
                           ?, operation = ? WHERE expiry_day = ? AND bucket = ? AND code = ? IF \
                           version = ? AND sealed = null";
                let values = (next, date(to), operation, at, bucket, code, before);
                self.session.change(profile, cql, values).await
            }
            None => {
                let cql = "UPDATE coupon SET version = ?, state = 'archived', archived_version = \
                           ?, operation = ?, campaign_id = ?, batch_id = ?, holder = null, hold = \
                           null, events = null, forward_to = null WHERE expiry_day = ? AND bucket \
                           = ? AND code = ? IF version = ? AND sealed = null";
                let archived = signed(coupon.version());
                let (campaign, batch) = (&coupon.genesis().campaign, &coupon.genesis().batch);
                let (campaign, batch) = (campaign.as_str(), batch.as_str());
                let values = (next, archived, operation, campaign, batch, at, bucket, code, before);
                self.session.change(profile, cql, values).await
            }
        }
    }
}
