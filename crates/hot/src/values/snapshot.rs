//! A coupon as an answer shows it, and the outcome of a change.

use std::sync::Arc;

use coupon::apply::Outcome;
use coupon::campaign::Campaign;
use coupon::coupon::Coupon;

/// Where a coupon lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Here, and it may still change.
    Hot,
    /// In cold, and it is final.
    Cold,
}

/// A coupon with what an answer about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponSnapshot {
    pub coupon: Coupon,
    pub campaign: Arc<Campaign>,
    pub batch_paused: bool,
    pub tier: Tier,
}

/// The outcome of a change, and the coupon after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub outcome: Outcome,
    /// The coupon that the outcome is about; `None` if no coupon was found.
    pub snapshot: Option<CouponSnapshot>,
}
