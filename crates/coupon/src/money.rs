//! Money: whole numbers of a currency's smallest unit. 5000 is ₩5,000, and 500 is $5.00.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// Largest amount, of an order and of a budget. JSON of every language has it exactly, and nine
/// million of them can be added up in 63 bits.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000;

/// A currency of ISO 4217 that people pay with: gold and test codes have no smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no currency of ISO 4217, such as KRW or USD: three capital letters")]
pub struct BadCurrency;

impl Currency {
    /// Its three letters.
    pub fn as_str(self) -> &'static str {
        self.0.code()
    }

    /// The amount that people write so, as in `5,000` or `4.99`; `None` if it has more decimals than
    /// the currency, or is above [`AMOUNT_MAX`].
    pub fn amount_of(self, text: &str) -> Option<u64> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = self.digits();
        if decimals.len() > digits || whole.is_empty() {
            return None;
        }
        let number = format!("{}{decimals:0<digits$}", whole.replace(',', ""));
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|amount| is_number && *amount <= AMOUNT_MAX)
    }

    /// Decimals of its main unit.
    fn digits(self) -> usize {
        self.0.exponent().unwrap_or(0).into()
    }
}

impl FromStr for Currency {
    type Err = BadCurrency;

    fn from_str(text: &str) -> Result<Currency, BadCurrency> {
        let known = iso_currency::Currency::from_code(text).filter(|it| it.code() == text);
        known.filter(|it| it.exponent().is_some()).map(Currency).ok_or(BadCurrency)
    }
}

/// An amount as people read it: `₩5,000`, `$5.00`, `KWD 1.250`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub amount: u64,
    pub currency: Currency,
}

impl Price {
    /// Without the currency: `5,000`, `5.00`.
    pub fn number(&self) -> String {
        let digits = self.currency.digits();
        let padded = format!("{:0width$}", self.amount, width = digits + 1);
        let (whole, decimals) = padded.split_at(padded.len() - digits);
        let whole = grouped(whole);
        if digits > 0 { whole + "." + decimals } else { whole }
    }
}

/// The digits of a number with a comma before every three.
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Display for Price {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let symbol = self.currency.0.symbol().symbol;
        // Longer ones are words of a language, which many readers do not know.
        match symbol.chars().count() {
            1 if symbol != "¤" => write!(f, "{symbol}{}", self.number()),
            _ => write!(f, "{} {}", self.currency.as_str(), self.number()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies() {
        let cases = [
            ("won", "KRW", true),
            ("dollars", "USD", true),
            ("replaced by the euro, and kept with redemptions", "HRK", true),
            ("small letters", "usd", false),
            ("gold", "XAU", false),
            ("none", "XXX", false),
            ("a name", "Won", false),
            ("nothing", "", false),
        ];
        for (name, text, want) in cases {
            let parsed = text.parse::<Currency>();
            assert_eq!(parsed.is_ok(), want, "{name}");
            assert_eq!(parsed.map_or("", Currency::as_str), if want { text } else { "" }, "{name}");
        }
    }

    #[test]
    fn prices() {
        let cases = [
            ("no decimals", 5_000, "KRW", "₩5,000"),
            ("two decimals", 500, "USD", "$5.00"),
            ("less than a unit", 5, "EUR", "€0.05"),
            ("three decimals, and a symbol of several letters", 1_250, "KWD", "KWD 1.250"),
            ("three digits", 999, "JPY", "¥999"),
            ("the largest", AMOUNT_MAX, "KRW", "₩1,000,000,000,000"),
            ("nothing", 0, "USD", "$0.00"),
        ];
        for (name, amount, currency, want) in cases {
            let currency = currency.parse().unwrap();
            let price = Price { amount, currency };
            assert_eq!(price.to_string(), want, "{name}");
            assert_eq!(currency.amount_of(&price.number()), Some(amount), "{name}, read again");
        }
    }

    #[test]
    fn what_people_write() {
        let cases = [
            ("no decimals", "USD", "5", Some(500)),
            ("one decimal", "USD", "4.9", Some(490)),
            ("three decimals", "USD", "4.999", None),
            ("decimals of a currency without", "KRW", "5000.5", None),
            ("commas", "KRW", "1,000,000", Some(1_000_000)),
            ("a sign", "KRW", "-5", None),
            ("a plus", "KRW", "+5", None),
            ("nothing before the point", "USD", ".5", None),
            ("nothing", "KRW", "", None),
            ("too much", "KRW", "1000000000001", None),
            ("words", "KRW", "5천", None),
        ];
        for (name, currency, text, want) in cases {
            assert_eq!(currency.parse::<Currency>().unwrap().amount_of(text), want, "{name}");
        }
    }
}
