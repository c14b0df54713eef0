//! History: what has happened, over both tiers, as a stream in constant memory.
//!
//! For accountants, analysts, and whoever has to find out what happened to a coupon. Days are
//! local: an instant belongs to the day that clocks of a zone show at it, so of two neighbouring
//! months each redemption is in exactly one.

mod coupons;
mod redemptions;

use coupon::coupon::Coupon;
use hot::CouponSnapshot;

use crate::Engine;
use crate::failure::Result;
use crate::walk::{CouponWalk, SiftedRows};

pub use coupons::{CouponsRequest, DayOf};
pub(crate) use redemptions::redemptions_of;
pub use redemptions::{RedemptionEntry, RedemptionsRequest};

type RowExtractor<T> = dyn Fn(&Engine, &CouponSnapshot) -> Vec<T> + Send + Sync;

/// A stream of rows, by partition and by code; those of one coupon in their order.
pub struct HistoryStream<T> {
    walk: CouponWalk,
    takes: Box<dyn Fn(&Coupon) -> bool + Send + Sync>,
    rows: Box<RowExtractor<T>>,
}

impl<T> HistoryStream<T> {
    /// The next rows, perhaps none; `None` after the last ones.
    ///
    /// # Errors
    /// Those of both stores. An error ends the stream.
    pub async fn next(&mut self) -> Result<Option<SiftedRows<T>>> {
        let Some(found) = self.walk.next_of(&self.takes).await? else { return Ok(None) };
        let engine: &Engine = &self.walk.engine;
        let rows = found.rows.iter().flat_map(|snapshot| (self.rows)(engine, snapshot)).collect();
        Ok(Some(SiftedRows { rows, looked_at: found.looked_at }))
    }

    /// Coupons left out so far because a restored hot store does not know their campaigns.
    pub fn strangers(&self) -> u64 {
        self.walk.strangers
    }
}

#[cfg(test)]
mod tests;
