//! Requests about one coupon: one for each call, but that `check` takes the request of `redeem`.

use coupon::benefit::OrderAmount;
use coupon::calendar::{Date, Zone};
use coupon::ids::{IssueRef, OrderRef, Reason, RevokeRef, UserId};
use coupon::worth::OrderMoney;
use engine::{AdminChange, NewExpiry};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{FieldReader, NUMBER_MAX};
use crate::extract::IdempotencyKey;
use crate::problem::Result;

/// The user who gets a coupon of a campaign.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// The user who gets the coupon. A user leaves it out: they get it themselves.
    user_id: Option<String>,
    /// Identifies this request and does not expire: a repeat returns the same coupon. It is required if
    /// `per_user_limit` is not 1. `replaces:CODE` asks for a replacement of the coupon CODE.
    issue_ref: Option<String>,
}

impl IssueRequest {
    pub(crate) fn read(&self, key: &IdempotencyKey) -> Result<(Option<UserId>, Option<IssueRef>)> {
        let mut reading = FieldReader::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        let reference = key.or_in("issue_ref", self.issue_ref.as_deref())?;
        let reference = reading.may("issue_ref", reference);
        reading.done(Some((user, reference)))
    }
}

/// The user who gets this coupon.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueCouponRequest {
    /// The user who gets the coupon. A user leaves it out: they get it themselves.
    user_id: Option<String>,
}

impl IssueCouponRequest {
    pub(crate) fn read(&self) -> Result<Option<UserId>> {
        let mut reading = FieldReader::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        reading.done(Some(user))
    }
}

/// The user whom a request names, if it does, and the order.
pub(crate) fn user_and_order(
    user_id: Option<&str>,
    order_ref: &str,
) -> Result<(Option<UserId>, OrderRef)> {
    let mut reading = FieldReader::default();
    let user = reading.may("user_id", user_id);
    let order = reading.must("order_ref", Some(order_ref));
    reading.done(order.map(|order| (user, order)))
}

/// What an order costs: the same fields in each request that redeems, or says what redeem would do.
macro_rules! order_money {
    ($request:ty) => {
        impl $request {
            pub(crate) fn read(&self) -> Result<(Option<UserId>, OrderRef, OrderMoney)> {
                let mut reading = FieldReader::default();
                let user = reading.may("user_id", self.user_id.as_deref());
                let order = reading.must("order_ref", Some(&self.order_ref));
                let currency = reading.may("currency", self.currency.as_deref());
                let amount = self.order_amount.map(OrderAmount::from);
                let money = OrderMoney { amount, currency, discount: self.discount };
                reading.done(order.map(|order| (user, order, money)))
            }
        }
    };
}

order_money!(RedeemRequest);
order_money!(HoldRequest);

/// The user who redeems the coupon, and the order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemRequest {
    /// The user who redeems. A user leaves it out.
    pub(crate) user_id: Option<String>,
    /// Identifies one attempt to pay and does not expire: a repeat returns the same redemption.
    pub(crate) order_ref: String,
    /// What the order costs without any coupon, without what the coupon does not count for: delivery, tax or goods
    /// that are left out. A whole number of the currency's smallest unit: 30000 is ₩30,000, and 3000 is $30.00. A user
    /// may say it to check a coupon; to hold or redeem one, only the shop says what an order costs.
    pub(crate) order_amount: Option<u64>,
    /// The currency of the amounts, if the campaign has none; else at most the campaign's own.
    pub(crate) currency: Option<String>,
    /// How much less the order costs with the coupon, where the shop calculates it. It is kept as it is. If the
    /// campaign's benefit gives another discount, the request is refused.
    pub(crate) discount: Option<u64>,
}

/// The user, the order for which to hold the coupon, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The user who pays the order. A user leaves it out.
    pub(crate) user_id: Option<String>,
    /// The order for which to hold the coupon.
    pub(crate) order_ref: String,
    /// For how many seconds: 1 to 604,800. If it is left out, it is 900.
    #[schema(minimum = 1, maximum = 604_800, example = 900)]
    pub(crate) seconds: Option<u32>,
    /// As in redeem. The hold keeps no amounts: redeem says them again.
    pub(crate) order_amount: Option<u64>,
    /// As in redeem.
    pub(crate) currency: Option<String>,
    /// As in redeem.
    pub(crate) discount: Option<u64>,
}

