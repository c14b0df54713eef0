//! What a user or a shop does with one coupon.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::JsonAnswer;
use crate::bodies::{
    CancelRedemptionRequest, FieldReader, HoldRequest, IssueCouponRequest, RedeemRequest,
    ReleaseRequest, user_and_order,
};
use crate::extract::{
    AuthenticatedCaller, CodeInPath, IdempotencyKey, Json, QueryParams, WhereFrom,
};
use crate::problem::Result;
use crate::tried::TriedCall;
use crate::views::{CancelledBody, CheckBody, CouponBody, CouponDetail, HoldBody, RedemptionBody};

/// The query of a read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CouponQuery {
    /// Return the coupon only if this user has it. For a shared code, it says whose coupon to
    /// return. A user leaves it out.
    user_id: Option<String>,
    /// Return the coupon only if this order has redeemed or holds it. For a shared code, it is enough if the
    /// order has redeemed one coupon of the code.
    order_ref: Option<String>,
}

/// Read a coupon
///
/// Returns the coupon with its history. A user may read their own coupons. A user may also read a coupon of a bearer
/// campaign, but without holder, order and history. For every other coupon the user gets 404. Every role may call it.
#[utoipa::path(
    get, path = "/v1/coupons/{code}", tag = "coupons", params(CouponQuery),
    responses((status = 200, body = CouponDetail, description = "The coupon"))
)]
pub(crate) async fn read_coupon(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CodeInPath(code): CodeInPath,
    QueryParams(whose): QueryParams<CouponQuery>,
) -> Result<JsonAnswer<CouponDetail>> {
    let mut reading = FieldReader::default();
    let user = reading.may("user_id", whose.user_id.as_deref());
    let order = reading.may("order_ref", whose.order_ref.as_deref());
    let (user, order) = reading.done(Some((user, order)))?;
    let read = app.engine.coupon_of(&caller, &code, user.clone(), order);
    let view =
        app.guesses.unless_guessing(&caller, user.as_ref(), app.engine.now().0, read).await?;
    Ok(JsonAnswer::ok(CouponDetail::from(&view)))
}

/// Issue this coupon to a user
///
/// The user becomes the holder of the coupon. If the user already is its holder, returns 200. In a bearer campaign,
/// users may put the code that they know into their own wallet. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/issue", tag = "coupons",
    responses(
        (status = 201, body = CouponBody, description = "The coupon was issued"),
        (status = 200, body = CouponBody, description = "The user already has this coupon"),
    )
)]
pub(crate) async fn issue_coupon(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CodeInPath(code): CodeInPath,
    Json(body): Json<IssueCouponRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let user = body.read()?;
    let trial = TriedCall::of_code("issue", &code, user.as_ref(), None);
    let issue = app.engine.issue_code(&caller, &code, user.clone());
    let done = app.tried(&caller, peer, &trial, issue).await?;
    Ok(JsonAnswer::created(done.map(|view| CouponBody::from(&view))))
}

/// Check whether a coupon can be redeemed
///
/// Takes the same request as redeem and writes nothing. Returns 200. `redeemable` says whether redeem would succeed
/// now. If not, `refusal` has the problem code that redeem would return. A code that does not exist, or that belongs to
/// another user, gets 404. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/check", tag = "coupons",
    responses((status = 200, body = CheckBody, description = "Whether redeem would succeed now"))
)]
pub(crate) async fn check(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CodeInPath(code): CodeInPath,
    Json(body): Json<RedeemRequest>,
) -> Result<JsonAnswer<CheckBody>> {
    let (user, order, money) = body.read()?;
    let trial = TriedCall::of_code("check", &code, user.as_ref(), Some(&order));
    let check = app.engine.check(&caller, &code, user.clone(), order.clone(), money);
    let view = app.tried(&caller, peer, &trial, check).await?;
    if let Some(refusal) = view.refusal {
        let campaign = view.campaign.campaign.id.as_str();
        app.refused(Some(&caller), peer, &trial, refusal.into(), Some(campaign));
    }
    Ok(JsonAnswer::ok(CheckBody::from(&view)))
}

