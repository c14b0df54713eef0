//! What a user or a shop does with one coupon.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::{Answer, Made};
use crate::app::App;
use crate::bodies::{
    CancelRedemptionRequest, HoldRequest, IssueCouponRequest, Reading, RedeemRequest,
    ReleaseRequest,
};
use crate::extract::{CodeInPath, Json, Params, Who};
use crate::problem::Problem;
use crate::views::{CancelledBody, CheckBody, CouponBody, CouponDetail, HoldBody, RedemptionBody};

/// The query of a read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Answer the coupon only if this user holds it. Behind a shared code, it says whose coupon is
    /// meant. A user leaves it out.
    user_id: Option<String>,
}

/// Read a coupon
///
/// Answers the coupon with its history. A user sees their own coupons, and a bearer code without
/// its holder and order; for every other coupon they get 404. Every role may call it.
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

/// Issue this coupon to a user
///
/// If the user already holds the coupon, answers 200. A user may call it with a bearer code, to put
/// the coupon into their wallet. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/issue", tag = "coupons", params(("code" = String, Path)),
    responses(
        (status = 201, body = CouponBody, description = "The coupon was issued"),
        (status = 200, body = CouponBody, description = "The user already holds this coupon"),
    )
)]
pub(crate) async fn issue_coupon(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<IssueCouponRequest>,
) -> Result<Made<CouponBody>, Problem> {
    let user = body.read()?;
    let issue = app.engine.issue_code(&caller, &code, user.clone());
    let done = app.unless_guessing(&caller, user.as_ref(), issue).await?;
    Ok(Made(done.map(|view| CouponBody::from(&view))))
}

/// Check whether a coupon can be redeemed
///
/// Takes the request of redeem, answers what redeem would answer, and writes nothing. A user, a
/// shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/check", tag = "coupons", params(("code" = String, Path)),
    responses((status = 200, body = CheckBody, description = "What redeem would answer"))
)]
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<RedeemRequest>,
) -> Result<Answer<CheckBody>, Problem> {
    let (user, order) = body.read()?;
    let check = app.engine.check(&caller, &code, user.clone(), order);
    let view = app.unless_guessing(&caller, user.as_ref(), check).await?;
    Ok(Answer(CheckBody::from(&view)))
}

/// Hold a coupon for one order
///
/// Reserves the coupon between check-out and payment, for at most seven days. If `seconds` is left
/// out, for 15 minutes. A hold lapses by itself. The same order may hold again, for longer. A user,
/// a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/hold", tag = "coupons", params(("code" = String, Path)),
    responses(
        (status = 201, body = HoldBody, description = "The coupon is held, or held for longer"),
        (status = 200, body = HoldBody, description = "The coupon was held for that long already"),
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

/// Release a hold
///
/// If the order does not hold the coupon, changes nothing and answers 200. A user, a shop and an
/// admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/release", tag = "coupons", params(("code" = String, Path)),
    responses((status = 200, body = CouponBody,
        description = "That order does not hold the coupon"))
)]
pub(crate) async fn release(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ReleaseRequest>,
) -> Result<Answer<CouponBody>, Problem> {
    let release = app.engine.release(&caller, &code, body.read()?);
    let view = app.unless_guessing(&caller, None, release).await?.into_inner();
    Ok(Answer(CouponBody::from(&view)))
}

/// Redeem a coupon
///
/// A coupon is redeemed at most once. If the order already redeemed this coupon, returns the same
/// redemption with 200, at any later time. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/redeem", tag = "coupons", params(("code" = String, Path)),
    responses(
        (status = 201, body = RedemptionBody, description = "The coupon was redeemed"),
        (status = 200, body = RedemptionBody, description = "This order redeemed it before"),
    )
)]
pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<RedeemRequest>,
) -> Result<Made<RedemptionBody>, Problem> {
    let (user, order) = body.read()?;
    let redeem = app.engine.redeem(&caller, &code, user.clone(), order);
    let done = app.unless_guessing(&caller, user.as_ref(), redeem).await?;
    Ok(Made(done.map(|view| RedemptionBody::from(&view))))
}

/// Cancel a redemption
///
/// The coupon becomes what it was before; `coupon.expired` says whether it expired meanwhile. The
/// same order cannot redeem it again. A user, a shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/cancel-redemption", tag = "coupons",
    params(("code" = String, Path)),
    responses((status = 200, body = CancelledBody,
        description = "The redemption is cancelled, now or before"))
)]
pub(crate) async fn cancel_redemption(
    State(app): State<Arc<App>>,
    Who(caller): Who,
    CodeInPath(code): CodeInPath,
    Json(body): Json<CancelRedemptionRequest>,
) -> Result<Answer<CancelledBody>, Problem> {
    let (order, reason) = body.read()?;
    let cancel = app.engine.cancel_redemption(&caller, &code, order, reason);
    let done = app.unless_guessing(&caller, None, cancel).await?;
    let (redemption, coupon) = done.into_inner();
    let redemption = RedemptionBody::from(&redemption);
    Ok(Answer(CancelledBody { redemption, coupon: CouponBody::from(&coupon) }))
}
