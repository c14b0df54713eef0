//! History: what has happened, over both tiers, as a stream in constant memory.
//!
//! For accountants, analysts, and whoever has to find out what happened to a coupon. Days are
//! local: an instant belongs to the day that clocks of a zone show at it, so of two neighbouring
//! months each redemption is in exactly one.

mod coupons;
mod redemptions;

pub use coupons::{Coupons, CouponsRequest, DayOf};
pub use redemptions::{RedemptionEntry, Redemptions, RedemptionsRequest};

/// Some rows, and how many coupons were looked at for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sifted<T> {
    /// The selected rows, perhaps none.
    pub rows: Vec<T>,
    /// Coupons looked at.
    pub looked_at: u64,
}

#[cfg(test)]
mod tests;
