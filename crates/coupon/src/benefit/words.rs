//! A benefit in the words of people.

use super::{Benefit, BenefitKind};
use crate::language::Lang;
use crate::money::{Currency, Price};

/// What a buyer reads, where the shop has said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BenefitTitle {
    pub en: Option<String>,
    pub ko: Option<String>,
}

impl BenefitTitle {
    /// The title in a language, or else in the other one.
    pub fn text(&self, lang: Lang) -> Option<&str> {
        let (own, other) = match lang {
            Lang::En => (&self.en, &self.ko),
            Lang::Ko => (&self.ko, &self.en),
        };
        own.as_deref().or(other.as_deref())
    }
}

impl Benefit {
    /// What a buyer reads if there is no title, such as `10 % off orders of ₩30,000 or more, at most ₩5,000`;
    /// nothing for [`BenefitKind::Text`], which has no words of its own.
    pub fn sentence(&self, currency: Currency, lang: Lang) -> Option<String> {
        let price = |amount| Price { amount, currency };
        let (less, most) = match self.kind {
            BenefitKind::Amount(amount) => (price(amount).to_string(), None),
            BenefitKind::Percent { percent, max_discount } => {
                let blank = if lang == Lang::Ko { "" } else { " " };
                (format!("{percent}{blank}%"), max_discount.map(price))
            }
            BenefitKind::Text => return None,
        };
        let min = self.min_order.map(price);
        Some(match lang {
            Lang::En => {
                let min = min.map_or(String::new(), |min| format!(" orders of {min} or more"));
                let most = most.map_or(String::new(), |most| format!(", at most {most}"));
                format!("{less} off{min}{most}")
            }
            Lang::Ko => {
                let min = min.map_or(String::new(), |min| format!("{min} 이상 주문하면 "));
                let most = most.map_or(String::new(), |most| format!(", 최대 {most}"));
                format!("{min}{less}{most} 할인")
            }
        })
    }
}
