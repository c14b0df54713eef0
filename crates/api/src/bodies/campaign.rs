//! Requests that create and change campaigns.

use coupon::calendar::{Date, Zone};
use coupon::campaign::CampaignWorth;
use coupon::ids::Reason;
use engine::{CampaignDraft, CampaignPatch};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::FieldReader;
use super::benefit::benefit_of;
use super::reading::present;
use crate::benefit_body::BenefitBody;
use crate::closed;
use crate::problem::Result;

/// A campaign to create. Give `expires_at` or `expires_on`; everything else may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// The id of the campaign: 1 to 64 of A-Z a-z 0-9 - _ . ~ : If it is left out, the server
    /// chooses one. A request with the same id and the same body always returns the first result.
    pub campaign_id: Option<String>,
    /// The campaign's name for people: 1 to 200 bytes. If it is left out, it is the `campaign_id`.
    pub name: Option<String>,
    /// How many coupons to mint together with the campaign: 0 to 100,000,000,000. This is one small
    /// write for any number. If it is left out, it is 0.
    pub stock: Option<u64>,
    /// How the coupons reach people. If it is left out, it is `shop`.
    #[schema(value_type = Option<closed::Handout>)]
    pub handout: Option<String>,
    /// The one code for everybody, with handout `shared`: 4 to 64 of A-Z 0-9.
    pub shared_code: Option<String>,
    /// Letters and digits that stand in front of each code of the campaign: 1 to 12 of A-Z 0-9.
    pub code_prefix: Option<String>,
    /// First instant at which the coupons work. If it is left out, it is now.
    pub valid_from: Option<String>,
    /// First instant at which the coupons no longer work. Give this, or `expires_on`.
    pub expires_at: Option<String>,
    /// Last day on which the coupons work, in `time_zone`. Give this, or `expires_at`.
    pub expires_on: Option<String>,
    /// The IANA time zone of the dates. If it is left out, it is UTC.
    pub time_zone: Option<String>,
    /// If it is given, a coupon works until the end of the day that many days after its issue: 1 to 3,660.
    #[schema(minimum = 1, maximum = 3660)]
    pub valid_days: Option<u16>,
    /// First instant at which the campaign issues coupons. If it is left out, it issues them from now on.
    pub issue_from: Option<String>,
    /// First instant at which the campaign no longer issues coupons. If it is left out, issuing has no end.
    pub issue_until: Option<String>,
    /// The most coupons that one user may have: 1 to 100. If it is left out, it is 1. `null` means
    /// no limit, and is allowed only with handout `bearer`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100, example = 1)]
    pub per_user_limit: Option<Option<u16>>,
    /// How many days after a redemption it can be cancelled: 0 (never) to 366. If it is left out, it is 30.
    #[schema(maximum = 366, example = 30)]
    pub cancel_days: Option<u16>,
    /// How many days after its expiry a coupon can be extended: 0 to 366. If it is left out, it is 30.
    #[schema(maximum = 366, example = 30)]
    pub extend_days: Option<u16>,
    /// The shop's own JSON object, at most 4 KiB. Users can read it.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    /// The currency of all amounts: three letters of ISO 4217. A benefit with amounts must have one.
    #[schema(min_length = 3, max_length = 3, example = "KRW")]
    pub currency: Option<String>,
    /// What a coupon is worth. If it is left out, the shop knows.
    pub benefit: Option<BenefitBody>,
    /// The most that all redemptions may cost together, less those that were cancelled. A redeem for which too little
    /// is left is refused. Only where couponry runs on one machine.
    #[schema(minimum = 1)]
    pub budget: Option<u64>,
}

