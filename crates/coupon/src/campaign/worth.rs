//! What the coupons of a campaign are worth.

use crate::benefit::{Benefit, BenefitKind, BenefitTitle};
use crate::language::Lang;
use crate::money::Currency;

/// Nothing of it is known by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignWorth {
    /// That of all its amounts.
    pub currency: Option<Currency>,
    pub benefit: Option<Benefit>,
    /// Of the benefit.
    pub title: BenefitTitle,
    /// The most that its live redemptions may cost together.
    pub budget: Option<u64>,
}

impl CampaignWorth {
    /// Whether it has an amount of which nobody could say what money it is.
    pub fn lacks_currency(&self) -> bool {
        let has_amount =
            |it: Benefit| it.min_order.is_some() || !matches!(it.kind, BenefitKind::Text);
        let has_amounts = self.budget.is_some() || self.benefit.is_some_and(has_amount);
        self.currency.is_none() && has_amounts
    }

    /// What a buyer reads: the title, or else a sentence about the benefit.
    pub fn text(&self, lang: Lang) -> Option<String> {
        let sentence = || self.benefit?.sentence(self.currency?, lang);
        self.title.text(lang).map(str::to_owned).or_else(sentence)
    }
}
