//! What a partition still has in hot, in the order of codes.

use std::sync::Arc;

use coupon::code::Code;
use coupon::time::Day;

use super::AT_ONCE;
use crate::CqlStore;
use crate::coupon_row::CouponRow;
use crate::coupons::BUCKETS_OF_A_READ;
use cql_session::Result;
use hot::bounded_join;
use router::merging::{Page, Wanted, Window, together};

/// Buckets that are read at a time. The node that gets a statement reads all its buckets at once.
const BUCKETS_AT_ONCE: usize = 4 * BUCKETS_OF_A_READ;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListedRows {
    All,
    /// Coupons and archived markers, no forwarding rows.
    Residue,
}

impl ListedRows {
    fn lists(self, row: &CouponRow) -> bool {
        self == ListedRows::All || row.forward_to().is_none()
    }
}

/// Rows that were read ahead are kept for the next page.
pub(crate) struct BucketMerge {
    day: Day,
    listed: ListedRows,
    after: Option<Code>,
    window: Window<CouponRow>,
}

pub(crate) type KeptMerge = Arc<tokio::sync::Mutex<Option<BucketMerge>>>;

impl CqlStore {
    pub(crate) async fn merged(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
        listed: ListedRows,
    ) -> Result<Vec<CouponRow>> {
        let Some(bits) = self.bits(day).await? else { return Ok(Vec::new()) };
        let mut merges = self.merge.lock().await;
        let residue = merges
            .take()
            .filter(|merge| merge.day == day && merge.listed == listed && merge.after == after);
        let mut merge = match residue {
            Some(merge) if after.is_some() => merge,
            _ => BucketMerge { day, listed, window: Window::new(1 << bits, after.as_ref()), after },
        };
        let mut rows = Vec::new();
        while rows.len() < limit {
            let wanted = merge.window.wanted();
            if !wanted.is_empty() {
                self.read_ahead(&mut merge, wanted).await?;
                continue;
            }
            let Some((code, row)) = merge.window.pop() else { break };
            merge.after = Some(code);
            rows.push(row);
        }
        *merges = (!rows.is_empty()).then_some(merge);
        Ok(rows)
    }

    async fn read_ahead(&self, merge: &mut BucketMerge, wanted: Vec<Wanted>) -> Result<()> {
        let (day, listed) = (merge.day, merge.listed);
        let groups: Vec<&[Wanted]> = together(&wanted, BUCKETS_OF_A_READ).collect();
        let widest = groups.iter().map(|some| some.len()).max().unwrap_or(1);
        let at_once = (BUCKETS_AT_ONCE / widest).min(AT_ONCE);
        let reads = groups.into_iter().map(|some| self.read_together(day, listed, some));
        let pages: Vec<Vec<(usize, Page<CouponRow>)>> = bounded_join(at_once, reads).await?;
        for (bucket, page) in pages.into_iter().flatten() {
            merge.window.fill(bucket, page);
        }
        Ok(())
    }

    /// Reads buckets that continue after the same code.
    async fn read_together(
        &self,
        day: Day,
        listed: ListedRows,
        some: &[Wanted],
    ) -> Result<Vec<(usize, Page<CouponRow>)>> {
        let Some(first) = some.first() else { return Ok(Vec::new()) };
        let after = first.after.as_ref().map_or("", Code::as_str);
        let limit = i32::try_from(first.limit).unwrap_or(i32::MAX);
        let buckets = some.iter().map(|it| i32::try_from(it.bucket).unwrap_or(i32::MAX));
        let buckets: Vec<i32> = buckets.collect();
        let read = self.rows_of_buckets(day, &buckets, after, limit).await?;
        let pages = some.iter().zip(read).map(|(wanted, read)| {
            let ended = read.len() < wanted.limit;
            let last = read.last().map(CouponRow::code).transpose()?;
            let rows = read.into_iter().filter(|row| listed.lists(row));
            let rows = rows.map(|row| Ok((row.code()?, row))).collect::<Result<Vec<_>>>()?;
            Ok((wanted.bucket, Page { rows, last, ended }))
        });
        pages.collect()
    }
}