impl NewCampaign {
    /// # Errors
    /// `INVALID` with every field that cannot be read.
    pub fn into_draft(self) -> Result<CampaignDraft> {
        let mut reading = FieldReader::default();
        let benefit = self.benefit.and_then(|it| benefit_of(it, &mut reading));
        let (benefit, title) = benefit.unzip();
        let draft = CampaignDraft {
            id: reading.may("campaign_id", self.campaign_id.as_deref()),
            name: self.name,
            stock: self.stock,
            handout: reading.may("handout", self.handout.as_deref()),
            shared_code: reading.may("shared_code", self.shared_code.as_deref()),
            code_prefix: reading.may("code_prefix", self.code_prefix.as_deref()),
            valid_from: reading.instant("valid_from", self.valid_from.as_deref()),
            expires_at: reading.instant("expires_at", self.expires_at.as_deref()),
            expires_on: reading.may::<Date>("expires_on", self.expires_on.as_deref()),
            time_zone: reading.may::<Zone>("time_zone", self.time_zone.as_deref()),
            valid_days: self.valid_days,
            issue_from: reading.instant("issue_from", self.issue_from.as_deref()),
            issue_until: reading.instant("issue_until", self.issue_until.as_deref()),
            per_user_limit: self.per_user_limit,
            cancel_days: self.cancel_days,
            extend_days: self.extend_days,
            metadata: self.metadata.map(|value| value.to_string()),
            worth: CampaignWorth {
                currency: reading.may("currency", self.currency.as_deref()),
                benefit,
                title: title.unwrap_or_default(),
                budget: self.budget,
            },
        };
        reading.done(Some(draft))
    }
}

/// The changes of a campaign. A field that is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignChanges {
    /// The campaign's name for people: 1 to 200 bytes.
    name: Option<String>,
    /// Replaces the whole object, at most 4 KiB; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Value>>,
    /// `true` stops issue, hold and redeem, and check then reports `PAUSED`. `false` allows them again.
    paused: Option<bool>,
    /// First instant at which the campaign issues coupons; `null` means from now on.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    issue_from: Option<Option<String>>,
    /// First instant at which the campaign no longer issues coupons; `null` means that issuing has no end.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    issue_until: Option<Option<String>>,
    /// A later end: the first instant at which the coupons no longer work. Give either this or `expires_on`.
    expires_at: Option<String>,
    /// A later last day on which the coupons work, in the campaign's time zone.
    expires_on: Option<String>,
    /// The most coupons that one user may have. It can only grow, to 100 at most. `null` means no
    /// limit, and is allowed only with handout `bearer`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100)]
    per_user_limit: Option<Option<u16>>,
    /// The currency of all amounts: three letters of ISO 4217; `null` means none. It stays as it is once a coupon
    /// was issued.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 3, example = "KRW")]
    currency: Option<Option<String>>,
    /// What a coupon is worth; `null` means that the shop knows. It stays as it is once a coupon was issued.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<BenefitBody>)]
    benefit: Option<Option<BenefitBody>>,
    /// The most that all redemptions may cost together, and not less than they cost so far; `null` means no limit.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    budget: Option<Option<u64>>,
    /// Why, for people who read the audit later: 1 to 200 bytes.
    reason: Option<String>,
}

impl CampaignChanges {
    pub(crate) fn into_patch(self) -> Result<(CampaignPatch, Option<Reason>)> {
        let mut reading = FieldReader::default();
        let mut instant = |field, text: Option<Option<String>>| {
            text.map(|text| reading.instant(field, text.as_deref()))
        };
        let patch = CampaignPatch {
            issue_from: instant("issue_from", self.issue_from),
            issue_until: instant("issue_until", self.issue_until),
            expires_at: reading.instant("expires_at", self.expires_at.as_deref()),
            expires_on: reading.may("expires_on", self.expires_on.as_deref()),
            name: self.name,
            metadata: self.metadata.map(|value| value.map(|value| value.to_string())),
            paused: self.paused,
            per_user_limit: self.per_user_limit,
            currency: self.currency.map(|text| reading.may("currency", text.as_deref())),
            benefit: self.benefit.map(|it| it.and_then(|it| benefit_of(it, &mut reading))),
            budget: self.budget,
            if_tagged: None,
        };
        let reason = reading.may("reason", self.reason.as_deref());
        reading.done(Some((patch, reason)))
    }
}