/// Hold a coupon for one order
///
/// Reserves the coupon for one order between check-out and payment. A hold lasts `seconds`; the
/// default is 900 (15 minutes). It lasts at most seven days from the first hold of the order, and
/// never longer than 15 minutes after `expires_at`. Then it ends by itself. The same order may hold
/// again to make it longer. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/hold", tag = "coupons",
    responses(
        (status = 201, body = HoldBody, description = "The coupon is held, or held for longer"),
        (status = 200, body = HoldBody, description = "The order already held it for that long"),
    )
)]
pub(crate) async fn hold(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CodeInPath(code): CodeInPath,
    Json(body): Json<HoldRequest>,
) -> Result<JsonAnswer<HoldBody>> {
    let (user, order, money) = body.read()?;
    let trial = TriedCall::of_code("hold", &code, user.as_ref(), Some(&order));
    let hold = app.engine.hold(&caller, &code, user.clone(), order.clone(), body.seconds, money);
    let done = app.tried(&caller, peer, &trial, hold).await?;
    Ok(JsonAnswer::created(done.map(|view| HoldBody::from(&view))))
}

/// Release a hold
///
/// If the order does not hold the coupon, changes nothing and returns 200. A shop and an admin may
/// release the hold of any order, a user only their own. With the shared code of a campaign, a shop
/// names the user. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/release", tag = "coupons",
    responses((status = 200, body = CouponBody,
        description = "The order no longer holds the coupon."))
)]
pub(crate) async fn release(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ReleaseRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let (user, order) = user_and_order(body.user_id.as_deref(), &body.order_ref)?;
    let release = app.engine.release(&caller, &code, user.clone(), order);
    let done =
        app.guesses.unless_guessing(&caller, user.as_ref(), app.engine.now().0, release).await?;
    Ok(JsonAnswer::changed(done.map(|view| CouponBody::from(&view))))
}

/// Redeem a coupon
///
/// A coupon has at most one redemption that is not cancelled. If the order already redeemed this coupon, returns the
/// same redemption with 200, at any later time. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/redeem", tag = "coupons",
    responses(
        (status = 201, body = RedemptionBody, description = "The coupon was redeemed"),
        (status = 200, body = RedemptionBody, description = "The order already redeemed it"),
    )
)]
pub(crate) async fn redeem(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CodeInPath(code): CodeInPath,
    key: IdempotencyKey,
    Json(body): Json<RedeemRequest>,
) -> Result<JsonAnswer<RedemptionBody>> {
    key.or_in("order_ref", Some(&body.order_ref))?;
    let (user, order, money) = body.read()?;
    let trial = TriedCall::of_code("redeem", &code, user.as_ref(), Some(&order));
    let redeem = app.engine.redeem(&caller, &code, user.clone(), order.clone(), money);
    let done = app.tried(&caller, peer, &trial, redeem).await?;
    Ok(JsonAnswer::created(done.map(|view| RedemptionBody::from(&view))))
}

/// Cancel a redemption
///
/// The coupon gets back the state and the holder that it had before the redemption.
/// `coupon.expired` says whether it has expired since. The same `order_ref` cannot redeem the
/// coupon again. With the shared code of a campaign, the order says which coupon is meant; if it has
/// redeemed several, a shop names the user. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/cancel-redemption", tag = "coupons",
    responses((status = 200, body = CancelledBody,
        description = "The redemption is cancelled, by this request or by an earlier one"))
)]
pub(crate) async fn cancel_redemption(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    CodeInPath(code): CodeInPath,
    Json(body): Json<CancelRedemptionRequest>,
) -> Result<JsonAnswer<CancelledBody>> {
    let (user, order, reason) = body.read()?;
    let trial = TriedCall::of_code("cancel-redemption", &code, user.as_ref(), Some(&order));
    let cancel = app.engine.cancel_redemption(&caller, &code, user.clone(), order.clone(), reason);
    let done = app.tried(&caller, peer, &trial, cancel).await?;
    Ok(JsonAnswer::changed(done.map(|(redemption, coupon)| {
        let redemption = RedemptionBody::from(&redemption);
        CancelledBody { redemption, coupon: CouponBody::from(&coupon) }
    })))
}
