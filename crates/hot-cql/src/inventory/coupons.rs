//! Rows of coupons: all of them, those of a partition in the order of codes, and by their codes.

use coupon::code::Code;
use coupon::time::Day;
use hot::inventory::{Item, Page, RowIs, RowItem};
use hot::{HotError, bounded_join};

use super::AT_ONCE;
use crate::CqlStore;
use crate::archiving::ListedRows;
use crate::coupon_row::{CouponRow, coupon_rows, disagreement};
use crate::values::parsed;
use cql_session::{Result, StatementProfile};

impl CqlStore {
    pub(super) async fn page_of_coupons(&self, after: Option<&str>) -> Result<Page> {
        let (rows, next) = self.scan_page(coupon_rows!(""), after).await?;
        let rows = rows.iter().filter(|row: &&CouponRow| row.is_row());
        let items = rows.map(|row| async move { Ok(Item::Row(self.row_item(row).await?)) });
        Ok(Page { items: bounded_join(AT_ONCE, items).await?, next })
    }

    pub(super) async fn rows_by_code(
        &self,
        day: Day,
        after: &str,
        limit: usize,
    ) -> Result<Vec<RowItem>> {
        // A row between two codes has no valid code, and is not looked for.
        let after = (!after.is_empty()).then(|| parsed::<Code>("code", after)).transpose()?;
        let rows = self.merged(day, after, limit, ListedRows::All).await?;
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
