//! One example of every schema, all of one story: the campaign `spring-2027`, the user `ann` and
//! her order `991`.

mod answers;

use serde_json::{Value, json};

use self::answers::{
    CANCELLED_AT, CODE, HELD_UNTIL, ISSUED_AT, LAST_DAY, batch, campaign, cancelled, dry_run,
    event, held, issued, problem, redemption, with_events,
};
use super::schemas;

/// Adds to each schema its example; an enum has its first value.
pub(super) fn add(document: &mut Value) {
    for (name, schema) in schemas(document) {
        let first = schema["enum"][0].clone();
        let example = if first.is_null() { example(name) } else { first };
        schema["example"] = example;
    }
}

fn example(name: &str) -> Value {
    match name {
        "BatchChanges"
        | "CampaignChanges"
        | "CancelRedemptionRequest"
        | "Credentials"
        | "ExtendRequest"
        | "HoldRequest"
        | "IssueCouponRequest"
        | "IssueRequest"
        | "NewBatch"
        | "NewCampaign"
        | "RedeemRequest"
        | "ReleaseRequest"
        | "RevokeRequest"
        | "VoidRequest" => request(name),
        "Batch" | "BatchOrDryRun" => batch(),
        "ImportDryRun" | "RejectedLine" | "ParsedLine" => dry_run(name),
        "Campaign" => campaign(),
        "Coupon" => issued(),
        "CouponWithEvents" => with_events(),
        "Event" => event(1, "issued", ISSUED_AT, "welcome-2027"),
        "Redemption" => redemption(Value::Null),
        "CancelledRedemption" => {
            json!({"redemption": redemption(json!(CANCELLED_AT)), "coupon": cancelled()})
        }
        "Hold" => {
            json!({"code": CODE, "order_ref": "991", "until": HELD_UNTIL, "coupon": held()})
        }
        "Check" => json!({
            "redeemable": true, "refusal": null, "coupon": issued(), "campaign": campaign(),
        }),
        "List_Coupon" => json!({"data": [issued()], "next_cursor": null}),
        "List_Campaign" => json!({"data": [campaign()], "next_cursor": null}),
        "List_Batch" => json!({"data": [batch()], "next_cursor": null}),
        "Session" => json!({
            "user_id": "acc_01981f2c77a07c1e9b1c5a2f0c0e9d13",
            "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
            "expires_at": "2027-03-08T13:12:00.000Z",
        }),
        "Problem" => problem(),
        "FieldError" => json!({"field": "order_ref", "detail": "is missing"}),
        "Alive" => json!({"status": "ok"}),
        "Ready" => json!({
            "ready": true, "writable": true, "reason": null, "clock": null,
            "version": env!("CARGO_PKG_VERSION"),
        }),
        _ => Value::Null,
    }
}

/// What ann's shop sends, call by call.
fn request(name: &str) -> Value {
    match name {
        "NewCampaign" => json!({
            "campaign_id": "spring-2027",
            "name": "Spring 2027",
            "stock": 1000,
            "handout": "shop",
            "expires_on": LAST_DAY,
            "time_zone": "Asia/Seoul",
        }),
        "CampaignChanges" => json!({"name": "Spring sale 2027", "paused": false}),
        "NewBatch" => json!({"batch_id": "second", "count": 500}),
        "BatchChanges" => json!({"paused": true, "reason": "printed twice"}),
        "IssueRequest" => json!({"user_id": "ann", "issue_ref": "welcome-2027"}),
        "IssueCouponRequest" => json!({"user_id": "ann"}),
        "HoldRequest" => json!({"user_id": "ann", "order_ref": "991", "seconds": 900}),
        "ReleaseRequest" => json!({"order_ref": "991"}),
        "RedeemRequest" => json!({"user_id": "ann", "order_ref": "991"}),
        "CancelRedemptionRequest" => json!({"order_ref": "991", "reason": "goods returned"}),
        "RevokeRequest" => json!({
            "user_id": "ann", "revoke_ref": "ticket-4711", "reason": "issued by mistake",
        }),
        "ExtendRequest" => json!({
            "expires_on": "2027-06-30", "time_zone": "Asia/Seoul", "reason": "the shop was closed",
        }),
        "VoidRequest" => json!({"reason": "the code was published"}),
        "Credentials" => {
            json!({"login_id": "ann@example.com", "password": "correct horse battery"})
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
