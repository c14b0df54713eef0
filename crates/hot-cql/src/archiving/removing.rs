//! Empties a sealed partition: deletes its rows, then the index rows of its coupons.

use coupon::time::{Day, Millis};
use hot::{HotError, bounded_join};

use super::AT_ONCE;
use crate::CqlStore;
use crate::coupon_row::{CouponRow, coupon_rows};
use crate::values::{date, millis};
use cql_session::{Result, StatementProfile};

/// Buckets with rows that one call empties, all at a time: some 25,000 coupons of a full partition.
pub(super) const WITH_ROWS_MAX: usize = 4;

pub(super) struct SealedBucket {
    bucket: i32,
    /// The write time of its seal.
    sealed_at: i64,
    pub(super) has_rows: bool,
}

impl CqlStore {
    pub(super) async fn sealed_buckets(
        &self,
        day: Day,
        buckets: &[i32],
    ) -> Result<Vec<SealedBucket>> {
        let cql = "SELECT bucket, code, WRITETIME(sealed) FROM coupon WHERE expiry_day = ? \
                   AND bucket IN ? PER PARTITION LIMIT 1";
        let rows: Vec<(i32, Option<String>, Option<i64>)> =
            self.session.rows(StatementProfile::Bulk, cql, (date(day), buckets)).await?;
        let sealed = buckets.iter().map(|bucket| {
            let row = rows.iter().find(|(of, ..)| of == bucket);
            // Without rows there is one with the seal and without a code.
            let Some((_, code, Some(sealed_at))) = row else {
                let why = format!("bucket {bucket} of a sealed partition has no seal");
                return Err(HotError::Damaged(why));
            };
            let (bucket, sealed_at, has_rows) = (*bucket, *sealed_at, code.is_some());
            Ok(SealedBucket { bucket, sealed_at, has_rows })
        });
        sealed.collect()
    }

    /// The write time of the seal of a bucket that is sealed.
    pub(crate) async fn sealed_at(&self, day: Day, bucket: i32) -> Result<i64> {
        let sealed = self.sealed_buckets(day, &[bucket]).await?;
        Ok(sealed.first().map_or(0, |it| it.sealed_at))
    }

    /// Deletes the range after a code, to `last` or all; not the CQL partition: the seal stays.
    pub(super) async fn remove_rows(
        &self,
        day: Day,
        of: &SealedBucket,
        after: &str,
        last: Option<&str>,
    ) -> Result<()> {
        let (day, bucket) = (date(day), of.bucket);
        match last {
            None => {
                let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                           AND bucket = ? AND code > ?";
                self.session.write(cql, (of.sealed_at, day, bucket, after)).await
            }
            Some(last) => {
                let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                           AND bucket = ? AND code > ? AND code <= ?";
                self.session.write(cql, (of.sealed_at, day, bucket, after, last)).await
            }
        }
    }

    pub(super) async fn remove_bucket(&self, day: Day, sealed: &SealedBucket) -> Result<u64> {
        let start = scylla::response::PagingState::start();
        let (mut removed, mut after, mut from) = (0, String::new(), Some(start.clone()));
        while let Some(state) = from {
            let cql = coupon_rows!("WHERE expiry_day = ? AND bucket = ? AND code > ?");
            let values = (date(day), sealed.bucket, after.as_str());
            let (rows, next) = self.session.page::<CouponRow>(cql, values, state).await?;
            let last = rows.last().map(CouponRow::code).transpose()?;
            // Rows are deleted before their index rows: a coupon with a row and no index row would
            // be in no list, neither here nor in cold.
            from = match (last, next) {
                (_, None) => {
                    self.remove_rows(day, sealed, &after, None).await?;
                    None
                }
                (Some(last), Some(_)) => {
                    self.remove_rows(day, sealed, &after, Some(last.as_str())).await?;
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

    /// Counts a coupon as archived. 1 if the row was a coupon or an archived marker.
    pub(super) fn count_gone(&self, row: &CouponRow) -> Result<u64> {
        self.row_cache.forget(&row.code()?);
        if row.is_coupon() {
            let state = row.state.as_deref().unwrap_or_default();
            self.counts.count_moved(&row.campaign_id()?, state);
        }
        Ok(u64::from(row.forward_to().is_none()))
    }

    pub(super) async fn remove_index_rows_of_gone(&self, row: &CouponRow) -> Result<()> {
        if !row.is_coupon() {
            return Ok(());
        }
        let expires_at = row.expires_at.map_or(Millis(0), millis);
        self.remove_index_rows(row.holder.as_deref(), expires_at, &row.code()?).await
    }
}
