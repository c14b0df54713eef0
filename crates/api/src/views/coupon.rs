//! A coupon, and its history.

use coupon::calendar::format_instant;
use engine::{CampaignView, CouponView, EventView};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::campaign::metadata_of;
use crate::benefit_body::BenefitTitleBody;
use crate::closed;

/// A coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Coupon)]
pub struct CouponBody {
    /// The code as people read it. Hyphens, spaces and case do not matter when it is sent back.
    code: String,
    /// The campaign that it belongs to.
    pub(crate) campaign_id: String,
    /// The batch that it came in.
    batch_id: String,
    /// Its present state.
    #[schema(value_type = closed::CouponState)]
    state: &'static str,
    /// Whether `expires_at` has passed.
    expired: bool,
    /// Whether its campaign or its batch is paused.
    paused: bool,
    /// The user who has it or redeemed it; null if there is none, or if the caller may not see it.
    holder: Option<String>,
    /// First instant at which it works.
    valid_from: String,
    /// First instant at which it no longer works.
    expires_at: String,
    /// Last day on which it works, in `time_zone`.
    expires_on: String,
    /// The IANA time zone of `expires_on`.
    time_zone: String,
    /// When the present hold ends; null if no order holds it.
    held_until: Option<String>,
    /// When it was issued to its holder.
    issued_at: Option<String>,
    /// When it was redeemed.
    redeemed_at: Option<String>,
    /// The order that redeemed it, or that holds it now.
    order_ref: Option<String>,
    /// When its batch was created, or when its line was imported.
    created_at: String,
    /// When it last changed.
    modified_at: String,
    /// Grows with each change; 0 before the first.
    version: u64,
    /// Where it is stored.
    #[schema(value_type = closed::Tier)]
    tier: &'static str,
    /// What the order that redeemed it cost without any coupon, in the smallest unit of `currency`; null if nobody
    /// said it.
    order_amount: Option<u64>,
    /// How much less that order cost with the coupon; null if nobody said or calculated it.
    discount: Option<u64>,
    /// The currency of the amounts; null if there are none.
    currency: Option<&'static str>,
}

/// What a wallet shows of the campaign of a coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CouponCampaign {
    /// The campaign's name for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The shop's own JSON object, at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// What the coupon is worth, in words for its user. Null: only the shop knows.
    worth: Option<BenefitTitleBody>,
}

impl From<&CouponView> for CouponBody {
    fn from(view: &CouponView) -> CouponBody {
        let coupon = &view.coupon;
        let shown = |text: Option<String>| text.filter(|_| view.in_full);
        let worth = coupon.redemption().and_then(|it| it.worth).filter(|_| view.in_full);
        CouponBody {
            code: view.code.clone(),
            campaign_id: coupon.genesis().campaign.to_string(),
            batch_id: coupon.genesis().batch.to_string(),
            state: coupon.state().as_str(),
            expired: view.expired,
            paused: view.paused,
            holder: shown(coupon.holder().map(ToString::to_string)),
            valid_from: format_instant(coupon.genesis().valid_from),
            expires_at: format_instant(coupon.expires_at()),
            expires_on: coupon.expires_on().to_string(),
            time_zone: coupon.zone().name().to_owned(),
            held_until: view.held_until.map(format_instant),
            issued_at: coupon.issued_at().map(format_instant),
            redeemed_at: coupon.redemption().map(|redemption| format_instant(redemption.at)),
            order_ref: shown(view.order.as_ref().map(ToString::to_string)),
            created_at: format_instant(coupon.genesis().created_at),
            modified_at: format_instant(coupon.modified_at()),
            version: coupon.version(),
            tier: view.tier.as_str(),
            order_amount: worth.and_then(|it| it.order_amount),
            discount: worth.and_then(|it| it.discount),
            currency: worth.map(|it| it.currency.as_str()),
        }
    }
}

/// A coupon in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ListedCoupon)]
pub struct ListedCoupon {
    #[serde(flatten)]
    coupon: CouponBody,
    /// What a wallet shows of its campaign; null without `expand=campaign`.
    campaign: Option<CouponCampaign>,
}

impl ListedCoupon {
    pub(crate) fn campaign_id(&self) -> &str {
        &self.coupon.campaign_id
    }

    pub(crate) fn expand(&mut self, view: &CampaignView) {
        let (name, metadata) = (view.campaign.name.clone(), metadata_of(view));
        let worth = BenefitTitleBody::of_worth(&view.campaign.worth);
        self.campaign = Some(CouponCampaign { name, metadata, worth });
    }
}

impl From<&CouponView> for ListedCoupon {
    fn from(view: &CouponView) -> ListedCoupon {
        ListedCoupon { coupon: CouponBody::from(view), campaign: None }
    }
}

/// A coupon with its history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CouponWithEvents)]
pub struct CouponDetail {
    #[serde(flatten)]
    coupon: CouponBody,
    /// Its history, oldest event first. A user sees the events since the coupon became theirs. A
    /// user who only has the code of a bearer coupon sees no events.
    #[schema(max_items = 32)]
    events: Vec<EventBody>,
}

impl From<&CouponView> for CouponDetail {
    fn from(view: &CouponView) -> CouponDetail {
        CouponDetail {
            coupon: CouponBody::from(view),
            events: view.events().iter().map(EventBody::from).collect(),
        }
    }
}

/// One event in the history of a coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// Its number in this history, from 1.
    #[schema(value_type = u32, minimum = 1, maximum = 32)]
    sequence: usize,
    /// What happened.
    #[schema(value_type = closed::EventKind)]
    kind: &'static str,
    /// When it happened.
    at: String,
    /// Who did it, as `role:name`. Of other people, a user sees only the role.
    #[schema(max_length = 80)]
    actor: String,
    /// The `issue_ref`, `order_ref` or `revoke_ref` of the request. If it has none, the reason. A
    /// user does not see the reasons of others.
    #[schema(max_length = 200)]
    reference: Option<String>,
}

impl From<&EventView<'_>> for EventBody {
    fn from(event: &EventView<'_>) -> EventBody {
        EventBody {
            sequence: event.sequence,
            kind: event.kind,
            at: format_instant(event.at),
            actor: event.actor.to_owned(),
            reference: event.reference.map(str::to_owned),
        }
    }
}
