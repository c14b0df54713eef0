//! The money of an order: what the shop says of it, and what stays with the redemption.

mod sums;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::benefit::OrderAmount;
use crate::money::{AMOUNT_MAX, Currency};

pub use sums::{AmountSum, CurrencySum, WorthSums};

/// What a shop says of an order. It may say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderMoney {
    pub amount: Option<OrderAmount>,
    pub currency: Option<Currency>,
    /// How much less the order costs with the coupon, by the shop's own calculation.
    pub discount: Option<u64>,
}

/// The amounts of a redemption; one of them at least is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedemptionWorth {
    /// That of both.
    pub currency: Currency,
    /// What the order costs without any coupon, at most [`AMOUNT_MAX`].
    pub order_amount: Option<u64>,
    /// How much less it costs with this one, at most [`AMOUNT_MAX`].
    pub discount: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("are no amounts of a redemption, such as \"KRW 30000 3000\"")]
pub struct BadWorth;

impl Display for RedemptionWorth {
    /// The text by which stores keep it; never changed.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.currency.as_str())?;
        for amount in [self.order_amount, self.discount] {
            match amount {
                Some(amount) => write!(f, " {amount}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

impl FromStr for RedemptionWorth {
    type Err = BadWorth;

    fn from_str(text: &str) -> Result<RedemptionWorth, BadWorth> {
        let amount = |text: &str| match text {
            "-" => Ok(None),
            text => text.parse().ok().filter(|it| *it <= AMOUNT_MAX).map(Some).ok_or(BadWorth),
        };
        let words: Vec<&str> = text.split(' ').collect();
        let [currency, order_amount, discount] = words.as_slice() else { return Err(BadWorth) };
        let (order_amount, discount) = (amount(order_amount)?, amount(discount)?);
        let currency = currency.parse().map_err(|_| BadWorth)?;
        RedemptionWorth::of(Some(currency), order_amount, discount).ok_or(BadWorth)
    }
}

impl RedemptionWorth {
    /// `None` if there is no amount, or nobody knows of which currency.
    pub fn of(
        currency: Option<Currency>,
        order_amount: Option<u64>,
        discount: Option<u64>,
    ) -> Option<RedemptionWorth> {
        let has_amount = order_amount.or(discount).is_some();
        currency.filter(|_| has_amount).map(|currency| RedemptionWorth {
            currency,
            order_amount,
            discount,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let cases = [
            ("both", "KRW 30000 3000", true),
            ("a discount alone", "KRW - 3000", true),
            ("an order alone", "USD 0 -", true),
            ("nothing", "KRW - -", false),
            ("no currency", "won 1 1", false),
            ("above the most", "KRW 1000000000001 1", false),
            ("a sign", "KRW -5 1", false),
            ("one amount", "KRW 1", false),
            ("more than two", "KRW 1 2 3", false),
        ];
        for (name, text, is_one) in cases {
            let worth = text.parse::<RedemptionWorth>();
            assert_eq!(
                worth.map(|it| it.to_string()),
                is_one.then(|| text.to_owned()).ok_or(BadWorth),
                "{name}"
            );
        }
    }
}
