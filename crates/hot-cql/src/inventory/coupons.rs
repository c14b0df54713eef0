//! Rows of coupons: bucket by bucket, in the order of codes, and by their codes.

use coupon::code::Code;
use coupon::time::Day;
use hot::HotError;
use hot::inventory::{Item, Page, RowIs, RowItem};

use super::{AT_ONCE, Position, limit_of};
use crate::Store;
use crate::archiving::Listed;
use crate::coupon_row::{CouponRow, disagreement};
use crate::coupons::BUCKETS_OF_A_READ;
use crate::values::parsed;
use cql_session::{Result, StatementProfile, bounded_join};

/// Buckets that are read at a time at the most, where they have few rows, ...
const WINDOW_MAX: i32 = 256;

/// ... rows of one bucket at the most, ...
const ROWS_MAX: usize = 1_000;

/// ... and how often for one page: most buckets may be empty.
const WINDOWS_MAX: usize = 16;

impl Store {
    /// Reads the buckets in order, some at a time. A page has one limit for all of them. So where
    /// one bucket has more than its part, it is read alone, and then more and more of them.
    pub(super) async fn page_of_coupons(&self, at: &Position<'_>, limit: usize) -> Result<Page> {
        let (mut expiry_day, mut first) = (Day(at.number(0, i32::MIN)?), at.number(1, 0_i32)?);
        let mut code = at.text(2).to_owned();
        let mut items = Vec::new();
        let mut window = if code.is_empty() { WINDOW_MAX } else { 1 };
        for _ in 0..WINDOWS_MAX {
            let Some((of, buckets)) = self.buckets_from(expiry_day, first, &code).await? else {
                return Ok(Page { items, next: None });
            };
            if of != expiry_day {
                (expiry_day, first, code) = (of, 0, String::new());
            }
            let some: Vec<i32> = (first..first.saturating_add(window).min(buckets)).collect();
            // Only one bucket is read after a code that is in it.
            let each = limit_of((limit / some.len().max(1)).min(ROWS_MAX));
            let reads = some.chunks(BUCKETS_OF_A_READ);
            let reads = reads.map(|some| self.rows_of_buckets(of, some, &code, each));
            let read: Vec<Vec<Vec<CouponRow>>> = bounded_join(AT_ONCE, reads).await?;
            let mut cut = None;
            for (bucket, rows) in some.iter().copied().zip(read.into_iter().flatten()) {
                if rows.len() >= each as usize {
                    cut = rows.last().map(|last| last.code()).transpose()?.map(|it| (bucket, it));
                }
                for row in &rows {
                    items.push(Item::Row(self.row_item(row).await?));
                }
                if cut.is_some() {
                    break;
                }
            }
            (first, code, window) = match cut {
                Some((bucket, last)) => (bucket, last.to_string(), 1),
                None => {
                    let end = some.last().map_or(buckets, |last| last + 1);
                    (end, String::new(), (2 * window).min(WINDOW_MAX))
                }
            };
            if first >= buckets {
                (expiry_day, first) = (Day(of.0 + 1), 0);
            }
            if items.len() >= limit / 2 {
                break;
            }
        }
        Ok(Page { items, next: Some(format!("{} {first} {code}", expiry_day.0)) })
    }

    /// The partition of the next rows, and how many buckets it has. Reads the plans only where a
    /// partition begins. That is after the rows of all earlier partitions, so the plan of each
    /// partition to which one of their coupons was moved is among them.
    async fn buckets_from(&self, from: Day, first: i32, code: &str) -> Result<Option<(Day, i32)>> {
        let is_within = first > 0 || !code.is_empty();
        if is_within && let Some(bits) = self.bits(from).await? {
            return Ok(Some((from, 1 << bits.min(30))));
        }
        let plans = self.plans().await?;
        // Of an emptied partition nothing is left to be read.
        let next = plans.iter().find(|plan| plan.day() >= from && !plan.is_emptied());
        Ok(next.map(|plan| (plan.day(), 1 << plan.bits().min(30))))
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
        bounded_join(AT_ONCE, rows.iter().map(|row| self.row_item(row))).await
    }

    pub(super) async fn rows_at(&self, day: Day, code: &Code) -> Result<Vec<RowItem>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(Vec::new()) };
        match self.row_of(StatementProfile::Read, day, bucket, code).await? {
            Some(row) => Ok(vec![self.row_item(&row).await?]),
            None => Ok(Vec::new()),
        }
    }

    async fn row_item(&self, row: &CouponRow) -> Result<RowItem> {
        let (day, bucket, code) = (row.day(), row.bucket, row.code()?);
        let led_to = self.bucket(day, &code).await?;
        let astray = (led_to != Some(bucket))
            .then(|| format!("it is in bucket {bucket}, its code leads to {led_to:?}"));
        let is = match (row.is_archived_marker(), row.forward_to()) {
            (true, _) => RowIs::ArchivedMarker { version: row.archived_version() },
            (false, Some(to)) => RowIs::Forwarding { to },
            (false, None) => match self.as_stored(row).await {
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
