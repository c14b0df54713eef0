//! Rows of coupons as items of a copy, bucket by bucket.

use coupon::time::Day;
use hot::copying::{Item, Page};

use super::limit_of;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::copying::Position;
use crate::coupon_row::{CouponRow, coupon_columns};
use crate::session::{Result, StatementProfile};
use crate::values::date;

/// Buckets that are read at a time, ...
const BUCKETS_AT_ONCE: i32 = 32;

/// ... and how often for one page: most buckets may be empty.
const WINDOWS_MAX: usize = 64;

impl Store {
    /// Reads the buckets in order, some at a time.
    pub(crate) async fn copied_coupons(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let plans: Vec<(Day, i32)> = self
            .plans()
            .await?
            .iter()
            .filter(|plan| !plan.is_emptied())
            .map(|plan| (plan.day(), 1_i32 << plan.bits().min(30)))
            .collect();
        let (mut expiry_day, mut first) = (Day(at.number(0, i32::MIN)?), at.number(1, 0_i32)?);
        let mut code = at.text(2).to_owned();
        let mut items = Vec::new();
        let ahead = limit_of(limit / 8);
        for _ in 0..WINDOWS_MAX {
            let Some((of, buckets)) = plans.iter().copied().find(|(of, _)| *of >= expiry_day)
            else {
                return Ok(Page { items, next: None });
            };
            if of != expiry_day {
                (expiry_day, first, code) = (of, 0, String::new());
            }
            let end = (first + BUCKETS_AT_ONCE).min(buckets);
            let reads = (first..end).map(|bucket| {
                let after = if bucket == first { code.as_str() } else { "" };
                self.rows_of_bucket(of, bucket, after, ahead)
            });
            let read: Vec<Vec<CouponRow>> = bounded_join(BUCKETS_AT_ONCE as usize, reads).await?;
            let mut cut = None;
            for (bucket, rows) in (first..end).zip(read) {
                if rows.len() >= ahead as usize {
                    cut = rows.last().map(|last| last.code()).transpose()?.map(|it| (bucket, it));
                }
                self.take_rows(bucket, rows, &mut items).await?;
                if cut.is_some() {
                    break;
                }
            }
            match cut {
                Some((bucket, last)) => (first, code) = (bucket, last.to_string()),
                None if end == buckets => {
                    (expiry_day, first, code) = (Day(of.0 + 1), 0, String::new());
                }
                None => (first, code) = (end, String::new()),
            }
            if items.len() >= limit / 2 {
                break;
            }
        }
        Ok(Page { items, next: Some(format!("{} {first} {code}", expiry_day.0)) })
    }

    async fn rows_of_bucket(
        &self,
        expiry_day: Day,
        bucket: i32,
        after: &str,
        limit: i32,
    ) -> Result<Vec<CouponRow>> {
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ? LIMIT ?"
        );
        self.session
            .rows(StatementProfile::Bulk, cql, (date(expiry_day), bucket, after, limit))
            .await
    }

    async fn take_rows(
        &self,
        bucket: i32,
        rows: Vec<CouponRow>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        for row in rows {
            if row.is_archived_marker() {
                let (day, code) = (row.day(), row.code()?);
                items.push(Item::ArchivedMarker { day, code, version: row.archived_version() });
            } else if let Some(to) = row.forward_to() {
                // A process that reads a forwarding row finishes it first.
                self.finish_move(&row, to).await?;
            } else {
                let coupon = Box::new(self.as_stored(&row, bucket).await?.coupon);
                items.push(Item::Coupon { day: row.day(), coupon });
            }
        }
        Ok(())
    }
}
