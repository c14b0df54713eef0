//! Rows of coupons: bucket by bucket, in the order of codes, and by their codes.

use coupon::code::Code;
use coupon::time::Day;
use hot::HotError;
use hot::inventory::{Item, Page, Reading, RowIs, RowItem};

use super::{AT_ONCE, Position, limit_of};
use crate::Store;
use crate::archiving::Listed;
use crate::bounded_join::bounded_join;
use crate::coupon_row::{CouponRow, disagreement};
use crate::session::{Result, StatementProfile};
use crate::values::parsed;

/// Buckets that are read at a time, ...
const BUCKETS_AT_ONCE: i32 = 32;

/// ... and how often for one page: most buckets may be empty.
const WINDOWS_MAX: usize = 64;

impl Store {
    /// Reads the buckets in order, some at a time.
    pub(super) async fn page_of_coupons(
        &self,
        reading: Reading,
        at: &Position<'_>,
        limit: usize,
    ) -> Result<Page> {
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
                items.extend(self.row_items(reading, bucket, rows).await?);
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

    /// The items of some rows of a bucket.
    async fn row_items(
        &self,
        reading: Reading,
        bucket: i32,
        rows: Vec<CouponRow>,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            match (reading, row.forward_to()) {
                // A process that reads a forwarding row finishes it first.
                (Reading::InEffect, Some(to)) => self.finish_move(&row, to).await?,
                (Reading::InEffect, None) | (Reading::AsStored, _) => {
                    items.push(Item::Row(self.row_item(&row, bucket).await?));
                }
            }
        }
        Ok(items)
    }

    pub(super) async fn rows_by_code(
        &self,
        day: Day,
        after: &str,
        limit: usize,
    ) -> Result<Vec<RowItem>> {
        // A row between two codes has no valid code, and is not looked for.
        let after = (!after.is_empty()).then(|| parsed::<Code>("code", after)).transpose()?;
        let rows = self.merged(day, after, limit, Listed::All).await?;
        let looks = rows.iter().map(|(bucket, row)| self.row_item(row, *bucket));
        bounded_join(AT_ONCE, looks).await
    }

    pub(super) async fn rows_at(&self, day: Day, code: &Code) -> Result<Vec<RowItem>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(Vec::new()) };
        match self.row_of(StatementProfile::Read, day, bucket, code).await? {
            Some(row) => Ok(vec![self.row_item(&row, bucket).await?]),
            None => Ok(Vec::new()),
        }
    }

    async fn row_item(&self, row: &CouponRow, bucket: i32) -> Result<RowItem> {
        let (day, code) = (row.day(), row.code()?);
        let led_to = self.bucket(day, &code).await?;
        let astray = (led_to != Some(bucket))
            .then(|| format!("it is in bucket {bucket}, its code leads to {led_to:?}"));
        let is = match (row.is_archived_marker(), row.forward_to()) {
            (true, _) => RowIs::ArchivedMarker { version: row.archived_version() },
            (false, Some(to)) => RowIs::Forwarding { to },
            (false, None) => match self.as_stored(row, bucket).await {
                Ok(located) => RowIs::Coupon {
                    differs: disagreement(row, &located.coupon),
                    coupon: Box::new(located.coupon),
                },
                Err(HotError::Damaged(why)) => RowIs::Unreadable(why),
                Err(error) => return Err(error),
            },
        };
        Ok(RowItem { day, code: code.to_string(), is, astray })
    }
}
