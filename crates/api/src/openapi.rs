//! The document of the interface, `/openapi.json`: generated from the handlers, and completed with
//! what their attributes do not say.

mod headers;
mod json_schema;
mod names;
mod parameters;
mod problems;
mod shapes;
mod story;

use std::sync::Arc;

use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::closed;
use crate::handlers::{
    accounts, admin, attempts, audit, batches, campaigns, codes, counts, coupons, events, health,
    imports, lists, orders, people, redemptions, webhooks,
};
use crate::operations;
use crate::problem::ProblemBody;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "couponry",
        description = include_str!("openapi/description.md"),
    ),
    tags(
        (name = "coupons", description = "What happens to one coupon, and lists of coupons."),
        (name = "campaigns", description = "Offers, their limits and dates, and their coupons."),
        (name = "batches", description = "Where the coupons of a campaign come from."),
        (name = "events", description = "What happened, for programs that follow it."),
        (name = "webhooks", description = "Endpoints of others, to which the server posts events."),
        (name = "orders", description = "Several coupons of one order: all of them, or none."),
        (name = "attempts", description = "What was refused, for people who look why a coupon did not work."),
        (name = "redemptions", description = "What an order has redeemed, and lists for accounts."),
        (name = "counts", description = "How often something happened, by the hour and the day."),
        (name = "audit", description = "Who changed campaigns, batches and the store, and when."),
        (name = "people", description = "Who is forgotten, and how far that is."),
        (name = "accounts", description = "Sign-in, for a shop without an identity provider."),
        (name = "health", description = "For load balancers and operators."),
    ),
    components(schemas(
        ProblemBody,
        closed::CountsBy,
        closed::DateOrder,
        closed::Expand,
        closed::ListOrder
    )),
    security(("token" = []))
)]
struct ApiDocument;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(coupons::read_coupon))
        .routes(routes!(coupons::check))
        .routes(routes!(coupons::hold))
        .routes(routes!(coupons::release))
        .routes(routes!(coupons::redeem))
        .routes(routes!(coupons::cancel_redemption))
        .routes(routes!(coupons::issue_coupon))
        .routes(routes!(orders::check_order))
        .routes(routes!(orders::hold_order))
        .routes(routes!(orders::redeem_order))
        .routes(routes!(orders::cancel_order))
        .routes(routes!(orders::read_order))
        .routes(routes!(operations::do_operations))
        .routes(routes!(admin::revoke))
        .routes(routes!(admin::void_coupon))
        .routes(routes!(admin::extend))
        .routes(routes!(lists::list_coupons))
        .routes(routes!(campaigns::create_campaign, campaigns::list_campaigns))
        .routes(routes!(campaigns::read_campaign, campaigns::change_campaign))
        .routes(routes!(campaigns::issue))
        .routes(routes!(imports::create_batch, batches::list_batches))
        .routes(routes!(batches::read_batch, batches::change_batch))
        .routes(routes!(codes::list_codes))
        .routes(routes!(events::list_events))
        .routes(routes!(attempts::list_attempts))
        .routes(routes!(counts::read_counts))
        .routes(routes!(counts::read_campaign_counts))
        .routes(routes!(redemptions::list_redemptions))
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::list_campaign_audit))
        .routes(routes!(webhooks::create_webhook, webhooks::list_webhooks))
        .routes(routes!(webhooks::read_webhook, webhooks::change_webhook, webhooks::delete_webhook))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::test_webhook))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(imports::import_template))
        .routes(routes!(accounts::create_user))
        .routes(routes!(accounts::create_session))
        .routes(routes!(accounts::delete_user))
        .routes(routes!(people::read_person))
        .routes(routes!(people::erase_person))
        .routes(routes!(people::list_erasures))
        .routes(routes!(people::read_erasure))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

pub use self::json_schema::json_schema;

/// As `/openapi.json` serves it. Adds what the handlers do not say: the parameters in every path, the problems and
/// headers of every operation, what each name looks like, and an example of every schema.
pub fn document() -> Value {
    let (_routes, mut document) = routes().split_for_parts();
    // The derive takes it from the manifest.
    document.info.license = None;
    parameters::add(&mut document);
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["components"]["securitySchemes"]["token"] = json!({
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A token with `iss`, `aud`, `sub`, `exp` and `role`.",
    });
    problems::add(&mut document);
    shapes::write_out(&mut document);
    shapes::require_fields(&mut document);
    shapes::name_items(&mut document);
    shapes::describe_fields(&mut document);
    names::add(&mut document);
    headers::add(&mut document);
    story::add(&mut document);
    document
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut();
    let items = paths.into_iter().flat_map(|paths| paths.values_mut());
    items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut())
}

fn schemas(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    document["components"]["schemas"].as_object_mut().into_iter().flatten()
}
