//! What an order does with several coupons: with all of them, or with none.

use crate::answer::JsonAnswer;
use crate::bodies::{CancelOrderRequest, OrderBody, OrderHoldRequest};
use crate::extract::{
    AuthenticatedCaller, Json, ORDER, OrderInPath, ReadingCaller, WhereFrom, named,
};
use crate::handlers::redemptions::not_found_by_it;
use crate::problem::Result;
use crate::views::OrderAnswer;

/// Check the coupons of an order
///
/// Takes the same request as redeem and writes nothing. Returns 200. `complete` says whether redeem would succeed now.
/// If not, `refusal` of a coupon says why. If a coupon does not exist, or belongs to another user, returns the problem of
/// redeem. A shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/orders/{order_ref}/check", tag = "orders",
    responses((status = 200, body = OrderAnswer, description = "Whether redeem would succeed now"))
)]
pub(crate) async fn check_order(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    OrderInPath(order): OrderInPath,
    Json(body): Json<OrderBody>,
) -> Result<JsonAnswer<OrderAnswer>> {
    let request = body.read(order)?;
    let check = app.engine.check_order(&caller, request.clone());
    let view = app.tried_order(&caller, peer, "check", &request, check).await?;
    Ok(JsonAnswer::ok(OrderAnswer::from(&view)))
}

/// Hold the coupons of an order
///
/// Reserves all coupons for the order, or none, as the call about one coupon does. The same order may hold again to
/// make it longer. A shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/orders/{order_ref}/hold", tag = "orders",
    responses(
        (status = 201, body = OrderAnswer, description = "The coupons are held, or held for longer"),
        (status = 200, body = OrderAnswer,
            description = "The order already held them for that long"),
    )
)]
pub(crate) async fn hold_order(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    OrderInPath(order): OrderInPath,
    Json(body): Json<OrderHoldRequest>,
) -> Result<JsonAnswer<OrderAnswer>> {
    let request = body.read(order)?;
    let hold = app.engine.hold_order(&caller, request.clone(), body.seconds);
    let done = app.tried_order(&caller, peer, "hold", &request, hold).await?;
    Ok(JsonAnswer::created(done.map(|view| OrderAnswer::from(&view))))
}

/// Redeem the coupons of an order
///
/// Redeems all coupons, or none: if one is refused, the answer lists it, and nothing is redeemed by this request. The
/// coupons are applied in the order in which they are named, and a percentage is of what those before it have left. A
/// repeat returns the same redemptions with 200. In a cluster, a request that did not end may have redeemed some of
/// them: `GET` then has others that are `missing`, the same request redeems those, and cancel gives back the rest. A
/// shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/orders/{order_ref}/redeem", tag = "orders",
    responses(
        (status = 201, body = OrderAnswer, description = "The coupons were redeemed"),
        (status = 200, body = OrderAnswer, description = "The order already redeemed them"),
    )
)]
pub(crate) async fn redeem_order(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    OrderInPath(order): OrderInPath,
    Json(body): Json<OrderBody>,
) -> Result<JsonAnswer<OrderAnswer>> {
    let request = body.read(order)?;
    let redeem = app.engine.redeem_order(&caller, request.clone());
    let done = app.tried_order(&caller, peer, "redeem", &request, redeem).await?;
    Ok(JsonAnswer::created(done.map(|view| OrderAnswer::from(&view))))
}

/// Cancel what an order has redeemed
///
/// Gives back the coupons that the request names, or all; all of these or none. The same `order_ref` cannot redeem them
/// again. A shop and an admin may call it.
#[utoipa::path(
    post, path = "/v1/orders/{order_ref}/cancel", tag = "orders",
    responses((status = 200, body = OrderAnswer,
        description = "The redemptions are cancelled, by this request or by an earlier one"))
)]
pub(crate) async fn cancel_order(
    AuthenticatedCaller { app, caller }: AuthenticatedCaller,
    WhereFrom(peer): WhereFrom,
    OrderInPath(order): OrderInPath,
    Json(body): Json<CancelOrderRequest>,
) -> Result<JsonAnswer<OrderAnswer>> {
    let (request, reason) = body.read(order)?;
    let cancel = app.engine.cancel_order(&caller, request.clone(), reason);
    let done = app.tried_order(&caller, peer, "cancel-redemption", &request, cancel).await;
    Ok(JsonAnswer::changed(done.map_err(named(ORDER))?.map(|view| OrderAnswer::from(&view))))
}

/// Read an order
///
/// What the order has redeemed, of active and archived coupons, with what it gave back, oldest first. An order is found
/// for `orders_keep` after it redeemed, 400 days by default. A shop, an operator and an admin may call it.
#[utoipa::path(
    get, path = "/v1/orders/{order_ref}", tag = "orders",
    responses((status = 200, body = OrderAnswer, description = "The order"))
)]
pub(crate) async fn read_order(
    ReadingCaller { app, caller, _turn }: ReadingCaller,
    OrderInPath(order): OrderInPath,
) -> Result<JsonAnswer<OrderAnswer>> {
    let view = app.engine.order(&caller, order).await.map_err(named(ORDER))?;
    let view = view.ok_or_else(not_found_by_it)?;
    Ok(JsonAnswer::ok(OrderAnswer::from(&view)))
}
