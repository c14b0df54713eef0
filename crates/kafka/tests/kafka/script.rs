//! What the coupons of the fault test go through, and what must come of it.

use serde_json::{Value, json};

use crate::service::Service;

/// Campaign whose codes are imported.
pub(crate) const CODES: &str = "codes";

/// Campaign whose coupons are issued from its stock.
pub(crate) const STOCK: &str = "stock";

/// A command, and the answer that it must get.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// `accepted`, or the problem code.
    pub(crate) want: &'static str,
}

/// The commands of one code or one user, in order, and what must be true after them.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) code: Option<String>,
    pub(crate) steps: Vec<Step>,
    /// State, holder and order of the coupon at the end.
    pub(crate) end: (&'static str, Option<String>, Option<String>),
    /// The events of the coupon.
    pub(crate) events: &'static [&'static str],
}

fn step(code: &str, command: &str, body: Value, want: &'static str) -> Step {
    let value = json!({"command": command, "code": code, "body": body});
    Step { key: code.to_owned(), value, want }
}

/// One of four lives of an imported code. Each has five commands.
pub(crate) fn life(nth: u64) -> Life {
    let code = format!("KAFKA{nth:07}");
    let (ann, bob) = (format!("ann{nth}"), format!("bob{nth}"));
    let (first, second) = (format!("{nth}-1"), format!("{nth}-2"));
    let step = |command: &str, body: Value, want| step(&code, command, body, want);
    let order = |user: &str, order: &str| json!({"user_id": user, "order_ref": order});
    let issue = |user: &str| step("issue", json!({"user_id": user}), "accepted");
    let (steps, end, events): (Vec<Step>, _, &'static [&'static str]) = match nth % 4 {
        0 => (
            vec![
                issue(&ann),
                step("hold", order(&ann, &first), "accepted"),
                step("redeem", order(&ann, &first), "accepted"),
                step("cancel-redemption", json!({"order_ref": first}), "accepted"),
                step("redeem", order(&ann, &second), "accepted"),
            ],
            ("redeemed", Some(ann.clone()), Some(second)),
            &["issued", "redeemed", "redemption_cancelled", "redeemed"],
        ),
        // After a revoke the same command as at first issues the coupon again, to another user.
        1 => (
            vec![
                issue(&ann),
                step("revoke", json!({"user_id": ann, "revoke_ref": first}), "accepted"),
                issue(&bob),
                step("redeem", order(&bob, &first), "accepted"),
                step("redeem", order(&ann, &second), "NOT_FOUND"),
            ],
            ("redeemed", Some(bob.clone()), Some(first)),
            &["issued", "revoked", "issued", "redeemed"],
        ),
        // A hold that were made again after its release would refuse the void.
        2 => (
            vec![
                issue(&ann),
                step("hold", order(&ann, &first), "accepted"),
                step("release", json!({"order_ref": first}), "accepted"),
                step("void", json!({"reason": "a test"}), "accepted"),
                step("redeem", order(&ann, &second), "VOIDED"),
            ],
            ("void", Some(ann.clone()), None),
            &["issued", "voided"],
        ),
        _ => (
            vec![
                issue(&ann),
                step("extend", json!({"expires_on": "2060-01-31"}), "accepted"),
                step("redeem", order(&ann, &first), "accepted"),
                step("redeem", order(&ann, &first), "accepted"),
                step("release", json!({"order_ref": first}), "ALREADY_REDEEMED"),
            ],
            ("redeemed", Some(ann.clone()), Some(first)),
            &["issued", "extended", "redeemed"],
        ),
    };
    Life { code: Some(code), steps, end, events }
}

/// Three issues to one user, who may have two coupons of the campaign.
pub(crate) fn issues(nth: u64) -> Life {
    let user = format!("cid{nth}");
    let step = |reference: &str, want| {
        let body = json!({"user_id": user, "issue_ref": reference});
        let value = json!({"command": "issue", "campaign_id": STOCK, "body": body});
        Step { key: user.clone(), value, want }
    };
    let steps =
        vec![step("one", "accepted"), step("two", "accepted"), step("three", "LIMIT_PER_USER")];
    Life { code: None, steps, end: ("issued", Some(user), None), events: &[] }
}

/// The campaigns of `codes` imported codes and of a stock.
pub(crate) fn prepare(service: &Service, codes: u64) {
    for (campaign, stock, limit) in [(CODES, 0, 1), (STOCK, 1_000_000, 2)] {
        let body = json!({"campaign_id": campaign, "stock": stock, "expires_on": "2059-12-31",
                          "per_user_limit": limit});
        service.post("/v1/campaigns", body);
    }
    let codes: Vec<String> = (0..codes).map(|nth| life(nth).code.expect("a code")).collect();
    service.import(CODES, &codes);
}
