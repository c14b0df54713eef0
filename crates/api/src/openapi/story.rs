//! One example of every schema, all of one story: the campaign `spring-2027`, the user `ann` and
//! her order `991`. `story/examples.json` tells it; this module makes the shapes that have others
//! in them.

use serde_json::{Value, json};

use super::schemas;
use crate::problem::ApiErrorCode;

/// Adds to each schema its example; an enum has its first value.
pub(super) fn add(document: &mut Value) {
    let story: Value =
        serde_json::from_str(include_str!("story/examples.json")).unwrap_or_default();
    for (name, schema) in schemas(document) {
        let first = schema["enum"][0].clone();
        let example = if first.is_null() { example(&story, name) } else { first };
        schema["example"] = example;
    }
}

fn example(story: &Value, name: &str) -> Value {
    let later = |what: &str, then: &str| but(&story[what], &story[format!("{what}, {then}")]);
    let with = |changes: Value| but(&story[name], &changes);
    let of = |other: &str| example(story, other);
    if let Some(item) = name.strip_prefix("List_") {
        return json!({"data": [of(item)], "next_cursor": null});
    }
    match name {
        "BatchOrDryRun" => story["Batch"].clone(),
        "CouponWithEvents" => {
            let events = json!({"events": [story["Event"], later("Event", "redeemed")]});
            but(&later("Coupon", "redeemed"), &events)
        }
        "CancelledRedemption" => json!({
            "redemption": later("Redemption", "cancelled"), "coupon": later("Coupon", "cancelled"),
        }),
        "Hold" => with(json!({"coupon": later("Coupon", "held")})),
        "Check" => json!({
            "redeemable": true, "refusal": null,
            "coupon": story["Coupon"], "campaign": story["Campaign"],
        }),
        "ImportDryRun" => {
            let (rejected, parsed) = (&story["RejectedLine"], &story["ParsedLine"]);
            with(json!({"rejected_lines": [rejected], "parsed_lines": [parsed]}))
        }
        "CountsOfTime" => with(json!({"refused": [story["Refused"]]})),
        "Counts" => json!({"time_zone": "Asia/Seoul", "data": [of("CountsOfTime")]}),
        "Attempts" => json!({"data": [story["Attempt"]], "next_cursor": null, "dropped": 0}),
        "FeedEvent" => with(json!({"coupon": story["FeedCoupon"], "change": null})),
        "FeedChange" | "AuditEntry" => with(json!({"changes": [story["FieldChange"]]})),
        "Events" => json!({
            "data": [of("FeedEvent")], "next_cursor": story["FeedEvent"]["cursor"], "has_more": false,
        }),
        "CouponCampaign" => {
            let campaign = &story["Campaign"];
            json!({"name": campaign["name"], "metadata": campaign["metadata"]})
        }
        "ListedCoupon" => but(&story["Coupon"], &json!({"campaign": of("CouponCampaign")})),
        "Webhook" => with(json!({"secrets": [story["SecretTimes"]]})),
        "Problem" => problem(&later("Coupon", "redeemed")),
        "Ready" => with(json!({"version": env!("CARGO_PKG_VERSION")})),
        name => story[name].clone(),
    }
}

/// A thing of the story with some fields otherwise.
fn but(thing: &Value, changes: &Value) -> Value {
    let mut thing = thing.clone();
    for (field, value) in changes.as_object().into_iter().flatten() {
        thing[field] = value.clone();
    }
    thing
}

/// What another order gets after ann's.
fn problem(redeemed: &Value) -> Value {
    let code = ApiErrorCode::AlreadyRedeemed;
    json!({
        "type": format!("/docs/problems/{}", code.as_str()),
        "title": code.title(),
        "status": code.status(),
        "code": code.as_str(),
        "detail": "the coupon has been redeemed",
        "hint": code.hint(),
        "retry": code.retry().as_str(),
        "retry_at": null,
        "coupon": redeemed,
        "next_cursor": null,
        "errors": null,
        "request_id": "01981f2c-77a0-7c1e-9b1c-5a2f0c0e9d13",
    })
}

#[cfg(test)]
mod tests;
