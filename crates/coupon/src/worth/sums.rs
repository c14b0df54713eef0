//! The amounts of many redemptions together.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::{BadWorth, RedemptionWorth};
use crate::money::Currency;

/// The largest sum, at which it stays: stores keep 63 bits. Nine million of the largest orders.
const SUM_MAX: u64 = i64::MAX.unsigned_abs();

/// The amounts of some redemptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AmountSum {
    /// Redemptions of which the order's amount is known.
    pub orders: u64,
    pub order_amount: u64,
    /// How much less these orders cost.
    pub order_discount: u64,
    /// How much less all orders cost.
    pub discount: u64,
}

/// The amounts of redemptions in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencySum {
    pub currency: Currency,
    /// Of all redemptions, cancelled later or not.
    pub redeemed: AmountSum,
    /// Of those that were cancelled.
    pub cancelled: AmountSum,
}

/// One sum for each currency, in the order of their letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorthSums(Vec<CurrencySum>);

impl AmountSum {
    fn of(worth: &RedemptionWorth) -> AmountSum {
        let discount = worth.discount.unwrap_or(0);
        AmountSum {
            orders: worth.order_amount.is_some().into(),
            order_amount: worth.order_amount.unwrap_or(0),
            order_discount: worth.order_amount.map_or(0, |_| discount),
            discount,
        }
    }

    fn numbers(self) -> [u64; 4] {
        [self.orders, self.order_amount, self.order_discount, self.discount]
    }

    fn of_numbers(numbers: [u64; 4]) -> AmountSum {
        let [orders, order_amount, order_discount, discount] = numbers;
        AmountSum { orders, order_amount, order_discount, discount }
    }

    /// These and more.
    fn with(self, more: AmountSum) -> AmountSum {
        let (one, more) = (self.numbers(), more.numbers());
        let sum = |at: usize| one[at].saturating_add(more[at]).min(SUM_MAX);
        AmountSum::of_numbers(std::array::from_fn(sum))
    }
}

impl WorthSums {
    /// Of one redemption.
    pub fn redeemed(worth: &RedemptionWorth) -> WorthSums {
        let (redeemed, cancelled) = (AmountSum::of(worth), AmountSum::default());
        CurrencySum { currency: worth.currency, redeemed, cancelled }.into()
    }

    /// Of one redemption that was cancelled.
    pub fn cancelled(worth: &RedemptionWorth) -> WorthSums {
        let (redeemed, cancelled) = (AmountSum::default(), AmountSum::of(worth));
        CurrencySum { currency: worth.currency, redeemed, cancelled }.into()
    }

    pub fn add(&mut self, more: &WorthSums) {
        for one in &more.0 {
            match self.0.binary_search_by_key(&one.currency.as_str(), |it| it.currency.as_str()) {
                Ok(at) => {
                    let sum = &mut self.0[at];
                    sum.redeemed = sum.redeemed.with(one.redeemed);
                    sum.cancelled = sum.cancelled.with(one.cancelled);
                }
                Err(at) => self.0.insert(at, *one),
            }
        }
    }

