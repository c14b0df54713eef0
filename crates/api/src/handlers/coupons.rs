//! One coupon.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, Made};
use crate::app::App;
use crate::bodies::{
    CancelBody, ExtendBody, HoldRequest, OrderBody, Reading, ReasonBody, ReleaseBody, RevokeBody,
    UserBody,
};
use crate::extract::{CodeInPath, Json, Params, Who};
use crate::problem::Problem;
use crate::views::{CancelledBody, CheckBody, CouponBody, CouponDetail, HoldBody, RedemptionBody};

/// Whose coupon.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Only if it is this user's; not for users. Behind a shared word, whose coupon is meant.
    user_id: Option<String>,
}

/// Read a coupon
///
/// With its history. A user sees his own, and a bearer code without holder and order; anything
/// else is not there for him. For everybody signed in.
#[utoipa::path(
    get, path = "/v1/coupons/{code}", tag = "coupons", params(("code" = String, Path), Whose),
    responses((status = 200, body = CouponDetail, description = "The coupon"))
)]
pub(crate) async fn read_coupon(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Params(whose): Params<Whose>,
) -> Result<Answer<CouponDetail>, Problem> {
    let mut reading = Reading::default();
    let user = reading.may("user_id", whose.user_id.as_deref());
    let user = reading.done(Some(user))?;
    let read = app.engine.coupon(&caller, &code, user.clone());
    let view = app.unless_guessing(&caller, user.as_ref(), read).await?;
    Ok(Answer(CouponDetail::from(&view)))
}

/// Give a named coupon to a user
///
/// 200 when he has it already. Users may do it with bearer codes: it goes into their wallet. For
/// user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/issue", tag = "coupons", params(("code" = String, Path)),
    request_body = UserBody,
    responses(
        (status = 201, body = CouponBody, description = "Issued"),
        (status = 200, body = CouponBody, description = "His already"),
    )
)]
pub(crate) async fn issue_coupon(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<UserBody>,
) -> Result<Made<CouponBody>, Problem> {
    let user = body.read()?;
    let issue = app.engine.issue_code(&caller, &code, user.clone());
    let done = app.unless_guessing(&caller, user.as_ref(), issue).await?;
    Ok(Made(done.map(|view| CouponBody::from(&view))))
}

/// Ask what redeem would answer
///
/// Nothing is written. For user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/check", tag = "coupons", params(("code" = String, Path)),
    request_body = OrderBody,
    responses((status = 200, body = CheckBody, description = "What redeem would answer"))
)]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<OrderBody>,
) -> Result<Answer<CheckBody>, Problem> {
    let (user, order) = body.read()?;
    let check = app.engine.check(&caller, &code, user.clone(), order);
    let view = app.unless_guessing(&caller, user.as_ref(), check).await?;
    Ok(Answer(CheckBody::from(&view)))
}

/// Keep a coupon for one order
///
/// Between check-out and payment: 15 minutes where it does not say, seven days at most. It lapses
/// by itself. The same order may ask again for longer. For user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/hold", tag = "coupons", params(("code" = String, Path)),
    request_body = HoldRequest,
    responses(
        (status = 201, body = HoldBody, description = "Held, or held for longer"),
        (status = 200, body = HoldBody, description = "Held already, so long"),
    )
)]
pub(crate) async fn hold(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<HoldRequest>,
) -> Result<Made<HoldBody>, Problem> {
    let (user, order) = body.read()?;
    let hold = app.engine.hold(&caller, &code, user.clone(), order, body.seconds);
    let done = app.unless_guessing(&caller, user.as_ref(), hold).await?;
    Ok(Made(done.map(|view| HoldBody::from(&view))))
}

/// Let go of a hold
///
/// For user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/release", tag = "coupons", params(("code" = String, Path)),
    request_body = ReleaseBody,
    responses((status = 200, body = CouponBody, description = "Not held by that order"))
)]
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ReleaseBody>,
) -> Result<Answer<CouponBody>, Problem> {
    let release = app.engine.release(&caller, &code, body.read()?);
    let view = app.unless_guessing(&caller, None, release).await?.into_inner();
    Ok(Answer(CouponBody::from(&view)))
}

