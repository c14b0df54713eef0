//! Events of the feed.

use coupon::calendar::format_instant;
use coupon::ids::Reason;
use engine::{AuditEvent, CouponEventKind, CouponHappened, EventsView, Happened, ShownEvent};
use serde::Serialize;
use utoipa::ToSchema;

use super::audit::FieldChangeBody;
use crate::benefit_body::BenefitTitleBody;
use crate::closed;

/// Some events.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Events)]
pub struct FeedBody {
    /// The events, oldest first. There may be none.
    #[schema(max_items = 1000)]
    data: Vec<FeedEventBody>,
    /// Send it as `after` to get what happened next. It is there also at the end.
    next_cursor: String,
    /// Whether there are more already.
    has_more: bool,
}

impl From<EventsView> for FeedBody {
    fn from(view: EventsView) -> FeedBody {
        FeedBody {
            data: view.events.into_iter().map(FeedEventBody::from).collect(),
            next_cursor: view.next,
            has_more: !view.is_end,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FeedEvent)]
pub struct FeedEventBody {
    /// Names the event: the same whenever you read it.
    event_id: String,
    /// The cursor behind this event.
    cursor: String,
    /// What happened.
    #[schema(value_type = closed::EventType)]
    r#type: &'static str,
    /// When it was accepted.
    at: String,
    /// Who did it, `role:name`.
    actor: String,
    /// The coupon, as far as the event is about it. Null if it is about something else.
    coupon: Option<FeedCouponBody>,
    /// The change of a campaign, a batch or the store. Null if it is about a coupon.
    change: Option<FeedChangeBody>,
}

/// The change of a campaign, a batch or the store that an event is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FeedChange)]
pub struct FeedChangeBody {
    /// The campaign. Null: the store itself.
    campaign_id: Option<String>,
    /// The batch, if it was one.
    batch_id: Option<String>,
    /// Why, if the caller said it.
    reason: Option<String>,
    /// What is different now. A pause has none.
    #[schema(max_items = 50)]
    changes: Vec<FieldChangeBody>,
}

/// The coupon of an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FeedCoupon)]
pub struct FeedCouponBody {
    /// Its code as people read it.
    code: String,
    /// Its campaign.
    campaign_id: String,
    /// Its batch.
    batch_id: String,
    /// Its version after the change.
    version: u64,
    /// Who has it, or had it before; of a hold, the user of the order. Null: nobody.
    user_id: Option<String>,
    /// The order that redeems, cancels, holds or releases it.
    order_ref: Option<String>,
    /// The name of the issue, if the caller gave one. Behind a shared code it is `order:` and the order.
    // Longer than the `issue_ref` of a request by `order:`.
    #[schema(max_length = 134)]
    issue_ref: Option<String>,
    /// The name of the revoke, if the caller gave one.
    revoke_ref: Option<String>,
    /// Why, if the caller said it.
    reason: Option<String>,
    /// First instant at which it no longer works, if it was issued or extended.
    expires_at: Option<String>,
    /// When the hold ends, if it was held.
    held_until: Option<String>,
    /// What the order of a redemption cost without any coupon, in the smallest unit of `currency`; also if the
    /// redemption was cancelled.
    order_amount: Option<u64>,
    /// How much less that order cost with the coupon; also if the redemption was cancelled.
    discount: Option<u64>,
    /// The currency of the amounts.
    currency: Option<&'static str>,
    /// What the coupon is worth, in words for its user, if it was issued. Null: only the shop knows.
    worth: Option<BenefitTitleBody>,
}

impl FeedEventBody {
    /// The event in a stream. No field has a line break: JSON writes it as two characters.
    pub(crate) fn as_sent(&self) -> String {
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("id: {}\nevent: {}\ndata: {data}\n\n", self.cursor, self.r#type)
    }
}

impl From<ShownEvent> for FeedEventBody {
    fn from(ShownEvent { event, code, worth }: ShownEvent) -> FeedEventBody {
        let event_type = event.happened.event_type().as_str();
        let (coupon, change) = match event.happened {
            Happened::Coupon(coupon) => {
                let code = code.unwrap_or_else(|| coupon.code.to_string());
                let worth = worth.as_ref().and_then(BenefitTitleBody::of_worth);
                (Some(FeedCouponBody::of(code, &coupon, worth)), None)
            }
            Happened::AuditEvent { audit_event, reason } => {
                (None, Some(FeedChangeBody::of(audit_event, reason)))
            }
        };
        FeedEventBody {
            event_id: event.id.to_string(),
            cursor: event.cursor,
            r#type: event_type,
            at: format_instant(event.at),
            actor: event.actor.as_str().to_owned(),
            coupon,
            change,
        }
    }
}

impl FeedCouponBody {
    fn of(
        code: String,
        coupon: &CouponHappened,
        worth: Option<BenefitTitleBody>,
    ) -> FeedCouponBody {
        let kind = coupon.kind;
        let reference =
            |kinds: &[CouponEventKind]| coupon.reference.clone().filter(|_| kinds.contains(&kind));
        let until = coupon.until.map(format_instant);
        let is_held = kind == CouponEventKind::Held;
        FeedCouponBody {
            code,
            campaign_id: coupon.owner.campaign.to_string(),
            batch_id: coupon.owner.batch.to_string(),
            version: coupon.version,
            user_id: coupon.user.as_ref().map(ToString::to_string),
            order_ref: reference(&[
                CouponEventKind::Redeemed,
                CouponEventKind::RedemptionCancelled,
                CouponEventKind::Held,
                CouponEventKind::Released,
            ]),
            issue_ref: reference(&[CouponEventKind::Issued]),
            revoke_ref: reference(&[CouponEventKind::Revoked]),
            reason: coupon.reason.clone(),
            expires_at: until.clone().filter(|_| !is_held),
            held_until: until.filter(|_| is_held),
            order_amount: coupon.worth.and_then(|it| it.order_amount),
            discount: coupon.worth.and_then(|it| it.discount),
            currency: coupon.worth.map(|it| it.currency.as_str()),
            worth,
        }
    }
}

impl FeedChangeBody {
    fn of(audit_event: AuditEvent, reason: Option<Reason>) -> FeedChangeBody {
        FeedChangeBody {
            campaign_id: audit_event.campaign.as_ref().map(ToString::to_string),
            batch_id: audit_event.batch.as_ref().map(ToString::to_string),
            reason: reason.as_ref().map(|reason| reason.as_str().to_owned()),
            changes: audit_event.changes.into_iter().map(FieldChangeBody::from).collect(),
        }
    }
}
