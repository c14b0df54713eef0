//! Empties a sealed partition: deletes its rows, then the index rows of its coupons.

use coupon::time::{Day, Millis};
use hot::{Emptying, HotError, ListPosition};

use super::AT_ONCE;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::coupon_row::{CouponRow, coupon_rows};
use crate::session::{Result, StatementProfile};
use crate::values::{date, millis};

/// Buckets that one call empties: some 25,000 coupons of a full partition.
const BUCKETS_AT_ONCE: u64 = 4;

impl Store {
    /// Empties some buckets of a sealed partition; `None` if none is left.
    pub(crate) async fn remove_some(
        &self,
        day: Day,
        so_far: &Emptying,
    ) -> Result<Option<Emptying>> {
        let plan = self.plan(StatementProfile::Read, day).await?;
        let Some(plan) = plan.filter(|plan| plan.is_sealed()) else {
            return Err(HotError::Damaged(
                "a partition that is not sealed was to be emptied".into(),
            ));
        };
        *self.merge.lock().await = None;
        let buckets = 1_u64 << plan.bits();
        let first = so_far.after.as_ref().map_or(0, |after| after.tie);
        if first >= buckets {
            return Ok(None);
        }
        let end = (first + BUCKETS_AT_ONCE).min(buckets);
        let removed = (first..end)
            .map(|bucket| self.remove_bucket(day, i32::try_from(bucket).unwrap_or(i32::MAX)));
        let removed: Vec<u64> = bounded_join(AT_ONCE, removed).await?;
        Ok(Some(Emptying {
            removed: so_far.removed + removed.into_iter().sum::<u64>(),
            after: Some(ListPosition { expires_at: day.end(), tie: end }),
            walked: false,
        }))
    }

    async fn remove_bucket(&self, day: Day, bucket: i32) -> Result<u64> {
        let cql =
            "SELECT WRITETIME(sealed) FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1";
        let time: Option<i64> = self.session.value(cql, (date(day), bucket)).await?;
        let Some(time) = time else {
            return Err(HotError::Damaged(format!(
                "bucket {bucket} of a sealed partition has no seal"
            )));
        };
        let start = scylla::response::PagingState::start();
        let (mut removed, mut after, mut from) = (0, String::new(), Some(start.clone()));
        while let Some(state) = from {
            let cql = coupon_rows!(" AND code > ?");
            let values = (date(day), bucket, after.as_str());
            let (rows, next) = self.session.page::<CouponRow>(cql, values, state).await?;
            let last = rows.last().map(CouponRow::code).transpose()?;
            // Rows are deleted before their index rows: a coupon with a row and no index row would
            // be in no list, neither here nor in cold. The range is deleted and not the CQL
            // partition: the seal stays for ever.
            from = match (last, next) {
                // To the end of the bucket, also if it has no rows: an imported row has a write
                // time long ago, so one that a frozen process writes later stays deleted.
                (_, None) => {
                    let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                               AND bucket = ? AND code > ?";
                    let values = (time, date(day), bucket, after.as_str());
                    self.session.write(cql, values).await?;
                    None
                }
                (Some(last), Some(_)) => {
                    let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                               AND bucket = ? AND code > ? AND code <= ?";
                    let values = (time, date(day), bucket, after.as_str(), last.as_str());
                    self.session.write(cql, values).await?;
                    after = last.to_string();
                    Some(start.clone())
                }
                // A page of deleted rows only.
                (None, Some(next)) => Some(next),
            };
            // No later call finds these rows: each one is finished before an error of one is
            // returned.
            let counted: Vec<Result<u64>> = rows.iter().map(|row| self.count_gone(row)).collect();
            let index_rows =
                rows.iter().map(|row| async move { Ok(self.remove_index_rows_of_gone(row).await) });
            let index_rows: Vec<Result<()>> = bounded_join(AT_ONCE, index_rows).await?;
            index_rows.into_iter().collect::<Result<()>>()?;
            removed += counted.into_iter().sum::<Result<u64>>()?;
        }
        Ok(removed)
    }

    /// Counts a deleted row of a sealed partition; 1 if it was a coupon or an archived marker.
    fn count_gone(&self, row: &CouponRow) -> Result<u64> {
        self.row_cache.forget(&row.code()?);
        if row.is_coupon() {
            let state = row.state.as_deref().unwrap_or_default();
            self.counts.count_moved(&row.campaign_id()?, state);
        }
        Ok(u64::from(row.forward_to().is_none()))
    }

    /// Deletes the index rows of a deleted row of a sealed partition.
    async fn remove_index_rows_of_gone(&self, row: &CouponRow) -> Result<()> {
        if !row.is_coupon() {
            return Ok(());
        }
        let expires_at = row.expires_at.map_or(Millis(0), millis);
        self.remove_index_rows(row.holder.as_deref(), expires_at, &row.code()?).await
    }
}
