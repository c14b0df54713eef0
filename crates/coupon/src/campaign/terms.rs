//! The terms of a campaign that the rules depend on.

use super::Handout;
use crate::benefit::{Benefit, Discount};
use crate::money::{AMOUNT_MAX, Currency};
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::worth::{OrderMoney, RedemptionWorth};

/// What [`crate::apply::apply`] needs to know about a coupon's campaign and batch now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub handout: Handout,
    /// Whether the campaign or the coupon's batch is paused.
    pub paused: bool,
    /// First instant at which it issues.
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// Days after a redemption in which it can be cancelled; 0 means never.
    pub cancel_days: u16,
    /// Days after expiry in which a coupon can be extended.
    pub extend_days: u16,
    /// How far the clocks of two nodes may differ, in milliseconds; 0 on one machine.
    pub clock_bound_ms: i64,
    /// That of all amounts.
    pub currency: Option<Currency>,
    pub benefit: Option<Benefit>,
}

impl Terms {
    /// Whether the campaign lets coupons be issued at `at`.
    ///
    /// # Errors
    /// [`Refusal::Paused`], then [`Refusal::IssueClosed`].
    pub fn issues_at(&self, at: Millis) -> Result<(), Refusal> {
        if self.paused {
            return Err(Refusal::Paused);
        }
        match (self.issue_from, self.issue_until) {
            (Some(from), _) if at < from => Err(Refusal::IssueClosed { opens_at: Some(from) }),
            (_, Some(until)) if at >= until => Err(Refusal::IssueClosed { opens_at: None }),
            _ => Ok(()),
        }
    }

    /// What a redemption for an order keeps: the discount as the benefit makes it, or as the shop says
    /// it where the benefit makes none.
    ///
    /// # Errors
    /// [`Refusal::CurrencyMismatch`], [`Refusal::AmountRequired`], [`Refusal::OrderTooSmall`],
    /// [`Refusal::DiscountMismatch`].
    pub fn worth(&self, order: &OrderMoney) -> Result<Option<RedemptionWorth>, Refusal> {
        let currency = match (self.currency, order.currency) {
            (Some(ours), Some(theirs)) if ours != theirs => return Err(Refusal::CurrencyMismatch),
            (ours, theirs) => ours.or(theirs),
        };
        let discount = match self.benefit.map(|it| it.discount(order.amount)).transpose()? {
            Some(Discount::Computed(discount))
                if order.discount.is_none_or(|it| it == discount) =>
            {
                Some(discount)
            }
            Some(Discount::Computed(discount)) => {
                return Err(Refusal::DiscountMismatch { discount });
            }
            Some(Discount::AsTold) | None => order.discount,
        };
        let most = order.amount.map_or(AMOUNT_MAX, |amount| amount.left);
        if discount.is_some_and(|discount| discount > most) {
            return Err(Refusal::DiscountMismatch { discount: most });
        }
        let order_amount = order.amount.map(|amount| amount.whole);
        match RedemptionWorth::of(currency, order_amount, discount) {
            None if order_amount.or(discount).is_some() => Err(Refusal::CurrencyMismatch),
            worth => Ok(worth),
        }
    }
}
