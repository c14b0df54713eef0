//! What an order does with several coupons.

use coupon::calendar::format_instant;
use engine::{OrderCoupon, OrderView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::closed;
use crate::problem_code::{ApiErrorCode, missing_amount};

/// An order and its coupons.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderAnswer {
    /// The order.
    order_ref: String,
    /// Whether no coupon is `refused` or `missing`.
    complete: bool,
    /// Its coupons, in the order in which they are applied.
    coupons: Vec<OrderCouponBody>,
    /// What the order costs without any coupon; null if nobody said it, or in several currencies.
    order_amount: Option<u64>,
    /// How much less it costs with its coupons, without those that it gave back; null if nobody said or calculated it,
    /// or in several currencies.
    discount: Option<u64>,
    /// The currency of the amounts; null if there are none, or several.
    currency: Option<&'static str>,
}

/// A coupon of an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrderCoupon)]
pub struct OrderCouponBody {
    /// The code of the coupon, as people read it; as the request has it if it is refused.
    #[schema(min_length = 0, max_length = 128, pattern = ".*")]
    code: String,
    /// The campaign of the coupon; null if the coupon is refused.
    campaign_id: Option<String>,
    /// What the coupon is to the order.
    #[schema(value_type = closed::OrderCouponState)]
    state: &'static str,
    /// The problem code that redeem would return, if `state` is `refused`; otherwise null.
    #[schema(value_type = Option<closed::Refusal>)]
    refusal: Option<&'static str>,
    /// How much more the order must cost, if `refusal` is `ORDER_TOO_SMALL`; otherwise null.
    missing: Option<u64>,
    /// How much less the order costs with the coupon; null if nobody said or can calculate it.
    discount: Option<u64>,
    /// When the hold ends, if `state` is `held`; otherwise null.
    held_until: Option<String>,
    /// When the order redeemed it; null if it did not.
    redeemed_at: Option<String>,
    /// When the redemption was cancelled; null if it is not.
    cancelled_at: Option<String>,
}

impl From<&OrderView> for OrderAnswer {
    fn from(view: &OrderView) -> OrderAnswer {
        let worth = view.worth();
        OrderAnswer {
            order_ref: view.order.to_string(),
            complete: view.is_complete(),
            coupons: view.coupons.iter().map(OrderCouponBody::from).collect(),
            order_amount: worth.and_then(|it| it.order_amount),
            discount: worth.and_then(|it| it.discount),
            currency: worth.map(|it| it.currency.as_str()),
        }
    }
}

impl From<&OrderCoupon> for OrderCouponBody {
    fn from(coupon: &OrderCoupon) -> OrderCouponBody {
        let redemption = coupon.redemption.as_ref();
        OrderCouponBody {
            code: coupon.code.clone(),
            campaign_id: coupon.campaign.as_ref().map(ToString::to_string),
            state: coupon.state.as_str(),
            refusal: coupon.refusal.map(|refusal| ApiErrorCode::from(refusal).as_str()),
            missing: coupon.refusal.and_then(missing_amount),
            discount: coupon.worth.and_then(|it| it.discount),
            held_until: coupon.held_until.map(format_instant),
            redeemed_at: redemption.map(|it| format_instant(it.at)),
            cancelled_at: redemption.and_then(|it| it.cancelled_at).map(format_instant),
        }
    }
}