/// Redeem a coupon
///
/// At most once: 201 for the order that got it, 200 with the same redemption for its repeats, at
/// any later time. For user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/redeem", tag = "coupons", params(("code" = String, Path)),
    request_body = OrderBody,
    responses(
        (status = 201, body = RedemptionBody, description = "Redeemed"),
        (status = 200, body = RedemptionBody, description = "Redeemed before by this order"),
    )
)]
pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<OrderBody>,
) -> Result<Made<RedemptionBody>, Problem> {
    let (user, order) = body.read()?;
    let redeem = app.engine.redeem(&caller, &code, user.clone(), order);
    let done = app.unless_guessing(&caller, user.as_ref(), redeem).await?;
    Ok(Made(done.map(|view| RedemptionBody::from(&view))))
}

/// Cancel a redemption
///
/// The coupon is what it was before; `coupon.expired` says whether it came back dead. The order
/// cannot redeem it again. For user, shop and admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/cancel-redemption", tag = "coupons",
    params(("code" = String, Path)), request_body = CancelBody,
    responses((status = 200, body = CancelledBody, description = "Cancelled, now or before"))
)]
pub(crate) async fn cancel_redemption(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<CancelBody>,
) -> Result<Answer<CancelledBody>, Problem> {
    let (order, reason) = body.read()?;
    let cancel = app.engine.cancel_redemption(&caller, &code, order, reason);
    let done = app.unless_guessing(&caller, None, cancel).await?;
    let (redemption, coupon) = done.into_inner();
    let redemption = RedemptionBody::from(&redemption);
    Ok(Answer(CancelledBody { redemption, coupon: CouponBody::from(&coupon) }))
}

/// Take a coupon back from its holder
///
/// The coupon is available again, and the user may have another one under the campaign's limit. A
/// repeat with the same `revoke_ref` answers 200 and changes nothing, even if the user has been
/// issued the coupon again since. With `version`, a coupon that has changed since answers 409
/// VERSION_CONFLICT. Without either, a repeat whose first answer was lost can undo a newer issue to
/// the same user. For an admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/revoke", tag = "coupons", params(("code" = String, Path)),
    request_body = RevokeBody,
    responses((status = 200, body = CouponBody, description = "Available"))
)]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<RevokeBody>,
) -> Result<Answer<CouponBody>, Problem> {
    let (user, reference, with) = body.read()?;
    let view = app.engine.revoke(&caller, &code, user, reference, with).await?.into_inner();
    Ok(Answer(CouponBody::from(&view)))
}

/// Void a coupon
///
/// It can no longer be issued or redeemed; its record is kept. With `version`, a coupon that has
/// changed since answers 409 VERSION_CONFLICT. For an admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/void", tag = "coupons", params(("code" = String, Path)),
    request_body = ReasonBody,
    responses((status = 200, body = CouponBody, description = "Void"))
)]
pub(crate) async fn void(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ReasonBody>,
) -> Result<Answer<CouponBody>, Problem> {
    let view = app.engine.void(&caller, &code, body.read()?).await?.into_inner();
    Ok(Answer(CouponBody::from(&view)))
}

/// Give a coupon a later expiry
///
/// Also an expired one, for the campaign's `extend_days`. With `version`, a coupon that has changed
/// since answers 409 VERSION_CONFLICT. For an admin.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/extend", tag = "coupons", params(("code" = String, Path)),
    request_body = ExtendBody,
    responses((status = 200, body = CouponBody, description = "With its new expiry"))
)]
pub(crate) async fn extend(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ExtendBody>,
) -> Result<Answer<CouponBody>, Problem> {
    let (expiry, with) = body.read()?;
    let view = app.engine.extend(&caller, &code, expiry, with).await?.into_inner();
    Ok(Answer(CouponBody::from(&view)))
}
