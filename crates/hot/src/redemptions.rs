//! Redemptions that a store still has rows of: by the order that made them, and newest first.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Redemption;
use coupon::ids::{CampaignId, OrderRef};
use coupon::time::{Day, Millis};

use crate::{CouponSnapshot, Result};

/// Where a page of redemptions ended: the next one begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionPosition {
    /// When the last redemption was made.
    pub at: Millis,
    /// Orders redemptions of one instant. Only the store reads it.
    pub tie: u64,
}

#[derive(Clone, Debug)]
pub struct RedemptionQuery {
    pub campaign: Option<CampaignId>,
    /// Made at this instant or later.
    pub from: Millis,
    /// Made before this instant.
    pub before: Millis,
    /// The end of the page before; `None` for the first page.
    pub after: Option<RedemptionPosition>,
    pub limit: usize,
}

/// A redemption, live or cancelled, and its coupon.
#[derive(Clone, Debug)]
pub struct RedemptionRow {
    pub position: RedemptionPosition,
    pub redemption: Redemption,
    pub snapshot: CouponSnapshot,
}

/// Some redemptions, newest first.
#[derive(Clone, Debug, Default)]
pub struct RedemptionPage {
    /// A coupon that was redeemed twice at one instant has both here.
    pub rows: Vec<RedemptionRow>,
    /// Up to where the store has looked; `None`: to the end.
    pub read_to: Option<RedemptionPosition>,
}

#[async_trait]
pub trait Redemptions: Send + Sync {
    /// The redemptions of coupons that have rows here, newest first, with the cancelled ones: about `limit`, or
    /// fewer, also none, and more may follow. Its cost depends on how many batches and expiry days there are, on a
    /// cluster on `limit` and the hours of the span, but not on how many coupons.
    async fn redemptions(&self, query: RedemptionQuery) -> Result<RedemptionPage>;

    /// The codes of coupons, in whichever tier, that this order may have redeemed. There may be too many, so
    /// look at each coupon. `None`: the store does not keep that.
    async fn codes_of_order(&self, order: &OrderRef) -> Result<Option<Vec<Code>>>;

    /// Deletes what `codes_of_order` knows of redemptions before `before`; returns how much. Looks at all. 0 in a store
    /// whose rows end by themselves.
    async fn forget_orders(&self, _before: Day) -> Result<u64> {
        Ok(0)
    }
}
