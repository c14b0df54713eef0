//! Eviction: a coupon that was copied to cold becomes an archived marker.

use coupon::code::Code;
use coupon::ids::OperationId;
use coupon::time::Day;
use uuid::Uuid;

use crate::CqlStore;
use crate::coupon_row::CouponRow;
use crate::values::{date, signed};
use cql_session::{Result, StatementProfile};

/// Evicted coupons that are remembered, some 100 bytes each.
const GONE_MAX: usize = 1_000_000;

impl CqlStore {
    /// A change like any other, so that a late write names a version that is gone.
    pub(super) async fn evict_one(&self, day: Day, code: &Code, version: u64) -> Result<bool> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(false) };
        let operation = Uuid::now_v7();
        let mut attempts = self.attempts("a coupon's archived marker");
        let mut before = None;
        loop {
            let row =
                attempts.looked(self.row_of(StatementProfile::Read, day, bucket, code).await)?;
            let Some(row) = row else { return Ok(false) };
            if row.is_archived_marker() {
                // It may be ours, written with an unknown outcome.
                let ours = row.operation() == Some(OperationId(operation.as_u128()));
                if let Some(before) = before.as_ref().filter(|_| ours) {
                    self.evicted(day, before).await?;
                }
                return Ok(ours);
            }
            let closed = matches!(row.state.as_deref(), Some("redeemed" | "void"));
            // The conditional update would be refused for ever; the row is deleted when its
            // partition is emptied.
            if row.version() != version || !closed || row.is_sealed() {
                return Ok(false);
            }
            let cql = "UPDATE coupon SET version = ?, state = 'archived', archived_version = ?, \
                       operation = ?, holder = null, hold = null, events = null, made = null WHERE \
                       expiry_day = ? AND bucket = ? AND code = ? IF version = ? AND sealed = null";
            let (next, version) = (signed(version + 1), signed(version));
            let values = (next, version, operation, date(day), bucket, code.as_str(), version);
            let lock = attempts.looked(self.write_locks.lock((day, bucket)).await)?;
            let cas = self.session.change(attempts.profile(), cql, values).await;
            // Before the next read: other writers of the bucket need not wait for it.
            drop(lock);
            if attempts.wrote(cas).await? {
                self.evicted(day, &row).await?;
                return Ok(true);
            }
            before = Some(row);
        }
    }

    /// After a coupon became an archived marker: counts it as archived and deletes its index rows.
    async fn evicted(&self, day: Day, row: &CouponRow) -> Result<()> {
        let code = row.code()?;
        {
            let mut gone = self.gone.lock();
            if gone.len() >= GONE_MAX {
                // Remembering them only saves reads.
                gone.clear();
            }
            gone.insert((day, code));
        }
        self.count_gone(row)?;
        self.remove_index_rows_of_gone(row).await
    }
}
