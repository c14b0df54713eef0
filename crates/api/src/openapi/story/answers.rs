//! What ann, her shop and its admin are answered.

use serde_json::{Value, json};

use crate::problem::Code;

/// The code of the coupon that ann has.
pub(super) const CODE: &str = "7K2M-9QXD-4TRB-H0VE";

/// When the campaign began, and when it ends: at the end of 31 May in Seoul.
const BEGIN: &str = "2027-03-01T00:00:00.000Z";
const END: &str = "2027-05-31T15:00:00.000Z";
pub(super) const LAST_DAY: &str = "2027-05-31";

pub(super) const ISSUED_AT: &str = "2027-03-08T01:12:00.000Z";
pub(super) const HELD_UNTIL: &str = "2027-03-08T10:15:00.000Z";
const REDEEMED_AT: &str = "2027-03-08T10:02:30.512Z";
pub(super) const CANCELLED_AT: &str = "2027-03-10T09:00:00.000Z";

pub(super) fn campaign() -> Value {
    json!({
        "campaign_id": "spring-2027",
        "name": "Spring 2027",
        "handout": "shop",
        "stock": 1000,
        "issued": 1,
        "redeemed": 0,
        "void": 0,
        "paused": false,
        "shared_code": null,
        "code_prefix": null,
        "valid_from": BEGIN,
        "expires_at": END,
        "expires_on": LAST_DAY,
        "time_zone": "Asia/Seoul",
        "valid_days": null,
        "issue_from": null,
        "issue_until": null,
        "per_user_limit": 1,
        "cancel_days": 30,
        "extend_days": 30,
        "metadata": null,
        "created_at": BEGIN,
        "counted_at": ISSUED_AT,
    })
}

pub(super) fn batch() -> Value {
    json!({
        "batch_id": "first",
        "campaign_id": "spring-2027",
        "kind": "minted",
        "count": 1000,
        "paused": false,
        "lines": null,
        "imported": null,
        "already_there": null,
        "rejected": null,
        "created_at": BEGIN,
    })
}

/// Ann's coupon before anybody redeems it.
pub(super) fn issued() -> Value {
    json!({
        "code": CODE,
        "campaign_id": "spring-2027",
        "batch_id": "first",
        "state": "issued",
        "expired": false,
        "paused": false,
        "holder": "ann",
        "valid_from": BEGIN,
        "expires_at": END,
        "expires_on": LAST_DAY,
        "time_zone": "Asia/Seoul",
        "held_until": null,
        "issued_at": ISSUED_AT,
        "redeemed_at": null,
        "order_ref": null,
        "created_at": BEGIN,
        "modified_at": ISSUED_AT,
        "version": 1,
        "tier": "hot",
    })
}

/// Ann's coupon with some fields otherwise.
pub(super) fn issued_but(changes: Value) -> Value {
    let mut coupon = issued();
    for (field, value) in changes.as_object().into_iter().flatten() {
        coupon[field] = value.clone();
    }
    coupon
}

pub(super) fn held() -> Value {
    issued_but(json!({
        "held_until": HELD_UNTIL,
        "order_ref": "991",
        "modified_at": "2027-03-08T10:00:00.000Z",
        "version": 2,
    }))
}

fn redeemed() -> Value {
    issued_but(json!({
        "state": "redeemed",
        "redeemed_at": REDEEMED_AT,
        "order_ref": "991",
        "modified_at": REDEEMED_AT,
        "version": 2,
    }))
}

pub(super) fn cancelled() -> Value {
    issued_but(json!({"modified_at": CANCELLED_AT, "version": 3}))
}

pub(super) fn with_events() -> Value {
    let mut coupon = redeemed();
    coupon["events"] = json!([
        event(1, "issued", ISSUED_AT, "welcome-2027"),
        event(2, "redeemed", REDEEMED_AT, "991"),
    ]);
    coupon
}

pub(super) fn event(sequence: u32, kind: &str, at: &str, reference: &str) -> Value {
    json!({
        "sequence": sequence,
        "kind": kind,
        "at": at,
        "actor": "shop:checkout-7",
        "reference": reference,
    })
}

pub(super) fn redemption(cancelled_at: Value) -> Value {
    json!({
        "code": CODE,
        "campaign_id": "spring-2027",
        "user_id": "ann",
        "order_ref": "991",
        "redeemed_at": REDEEMED_AT,
        "cancelled_at": cancelled_at,
    })
}

/// A dry run of a file with two lines, the second of which is rejected.
pub(super) fn dry_run(name: &str) -> Value {
    let rejected = json!({
        "line": 3,
        "text": "OLD-0002,soon",
        "reason": "BAD_DATE",
        "detail": "expires_at is \"soon\", want a date (2026-12-31 or 20261231) or an instant \
                   (2026-12-31T23:59:59Z)",
    });
    let parsed = json!({
        "line": 2,
        "code": "OLD0001",
        "valid_from": BEGIN,
        "expires_at": END,
        "expires_on": LAST_DAY,
        "state": "available",
        "user_id": null,
        "issued_at": null,
        "redeemed_at": null,
        "order_ref": null,
    });
    match name {
        "RejectedLine" => rejected,
        "ParsedLine" => parsed,
        _ => json!({
            "dry_run": true,
            "campaign_id": "spring-2027",
            "time_zone": "Asia/Seoul",
            "encoding": "UTF-8",
            "separator": ",",
            "header": "code,expires_at",
            "columns": ["code", "expires_at"],
            "lines": 2,
            "new": 1,
            "known": 0,
            "unchecked": 0,
            "rejected": 1,
            "rejected_lines": [rejected],
            "parsed_lines": [parsed],
        }),
    }
}

/// What another order gets after ann's.
pub(super) fn problem() -> Value {
    let code = Code::AlreadyRedeemed;
    json!({
        "type": format!("/docs/problems/{}", code.as_str()),
        "title": code.title(),
        "status": code.status(),
        "code": code.as_str(),
        "detail": "the coupon has been redeemed",
        "hint": code.hint(),
        "retry": code.retry().as_str(),
        "retry_at": null,
        "coupon": redeemed(),
        "errors": null,
        "request_id": "01981f2c-77a0-7c1e-9b1c-5a2f0c0e9d13",
    })
}
