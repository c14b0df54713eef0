//! What an order does with a coupon: check, hold, redeem, cancel.

use coupon::calendar::format_instant;
use coupon::coupon::Redemption;
use coupon::ids::CampaignId;
use engine::{CheckView, HoldView, RedemptionEntry, RedemptionView};
use serde::Serialize;
use utoipa::ToSchema;

use super::campaign::CampaignBody;
use super::coupon::CouponBody;
use crate::closed;
use crate::problem_code::{ApiErrorCode, missing_amount};

/// One redemption of a coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Redemption)]
pub struct RedemptionBody {
    /// The code of the coupon, as people read it.
    code: String,
    /// The campaign of the coupon.
    campaign_id: String,
    /// The user who redeemed the coupon; null only if an import did not name one.
    user_id: Option<String>,
    /// The order that redeemed it.
    order_ref: String,
    /// When it was redeemed.
    redeemed_at: String,
    /// When the redemption was cancelled; null if it is not.
    cancelled_at: Option<String>,
    /// What the order cost without any coupon, in the smallest unit of `currency`; null if nobody said it.
    order_amount: Option<u64>,
    /// How much less the order cost with the coupon; null if nobody said or calculated it.
    discount: Option<u64>,
    /// The currency of the amounts; null if there are none.
    currency: Option<&'static str>,
}

impl RedemptionBody {
    fn of(code: &str, campaign: &CampaignId, redemption: &Redemption) -> RedemptionBody {
        let Redemption { by, order, at, worth, cancelled_at } = redemption;
        RedemptionBody {
            code: code.to_owned(),
            campaign_id: campaign.to_string(),
            user_id: by.as_ref().map(ToString::to_string),
            order_ref: order.to_string(),
            redeemed_at: format_instant(*at),
            cancelled_at: cancelled_at.map(format_instant),
            order_amount: worth.and_then(|it| it.order_amount),
            discount: worth.and_then(|it| it.discount),
            currency: worth.map(|it| it.currency.as_str()),
        }
    }
}

impl From<&RedemptionView> for RedemptionBody {
    fn from(view: &RedemptionView) -> RedemptionBody {
        RedemptionBody::of(&view.code, &view.campaign, &view.redemption)
    }
}

impl From<&RedemptionEntry> for RedemptionBody {
    fn from(entry: &RedemptionEntry) -> RedemptionBody {
        RedemptionBody::of(&entry.code, &entry.campaign, &entry.redemption)
    }
}

/// A redemption that was cancelled, and its coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CancelledRedemption)]
pub struct CancelledBody {
    /// The redemption.
    pub redemption: RedemptionBody,
    /// The coupon. Its `expired` says whether it has expired since the redemption.
    pub coupon: CouponBody,
}

/// The hold of a coupon for one order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldBody {
    /// The code of the coupon, as people read it.
    code: String,
    /// The order for which the coupon is held.
    order_ref: String,
    /// When the hold ends: the first instant at which the coupon is no longer held.
    until: String,
    /// How much less the order would cost with the coupon; null if nobody said or can calculate it.
    discount: Option<u64>,
    /// The coupon.
    coupon: CouponBody,
}

impl From<&HoldView> for HoldBody {
    fn from(view: &HoldView) -> HoldBody {
        HoldBody {
            code: view.coupon.code.clone(),
            order_ref: view.order.to_string(),
            until: format_instant(view.until),
            discount: view.worth.and_then(|it| it.discount),
            coupon: CouponBody::from(&view.coupon),
        }
    }
}

/// Whether redeem would succeed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckBody {
    /// Whether redeem would succeed now.
    redeemable: bool,
    /// The problem code that redeem would return; null if `redeemable` is true.
    #[schema(value_type = Option<closed::Refusal>)]
    refusal: Option<&'static str>,
    /// How much less the order would cost with the coupon; null if redeem would not succeed, or if nobody said or can
    /// calculate it.
    discount: Option<u64>,
    /// How much more the order must cost, if `refusal` is `ORDER_TOO_SMALL`; otherwise null.
    missing: Option<u64>,
    /// The coupon; null if redeem with a shared code would first issue one, or if the caller may not see it.
    coupon: Option<CouponBody>,
    /// The campaign of the coupon; null if the caller may not see it.
    campaign: Option<CampaignBody>,
}

impl From<&CheckView> for CheckBody {
    fn from(view: &CheckView) -> CheckBody {
        CheckBody {
            redeemable: view.refusal.is_none(),
            refusal: view.refusal.map(|refusal| ApiErrorCode::from(refusal).as_str()),
            discount: view.worth.and_then(|it| it.discount),
            missing: view.refusal.and_then(missing_amount),
            coupon: view.coupon.as_ref().map(CouponBody::from),
            campaign: Some(CampaignBody::from(&view.campaign)),
        }
    }
}