/// The order whose hold to release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Release the hold only if it is of this user. A shared code needs it. A user leaves it out.
    pub(crate) user_id: Option<String>,
    /// The order whose hold to release.
    pub(crate) order_ref: String,
}

/// The order whose redemption to cancel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRedemptionRequest {
    /// Cancel only a redemption of this user. A shared code needs it if the order has redeemed several of its coupons.
    /// A user leaves it out.
    user_id: Option<String>,
    /// The order that redeemed the coupon.
    order_ref: String,
    /// The reason, for people who read the history later: 1 to 200 bytes.
    reason: Option<String>,
}

impl CancelRedemptionRequest {
    pub(crate) fn read(&self) -> Result<(Option<UserId>, OrderRef, Option<Reason>)> {
        let mut reading = FieldReader::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        let order = reading.must("order_ref", Some(&self.order_ref));
        let reason = reading.may("reason", self.reason.as_deref());
        reading.done(order.map(|order| (user, order, reason)))
    }
}

fn change_of(reading: &mut FieldReader, reason: Option<&str>, version: Option<u64>) -> AdminChange {
    if let Some(found) = version.filter(|found| *found > NUMBER_MAX) {
        reading.fault("version", format!("is {found}, want 0 to {NUMBER_MAX}"));
    }
    AdminChange { reason: reading.may("reason", reason), if_version: version }
}

/// The user from whom to revoke the coupon.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// The user who has the coupon.
    user_id: String,
    /// Identifies this request and does not expire: a repeat changes nothing.
    revoke_ref: Option<String>,
    /// The reason, for people who read the history later: 1 to 200 bytes.
    reason: Option<String>,
    /// Revoke only if the coupon still has this version.
    version: Option<u64>,
}

impl RevokeRequest {
    pub(crate) fn read(
        &self,
        key: &IdempotencyKey,
    ) -> Result<(UserId, Option<RevokeRef>, AdminChange)> {
        let mut reading = FieldReader::default();
        let user = reading.must("user_id", Some(&self.user_id));
        let reference = key.or_in("revoke_ref", self.revoke_ref.as_deref())?;
        let reference = reading.may("revoke_ref", reference);
        let with = change_of(&mut reading, self.reason.as_deref(), self.version);
        reading.done(user.map(|user| (user, reference, with)))
    }
}

/// The reason for voiding the coupon.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidRequest {
    /// The reason, for people who read the history later: 1 to 200 bytes.
    reason: Option<String>,
    /// Void only if the coupon still has this version.
    version: Option<u64>,
}

impl VoidRequest {
    pub(crate) fn read(&self) -> Result<AdminChange> {
        let mut reading = FieldReader::default();
        let with = change_of(&mut reading, self.reason.as_deref(), self.version);
        reading.done(Some(with))
    }
}

/// The new expiry. Give `expires_at`, or `expires_on` with or without `time_zone`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// First instant at which the coupon no longer works.
    expires_at: Option<String>,
    /// Last day on which the coupon works.
    expires_on: Option<String>,
    /// The IANA time zone of `expires_on`. If it is left out, it is UTC.
    time_zone: Option<String>,
    /// The reason, for people who read the history later: 1 to 200 bytes.
    reason: Option<String>,
    /// Extend only if the coupon still has this version.
    version: Option<u64>,
}

impl ExtendRequest {
    pub(crate) fn read(&self) -> Result<(NewExpiry, AdminChange)> {
        let mut reading = FieldReader::default();
        let at = reading.instant("expires_at", self.expires_at.as_deref());
        let on = reading.may::<Date>("expires_on", self.expires_on.as_deref());
        let zone = reading.may::<Zone>("time_zone", self.time_zone.as_deref());
        let with = change_of(&mut reading, self.reason.as_deref(), self.version);
        let expiry = match (&self.expires_at, &self.expires_on, &self.time_zone) {
            (Some(_), None, None) => at.map(NewExpiry::At),
            (None, Some(_), _) => on.map(|on| NewExpiry::On(on, zone.unwrap_or_else(Zone::utc))),
            (None, None, _) => {
                reading.fault("expires_at", "is missing: give it, or expires_on");
                None
            }
            (Some(_), _, _) => {
                reading.fault("expires_at", "stands alone: expires_on and time_zone go together");
                None
            }
        };
        reading.done(expiry.map(|expiry| (expiry, with)))
    }
}
