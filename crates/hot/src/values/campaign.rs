//! Campaigns and batches: how they are asked for, and how they are shown.

use std::error::Error;
use std::sync::Arc;

use coupon::benefit::{Benefit, BenefitTitle};
use coupon::calendar::Date;
use coupon::campaign::{Campaign, CampaignCounts, CampaignWorth};
use coupon::ids::BatchId;
use coupon::minted::KeyId;
use coupon::money::Currency;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRow {
    pub campaign: Arc<Campaign>,
    pub counts: CampaignCounts,
    /// The moment for which the counts hold.
    pub counted_at: Millis,
    /// What its live redemptions cost; 0 in a store that keeps no budgets.
    pub spent: u64,
    /// See [`NewCampaign::created_as`].
    pub created_as: String,
}

#[derive(Clone, Debug)]
pub struct NewCampaign {
    pub campaign: Campaign,
    /// The request in one normal form: the same name with the same form is a replay.
    pub created_as: String,
    pub first_batch: Option<MintOrder>,
}

#[derive(Clone, Debug)]
pub struct MintOrder {
    pub id: BatchId,
    pub count: u64,
    pub key: KeyId,
}

/// What `PATCH` changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignPatch {
    pub name: Option<String>,
    /// New metadata, or none.
    pub metadata: Option<Option<String>>,
    pub paused: Option<bool>,
    pub issue_from: Option<Option<Millis>>,
    pub issue_until: Option<Option<Millis>>,
    /// New end, which is later than the present one. Either this or `expires_on`.
    pub expires_at: Option<Millis>,
    /// New last day, in the zone of the campaign.
    pub expires_on: Option<Date>,
    /// New limit; only upwards. `Some(None)`, no limit, is for bearer campaigns alone.
    pub per_user_limit: Option<Option<u16>>,
    /// New currency, or none; only while no coupon has been issued.
    pub currency: Option<Option<Currency>>,
    /// New benefit with its title, or none; only while no coupon has been issued.
    pub benefit: Option<Option<(Benefit, BenefitTitle)>>,
    /// New budget, or none; not below what is spent.
    pub budget: Option<Option<u64>>,
    /// Change it only if what may change has one of these [tags](crate::protocol::terms_tag).
    pub if_tagged: Option<Vec<u64>>,
}

impl CampaignPatch {
    /// Whether the counts must be known: what issued coupons are worth stays as it is, and a budget is not below what
    /// is spent.
    pub fn needs_counts(&self) -> bool {
        self.currency.is_some() || self.benefit.is_some() || self.budget.is_some()
    }
}

/// The outcome of a [`CampaignPatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched {
    Done(CampaignRow),
    NotFound,
    LimitNotRaised {
        present: Option<u16>,
    },
    /// The end cannot become the wanted one: not a later one, its days are closing, or it became a later one too often.
    NotExtended(Refusal),
    /// `issue_from` would not be before `issue_until`.
    WindowEmpty,
    /// What coupons are worth stays as it is once one has been issued.
    WorthFixed,
    /// The amounts of the benefit, or the budget, would have no currency.
    CurrencyMissing,
    /// The budget would be below what its redemptions cost.
    BudgetBelow {
        spent: u64,
    },
    /// What may change has another tag than the patch wants.
    OtherTag,
}

/// The text by which stores keep the ends that a campaign had before: `None` without any.
pub fn earlier_ends_text(campaign: &Campaign) -> Option<String> {
    let ends: Vec<i64> = campaign.earlier_ends.iter().map(|end| end.0).collect();
    (!ends.is_empty()).then(|| Value::from(ends).to_string())
}

/// The ends that a campaign had before, by their text.
pub fn earlier_ends_of(text: Option<&str>) -> Result<Vec<Millis>, serde_json::Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let ends: Vec<i64> = serde_json::from_str(text)?;
    Ok(ends.into_iter().map(Millis).collect())
}

/// The text by which stores keep what coupons are worth: JSON with what is there; `None` of nothing.
pub fn worth_text(worth: &CampaignWorth) -> Option<String> {
    let CampaignWorth { currency, benefit, title, budget } = worth;
    let fields = [
        ("currency", currency.map(|it| it.as_str().to_owned())),
        ("benefit", benefit.map(|it| it.to_string())),
        ("title_en", title.en.clone()),
        ("title_ko", title.ko.clone()),
        ("budget", budget.map(|it| it.to_string())),
    ];
    let fields: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?.into())))
        .collect();
    (!fields.is_empty()).then(|| Value::Object(fields).to_string())
}

/// What coupons are worth, by its text.
pub fn worth_of(text: Option<&str>) -> Result<CampaignWorth, Box<dyn Error + Send + Sync>> {
    let Some(text) = text else { return Ok(CampaignWorth::default()) };
    let fields: Map<String, Value> = serde_json::from_str(text)?;
    let field = |name| fields.get(name).and_then(Value::as_str);
    Ok(CampaignWorth {
        currency: field("currency").map(str::parse).transpose()?,
        benefit: field("benefit").map(str::parse).transpose()?,
        budget: field("budget").map(str::parse).transpose()?,
        title: BenefitTitle {
            en: field("title_en").map(str::to_owned),
            ko: field("title_ko").map(str::to_owned),
        },
    })
}
