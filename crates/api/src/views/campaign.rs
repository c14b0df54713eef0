//! A campaign.

use coupon::calendar::format_instant;
use coupon::money::Currency;
use coupon::time::Millis;
use engine::{CampaignView, ExtensionProgress};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::benefit_body::{BenefitBody, BenefitTitleBody};
use crate::closed;

/// A campaign. For a user, `shared_code`, `code_prefix`, `stock`, `budget` and the counts are null.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignBody {
    /// The id of the campaign.
    campaign_id: String,
    /// The campaign's name for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// How the coupons reach people.
    #[schema(value_type = closed::Handout)]
    handout: &'static str,
    /// How many coupons all its batches have together.
    stock: Option<u64>,
    /// How many are issued and not redeemed, at `counted_at`.
    issued: Option<u64>,
    /// How many are redeemed, at `counted_at`.
    redeemed: Option<u64>,
    /// How many are void, at `counted_at`.
    void: Option<u64>,
    /// Whether it is paused.
    paused: bool,
    /// The one code for everybody; null unless the handout is `shared`.
    shared_code: Option<String>,
    /// Letters and digits that stand in front of each code of the campaign.
    code_prefix: Option<String>,
    /// First instant at which the coupons work.
    valid_from: String,
    /// First instant at which the coupons no longer work.
    expires_at: String,
    /// Last day on which the coupons work, in `time_zone`.
    expires_on: String,
    /// The IANA time zone of the dates.
    time_zone: String,
    /// If it is not null, a coupon works until the end of the day that many days after its issue.
    #[schema(minimum = 1, maximum = 3660)]
    valid_days: Option<u16>,
    /// First instant at which the campaign issues coupons.
    issue_from: Option<String>,
    /// First instant at which the campaign no longer issues coupons.
    issue_until: Option<String>,
    /// The most coupons that one user may have; null means no limit.
    #[schema(minimum = 1, maximum = 100)]
    per_user_limit: Option<u16>,
    /// How many days after a redemption it can be cancelled.
    #[schema(maximum = 366)]
    cancel_days: u16,
    /// How many days after its expiry a coupon can be extended.
    #[schema(maximum = 366)]
    extend_days: u16,
    /// The shop's own JSON object, at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// The currency of all amounts: three letters of ISO 4217.
    #[schema(min_length = 3, max_length = 3, example = "KRW")]
    currency: Option<&'static str>,
    /// What a coupon is worth; null if only the shop knows.
    benefit: Option<BenefitBody>,
    /// What a buyer reads of the benefit: its title, or else a sentence that the server makes. Null without a benefit.
    worth: Option<BenefitTitleBody>,
    /// The most that all redemptions may cost together; null means no limit.
    #[schema(minimum = 1)]
    budget: Option<u64>,
    /// What its redemptions cost so far, less those that were cancelled; null if there is no budget.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    spent: Option<u64>,
    /// How far its coupons have got the later end that it was given; null if it was given none, or has ended.
    extension: Option<ExtensionBody>,
    /// When the campaign was created.
    created_at: String,
    /// When the coupons were counted.
    counted_at: Option<String>,
}

/// How far the coupons of a campaign have got its later end. Those to which nothing has happened have it at once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Extension)]
pub(crate) struct ExtensionBody {
    /// Issued, imported and held coupons that have it by now.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    extended: u64,
    /// Coupons that could not get it when they were last tried: they are held, or their history is full.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    refused: u64,
    /// When all of them were tried the last time; null if that has not happened yet.
    finished_at: Option<String>,
}

impl ExtensionBody {
    fn of(progress: &ExtensionProgress) -> ExtensionBody {
        ExtensionBody {
            extended: progress.extended,
            refused: progress.refused,
            finished_at: progress.finished_at.map(|at| format_instant(Millis(at))),
        }
    }
}

pub(super) fn metadata_of(view: &CampaignView) -> Option<Value> {
    view.campaign.metadata.as_ref().and_then(|text| serde_json::from_str(text).ok())
}

impl From<&CampaignView> for CampaignBody {
    fn from(view: &CampaignView) -> CampaignBody {
        let (campaign, counts) = (&view.campaign, view.counts.map(|(counts, _)| counts));
        let worth = &campaign.worth;
        let inside = |text: Option<String>| text.filter(|_| counts.is_some());
        CampaignBody {
            campaign_id: campaign.id.to_string(),
            name: campaign.name.clone(),
            handout: campaign.handout.as_str(),
            stock: counts.map(|counts| counts.stock),
            issued: counts.map(|counts| counts.issued),
            redeemed: counts.map(|counts| counts.redeemed),
            void: counts.map(|counts| counts.void),
            paused: campaign.paused,
            shared_code: inside(campaign.shared_code.as_ref().map(ToString::to_string)),
            code_prefix: inside(campaign.code_prefix.as_ref().map(ToString::to_string)),
            valid_from: format_instant(campaign.valid_from),
            expires_at: format_instant(campaign.expires_at),
            expires_on: campaign.expires_on().to_string(),
            time_zone: campaign.zone.name().to_owned(),
            valid_days: campaign.valid_days,
            issue_from: campaign.issue_from.map(format_instant),
            issue_until: campaign.issue_until.map(format_instant),
            per_user_limit: campaign.per_user_limit,
            cancel_days: campaign.cancel_days,
            extend_days: campaign.extend_days,
            metadata: metadata_of(view),
            currency: worth.currency.map(Currency::as_str),
            benefit: worth.benefit.map(|it| BenefitBody::of(&it, &worth.title)),
            worth: BenefitTitleBody::of_worth(worth),
            budget: worth.budget.filter(|_| counts.is_some()),
            spent: view.spent.filter(|_| worth.budget.is_some()),
            extension: view.extension.as_ref().map(ExtensionBody::of),
            created_at: format_instant(campaign.created_at),
            counted_at: view.counts.map(|(_, at)| format_instant(at)),
        }
    }
}
