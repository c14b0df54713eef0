//! What a coupon is worth: how much less an order costs with it.
//!
//! All of it is whole numbers, rounded down to the smallest unit of the currency. Tax, delivery and
//! goods that are left out are the shop's business: it says the amount that the discount is of.

mod words;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::money::AMOUNT_MAX;
use crate::refusal::Refusal;

pub use words::BenefitTitle;

/// What an order must be, and what it then costs less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Benefit {
    pub kind: BenefitKind,
    /// The least order, 1 to [`AMOUNT_MAX`].
    pub min_order: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenefitKind {
    /// So much less, 1 to [`AMOUNT_MAX`].
    Amount(u64),
    /// A share of the order, and at most so much, 1 to [`AMOUNT_MAX`].
    Percent { percent: Percent, max_discount: Option<u64> },
    /// What only its title says, such as a free coffee: the shop knows the discount.
    Text,
}

/// What a benefit makes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// So much, at most what the order costs.
    Computed(u64),
    /// What the shop says.
    AsTold,
}

/// A share in hundredths of a percent: 0.01 to 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no percentage of 0.01 to 100 with at most two decimals")]
pub struct BadPercent;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no benefit, such as \"percent 10 max 5000 from 30000\"")]
pub struct BadBenefit;

/// What the shop says of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderAmount {
    /// What the order costs without any coupon.
    pub whole: u64,
    /// What is left of it by the coupons before this one.
    pub left: u64,
}

impl From<u64> for OrderAmount {
    /// Of an order whose first coupon it is.
    fn from(whole: u64) -> OrderAmount {
        OrderAmount { whole, left: whole }
    }
}

impl Benefit {
    /// How much less an order costs: never more than is left of it.
    ///
    /// # Errors
    /// [`Refusal::AmountRequired`] if the order's amount must be known; [`Refusal::OrderTooSmall`].
    pub fn discount(&self, order: Option<OrderAmount>) -> Result<Discount, Refusal> {
        let Some(order) = order else {
            let needs_none = self.kind == BenefitKind::Text && self.min_order.is_none();
            return if needs_none { Ok(Discount::AsTold) } else { Err(Refusal::AmountRequired) };
        };
        if let Some(min_order) = self.min_order.filter(|min| order.whole < *min) {
            return Err(Refusal::OrderTooSmall { min_order, missing: min_order - order.whole });
        }
        Ok(match self.kind {
            BenefitKind::Amount(amount) => Discount::Computed(amount.min(order.left)),
            BenefitKind::Percent { percent, max_discount } => {
                let share = percent.of(order.left);
                Discount::Computed(max_discount.map_or(share, |max| share.min(max)))
            }
            BenefitKind::Text => Discount::AsTold,
        })
    }
}

impl BenefitKind {
    pub fn as_str(self) -> &'static str {
        match self {
            BenefitKind::Amount(_) => "amount",
            BenefitKind::Percent { .. } => "percent",
            BenefitKind::Text => "text",
        }
    }
}

impl Percent {
    const WHOLE: u16 = 10_000;

    /// This share of an amount, rounded down.
    fn of(self, amount: u64) -> u64 {
        let share = u128::from(amount) * u128::from(self.0) / u128::from(Percent::WHOLE);
        // A share is at most the whole.
        u64::try_from(share).unwrap_or(amount)
    }
}

impl FromStr for Percent {
    type Err = BadPercent;

    /// By its digits: a binary fraction would make 0.07 something else.
    fn from_str(text: &str) -> Result<Percent, BadPercent> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |part: &str, max| {
            (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !are_digits(whole, 3) || !are_digits(decimals, 2) {
            return Err(BadPercent);
        }
        let hundredths = format!("{whole}{decimals:0<2}").parse::<u16>().ok();
        let within = hundredths.filter(|it| (1..=Percent::WHOLE).contains(it));
        within.map(Percent).ok_or(BadPercent)
    }
}

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Display for Benefit {
    /// The text by which stores keep it; never changed.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        match self.kind {
            BenefitKind::Amount(amount) => write!(f, " {amount}")?,
            BenefitKind::Percent { percent, max_discount } => {
                write!(f, " {percent}")?;
                if let Some(max) = max_discount {
                    write!(f, " max {max}")?;
                }
            }
            BenefitKind::Text => {}
        }
        self.min_order.map_or(Ok(()), |min| write!(f, " from {min}"))
    }
}

impl FromStr for Benefit {
    type Err = BadBenefit;

    fn from_str(text: &str) -> Result<Benefit, BadBenefit> {
        let words: Vec<&str> = text.split(' ').collect();
        let (of_kind, min_order) = match words.as_slice() {
            [of_kind @ .., "from", min] => (of_kind, Some(amount(min)?)),
            of_kind => (of_kind, None),
        };
        let kind = match of_kind {
            ["amount", less] => BenefitKind::Amount(amount(less)?),
            ["percent", percent] => {
                BenefitKind::Percent { percent: share(percent)?, max_discount: None }
            }
            ["percent", percent, "max", max] => {
                BenefitKind::Percent { percent: share(percent)?, max_discount: Some(amount(max)?) }
            }
            ["text"] => BenefitKind::Text,
            _ => return Err(BadBenefit),
        };
        Ok(Benefit { kind, min_order })
    }
}

fn amount(text: &str) -> Result<u64, BadBenefit> {
    text.parse().ok().filter(|it| (1..=AMOUNT_MAX).contains(it)).ok_or(BadBenefit)
}

fn share(text: &str) -> Result<Percent, BadBenefit> {
    text.parse().map_err(|_| BadBenefit)
}

#[cfg(test)]
mod tests;
