//! Lists of coupons, page by page.

use coupon::code::Code;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Millis;
use xxhash_rust::xxh3::xxh3_64;

use super::CouponSnapshot;
use crate::CouponFilter;

/// Orders coupons of one instant where rows are sorted: the first 63 bits of XXH3-64 of the code, so that a signed number
/// is the same. Stored; never changed.
pub fn tie(code: &Code) -> u64 {
    xxh3_64(code.as_str().as_bytes()) >> 1
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListScope {
    Holder(UserId),
    Campaign(CampaignId),
    /// Everybody's, by the span of `expires_at` in the filter.
    Everybody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// Latest expiry first.
    Latest,
    /// Soonest expiry first.
    Soonest,
}

/// Where a page ended: the next one begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPosition {
    /// The last coupon's expiry.
    pub expires_at: Millis,
    /// Orders coupons of one expiry. Only the store reads it.
    pub tie: u64,
}

#[derive(Clone, Debug)]
pub struct ListQuery {
    pub scope: ListScope,
    pub filter: CouponFilter,
    pub order: ListOrder,
    /// The end of the page before; `None` for the first page.
    pub after: Option<ListPosition>,
    pub limit: usize,
    /// The moment, for `expired`.
    pub now: Millis,
}

/// One page, and where the next begins.
#[derive(Clone, Debug)]
pub struct ListedPage {
    pub coupons: Vec<CouponSnapshot>,
    pub positions: Vec<ListPosition>,
    /// `None` at the end. A short or empty page may have a next: each reads a bounded number of rows.
    pub next: Option<ListPosition>,
}
