//! What only an admin does with one coupon.

use crate::answer::JsonAnswer;
use crate::bodies::{ExtendRequest, RevokeRequest, VoidRequest};
use crate::extract::{AuthenticatedCaller, CodeInPath, IdempotencyKey, Json};
use crate::problem::Result;
use crate::views::CouponBody;

/// Revoke a coupon from its holder
///
/// The coupon becomes available again, and it no longer counts towards the user's limit.
///
/// If a request with the same `revoke_ref` already revoked the coupon, returns 200 and changes nothing, even if the
/// user got the coupon again since. If `version` is given and the coupon has another version, returns 409
/// VERSION_CONFLICT. Give one of the two: without them, a repeated request can revoke the coupon a second time after it
/// was issued to the same user again. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/revoke", tag = "coupons",
    responses((status = 200, body = CouponBody, description = "The coupon is available again"))
)]
pub(crate) async fn revoke(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CodeInPath(code): CodeInPath,
    key: IdempotencyKey,
    Json(body): Json<RevokeRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let (user, reference, with) = body.read(&key)?;
    let done = app.engine.revoke(&caller, &code, user, reference, with).await?;
    Ok(JsonAnswer::changed(done.map(|view| CouponBody::from(&view))))
}

/// Void a coupon
///
/// The coupon can no longer be issued or redeemed; its record is kept. If the coupon is already
/// void, returns 200. Otherwise, if `version` is given and the coupon has another version, returns
/// 409 VERSION_CONFLICT. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/void", tag = "coupons",
    responses((status = 200, body = CouponBody, description = "The coupon is void"))
)]
pub(crate) async fn void_coupon(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CodeInPath(code): CodeInPath,
    Json(body): Json<VoidRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let done = app.engine.void(&caller, &code, body.read()?).await?;
    Ok(JsonAnswer::changed(done.map(|view| CouponBody::from(&view))))
}

/// Extend a coupon
///
/// Gives the coupon a later expiry. An expired coupon can be extended within the campaign's `extend_days`. If the
/// coupon already has this expiry, returns 200. Otherwise, if `version` is given and the coupon has another version,
/// returns 409 VERSION_CONFLICT. Only an admin may call it.
#[utoipa::path(
    post, path = "/v1/coupons/{code}/extend", tag = "coupons",
    responses((status = 200, body = CouponBody, description = "The coupon with its new expiry"))
)]
pub(crate) async fn extend(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    CodeInPath(code): CodeInPath,
    Json(body): Json<ExtendRequest>,
) -> Result<JsonAnswer<CouponBody>> {
    let (expiry, with) = body.read()?;
    let done = app.engine.extend(&caller, &code, expiry, with).await?;
    Ok(JsonAnswer::changed(done.map(|view| CouponBody::from(&view))))
}
