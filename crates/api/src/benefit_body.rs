//! A benefit as JSON, in requests and in answers.

use coupon::benefit::{Benefit, BenefitKind, BenefitTitle};
use coupon::campaign::CampaignWorth;
use coupon::language::Lang;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::closed;

/// What the coupons are worth. Amounts are whole numbers of the smallest unit of `currency`: 5000 is
/// ₩5,000, and 500 is $5.00.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Benefit)]
pub struct BenefitBody {
    /// How the discount is calculated.
    #[schema(value_type = closed::BenefitKind)]
    pub(crate) kind: String,
    /// How much less an order costs, with kind `amount`: 1 to 1,000,000,000,000. Never more than the order.
    #[schema(minimum = 1)]
    pub(crate) amount: Option<u64>,
    /// The share of the order, with kind `percent`: 0.01 to 100 with at most two decimals. The discount is
    /// rounded down.
    #[schema(value_type = Option<f64>, minimum = 0.01, maximum = 100, example = 12.5)]
    pub(crate) percent: Option<Number>,
    /// The largest discount, with kind `percent`: 1 to 1,000,000,000,000.
    #[schema(minimum = 1)]
    pub(crate) max_discount: Option<u64>,
    /// The least order, 1 to 1,000,000,000,000.
    #[schema(minimum = 1)]
    pub(crate) min_order: Option<u64>,
    /// What a buyer reads instead of a sentence that the server makes. Kind `text` must have one.
    pub(crate) title: Option<BenefitTitleBody>,
}

/// What a buyer reads of a benefit, in one language or both. A request has 1 to 200 bytes of each; an answer has
/// both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BenefitTitle)]
pub struct BenefitTitleBody {
    /// In English.
    pub(crate) en: Option<String>,
    /// In Korean.
    pub(crate) ko: Option<String>,
}

impl BenefitBody {
    pub(crate) fn of(benefit: &Benefit, title: &BenefitTitle) -> BenefitBody {
        let (amount, percent, max_discount) = match benefit.kind {
            BenefitKind::Amount(amount) => (Some(amount), None, None),
            BenefitKind::Percent { percent, max_discount } => {
                (None, percent.to_string().parse().ok(), max_discount)
            }
            BenefitKind::Text => (None, None, None),
        };
        let BenefitTitle { en, ko } = title.clone();
        BenefitBody {
            kind: benefit.kind.as_str().to_owned(),
            amount,
            percent,
            max_discount,
            min_order: benefit.min_order,
            title: (en.is_some() || ko.is_some()).then_some(BenefitTitleBody { en, ko }),
        }
    }
}

impl BenefitTitleBody {
    /// In both languages; `None` if nobody has said what a coupon is worth.
    pub fn of_worth(worth: &CampaignWorth) -> Option<BenefitTitleBody> {
        let en = worth.text(Lang::En)?;
        Some(BenefitTitleBody { en: Some(en), ko: worth.text(Lang::Ko) })
    }
}