    /// Whether no sum of `others` is above the one here.
    pub fn covers(&self, others: &WorthSums) -> bool {
        let numbers = |it: &CurrencySum| [it.redeemed.numbers(), it.cancelled.numbers()];
        others.iter().all(|other| {
            let here = self.iter().find(|it| it.currency == other.currency);
            let here = here.map(numbers).unwrap_or_default();
            here.as_flattened().iter().zip(numbers(other).as_flattened()).all(|(a, b)| a >= b)
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CurrencySum> {
        self.0.iter()
    }
}

impl From<CurrencySum> for WorthSums {
    fn from(sum: CurrencySum) -> WorthSums {
        WorthSums(vec![sum])
    }
}

impl Display for WorthSums {
    /// The text by which stores keep them; never changed.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (nth, sum) in self.0.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { ";" })?;
            f.write_str(sum.currency.as_str())?;
            for number in [sum.redeemed.numbers(), sum.cancelled.numbers()].as_flattened() {
                write!(f, " {number}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for WorthSums {
    type Err = BadWorth;

    fn from_str(text: &str) -> Result<WorthSums, BadWorth> {
        let mut sums = WorthSums::default();
        for text in text.split(';').filter(|text| !text.is_empty()) {
            let (currency, numbers) = text.split_once(' ').ok_or(BadWorth)?;
            let numbers = numbers.split(' ').map(|it| it.parse().map_err(|_| BadWorth));
            let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
            let [a, b, c, d, e, f, g, h] = numbers[..] else { return Err(BadWorth) };
            let [redeemed, cancelled] = [[a, b, c, d], [e, f, g, h]].map(AmountSum::of_numbers);
            let currency = currency.parse().map_err(|_| BadWorth)?;
            sums.add(&CurrencySum { currency, redeemed, cancelled }.into());
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_their_texts() {
        // A name, what was redeemed, what was cancelled of it, and the text.
        let cases: [(&str, &[&str], &[&str], &str); 6] = [
            ("nothing", &[], &[], ""),
            ("one", &["KRW 30000 3000"], &[], "KRW 1 30000 3000 3000 0 0 0 0"),
            (
                "two currencies, in order",
                &["USD 500 -", "KRW - 7"],
                &[],
                "KRW 0 0 0 7 0 0 0 0;USD 1 500 0 0 0 0 0 0",
            ),
            (
                "an order whose amount nobody said",
                &["KRW 5 1", "KRW - 2"],
                &[],
                "KRW 1 5 1 3 0 0 0 0",
            ),
            ("cancelled", &["KRW 5 1", "KRW 6 2"], &["KRW 5 1"], "KRW 2 11 3 3 1 5 1 1"),
            (
                "of another currency",
                &["KRW 5 1"],
                &["USD 3 -"],
                "KRW 1 5 1 1 0 0 0 0;USD 0 0 0 0 1 3 0 0",
            ),
        ];
        let worth = |text: &&str| text.parse::<RedemptionWorth>().unwrap();
        for (name, redeemed, cancelled, want) in cases {
            let mut sums = WorthSums::default();
            redeemed.iter().map(worth).for_each(|it| sums.add(&WorthSums::redeemed(&it)));
            cancelled.iter().map(worth).for_each(|it| sums.add(&WorthSums::cancelled(&it)));
            assert_eq!(sums.to_string(), want, "{name}");
            assert_eq!(want.parse(), Ok(sums), "{name}");
        }
        for damaged in [
            "KRW",
            "KRW 1 2 3 4",
            "KRW 1 2 3 4 5 6 7 8 9",
            "won 1 2 3 4 5 6 7 8",
            "KRW 1 2 3 4 5 6 7 x",
        ] {
            assert_eq!(damaged.parse::<WorthSums>(), Err(BadWorth), "{damaged}");
        }
    }

    #[test]
    fn which_are_above() {
        let cases = [
            ("the same", "KRW 2 11 3 3 1 5 1 1", "KRW 2 11 3 3 1 5 1 1", true),
            ("less", "KRW 2 11 3 3 1 5 1 1", "KRW 1 11 3 3 0 0 0 0", true),
            ("more in one", "KRW 2 11 3 3 1 5 1 1", "KRW 1 12 3 3 1 5 1 1", false),
            ("nothing", "", "", true),
            ("another currency", "KRW 2 11 3 3 1 5 1 1", "USD 0 0 0 1 0 0 0 0", false),
        ];
        for (name, one, other, want) in cases {
            let [one, other] = [one, other].map(|text| text.parse::<WorthSums>().unwrap());
            assert_eq!(one.covers(&other), want, "{name}");
        }
    }

    #[test]
    fn the_largest() {
        let mut sums: WorthSums = format!("KRW 1 {SUM_MAX} 1 1 0 0 0 0").parse().unwrap();
        sums.add(&WorthSums::redeemed(&"KRW 5 5".parse().unwrap()));
        assert_eq!(sums.to_string(), format!("KRW 2 {SUM_MAX} 6 6 0 0 0 0"));
    }
}
