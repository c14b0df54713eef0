//! Positions: where in a list of both tiers a page ended.

use std::cmp::Ordering;

use coupon::code::Code;
use coupon::time::Millis;
use hot::{ListOrder, ListPosition};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorPosition {
    pub expires_at: Millis,
    /// Orders coupons with one expiry.
    pub tie: TieBreaker,
}

/// The order of what has one instant, coupons with one expiry or redemptions: first that of hot, then that of cold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TieBreaker {
    /// By the number that the hot store gives each row.
    Hot(u64),
    Cold(Code),
}

impl CursorPosition {
    pub(super) fn order(&self, other: &CursorPosition, order: ListOrder) -> Ordering {
        let by_expiry = match order {
            ListOrder::Soonest => self.expires_at.cmp(&other.expires_at),
            ListOrder::Latest => other.expires_at.cmp(&self.expires_at),
        };
        by_expiry.then_with(|| self.tie.order(&other.tie, order))
    }

    /// The position in hot after which everything lies that is after this one.
    pub(super) fn in_hot(&self, order: ListOrder) -> ListPosition {
        ListPosition { expires_at: self.expires_at, tie: self.tie.in_hot(order) }
    }
}

impl TieBreaker {
    pub(crate) fn order(&self, other: &TieBreaker, order: ListOrder) -> Ordering {
        match (self, other, order) {
            (TieBreaker::Hot(one), TieBreaker::Hot(other), ListOrder::Latest) => other.cmp(one),
            (one, other, _) => one.cmp(other),
        }
    }

    /// The number in hot behind which everything lies that is behind this tie.
    pub(crate) fn in_hot(&self, order: ListOrder) -> u64 {
        match (self, order) {
            (TieBreaker::Hot(tie), _) => *tie,
            // The pages so far have all of hot's rows of this instant.
            (TieBreaker::Cold(_), ListOrder::Soonest) => u64::MAX >> 1,
            (TieBreaker::Cold(_), ListOrder::Latest) => 0,
        }
    }
}

impl From<&ListPosition> for CursorPosition {
    fn from(position: &ListPosition) -> CursorPosition {
        CursorPosition { expires_at: position.expires_at, tie: TieBreaker::Hot(position.tie) }
    }
}
