//! Walks: every coupon of both tiers that has an event or was imported, once each.
//!
//! Invariants: a walk visits partition by partition, in the order of codes, and leaves nothing out,
//! also while a compaction runs. Memory for one chunk of hot and one row group of each file.
//!
//! The walk reads a chunk of a partition from hot, and then what cold has between the same codes,
//! at a version looked up after that. A coupon that is archived in between is in the second, any
//! other in the first; of two versions of a code, the higher one is the coupon.
//!
//! An extension moves a coupon to a later partition, so the walk does not miss it. If the walk has
//! already visited the earlier partition, the coupon comes a second time, in a later version.

mod partition;

use std::sync::Arc;

use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{CouponSnapshot, Tier};

use crate::Engine;
use crate::failure::Result;
pub use partition::PartitionWalk;

/// Coupons read, and handed out, at a time.
const CHUNK: usize = 4_096;

pub(crate) struct CouponWalk {
    pub(crate) engine: Arc<Engine>,
    /// The first day that is still to be visited, and the last one.
    next: Day,
    last: Day,
    partition: Option<PartitionWalk>,
    chunk: usize,
    /// Coupons that the walk has left out so far, because a restored hot store does not know their
    /// campaigns.
    pub(crate) strangers: u64,
}

/// Some rows, and how many coupons were looked at for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiftedRows<T> {
    pub rows: Vec<T>,
    pub looked_at: u64,
}

impl Engine {
    pub(crate) fn walk(self: Arc<Engine>, from: Option<Day>) -> CouponWalk {
        self.walk_by(CHUNK, from)
    }

    fn walk_by(self: Arc<Engine>, chunk: usize, from: Option<Day>) -> CouponWalk {
        let (next, last) = (from.unwrap_or(Day(i32::MIN)), Day(i32::MAX));
        CouponWalk { engine: self, next, last, partition: None, chunk, strangers: 0 }
    }
}

impl CouponWalk {
    /// The same walk, over the partitions up to `last` only.
    pub(crate) fn up_to(self, last: Option<Day>) -> CouponWalk {
        CouponWalk { last: last.unwrap_or(self.last), ..self }
    }

    /// The next coupons that are `wanted`, perhaps none; `None` after the last one.
    ///
    /// # Errors
    /// Those of both stores; a coupon that should be in cold and is not. An error ends the walk.
    pub(crate) async fn next_of(
        &mut self,
        wanted: impl Fn(&Coupon) -> bool,
    ) -> Result<Option<SiftedRows<CouponSnapshot>>> {
        loop {
            if self.partition.is_none() {
                let Some(day) = self.next_day().await? else { return Ok(None) };
                self.partition = Some(PartitionWalk::begin(day, self.chunk));
            }
            let Some(partition) = &mut self.partition else { return Ok(None) };
            match partition.next(&self.engine).await? {
                Some(coupons) => return self.sifted(coupons, wanted).await.map(Some),
                None => {
                    // No coupon expires at the end of the range of days.
                    self.next = Day(partition.day.0.saturating_add(1));
                    self.partition = None;
                }
            }
        }
    }

    /// The next partition, looked up now: an extension may have made a partition since the walk
    /// began.
    async fn next_day(&self) -> Result<Option<Day>> {
        let days = self.next..=self.last;
        // Hot first: a partition that is evicted in between is in cold.
        let hot = self.engine.hot.partitions().await?.into_iter().map(|partition| partition.day);
        let hot = hot.filter(|day| days.contains(day)).min();
        let cold = match self.engine.has_cold().await? {
            true => self.engine.cold.partitions().await?,
            false => Vec::new(),
        };
        let cold =
            cold.into_iter().map(|partition| partition.day).filter(|day| days.contains(day)).min();
        Ok(hot.into_iter().chain(cold).min())
    }

    async fn sifted(
        &mut self,
        coupons: Vec<(Coupon, Tier)>,
        wanted: impl Fn(&Coupon) -> bool,
    ) -> Result<SiftedRows<CouponSnapshot>> {
        let looked_at = coupons.len() as u64;
        let coupons = coupons.into_iter().filter(|(coupon, _)| wanted(coupon));
        let coupons: Vec<_> = coupons.map(|(coupon, tier)| ((), coupon, tier)).collect();
        let found = coupons.len();
        let snapshots = self.engine.snapshots_of(coupons).await?;
        let rows: Vec<_> = snapshots.into_iter().map(|((), snapshot)| snapshot).collect();
        self.strangers += (found - rows.len()) as u64;
        Ok(SiftedRows { rows, looked_at })
    }
}

#[cfg(test)]
mod tests;
