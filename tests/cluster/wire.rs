//! Translates between operations of the history and HTTP.

use coupon::apply::Action;
use coupon::calendar::{format_instant, parse_instant};
use coupon::time::{DAY_MS, Millis};
use serde_json::{Value, json};

use super::client::{Answer, Lost};
use super::history::{Answered, Ask, Entry, Facts, Redeemed, Told, whole_days};

/// A request as it is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// `ask` about `code`; `start` is when the run began.
pub(super) fn request(code: &str, ask: &Ask, start: Millis) -> Request {
    let path = format!("/v1/coupons/{code}");
    let Ask::Change(action) = ask else {
        return Request { path, body: None };
    };
    let (call, body) = match action {
        Action::Issue { to, .. } => ("issue", json!({"user_id": to.as_str()})),
        Action::Redeem { by, order, .. } => {
            ("redeem", json!({"user_id": by.as_str(), "order_ref": order.as_str()}))
        }
        Action::Hold { by, order, until, .. } => {
            let seconds = whole_days(*until, start) * DAY_MS / 1_000;
            let (user, order) = (by.as_str(), order.as_str());
            ("hold", json!({"user_id": user, "order_ref": order, "seconds": seconds}))
        }
        Action::Release { order } => ("release", json!({"order_ref": order.as_str()})),
        Action::CancelRedemption { order, reason } => {
            let reason = reason.as_ref().map(|reason| reason.as_str());
            ("cancel-redemption", json!({"order_ref": order.as_str(), "reason": reason}))
        }
        Action::Revoke { user, reason, .. } => {
            let reason = reason.as_ref().map(|reason| reason.as_str());
            ("revoke", json!({"user_id": user.as_str(), "reason": reason}))
        }
        Action::Void { reason } => {
            ("void", json!({"reason": reason.as_ref().map(|reason| reason.as_str())}))
        }
        Action::Extend { expires_at, reason, .. } => {
            let reason = reason.as_ref().map(|reason| reason.as_str());
            ("extend", json!({"expires_at": format_instant(*expires_at), "reason": reason}))
        }
    };
    Request { path: format!("{path}/{call}"), body: Some(body) }
}

/// The outcome and its code, from an answer.
///
/// # Panics
/// An answer that no correct request gets, such as 400 or 401.
pub(super) fn told(heard: Result<Answer, Lost>, start: Millis) -> (Told, String) {
    let answer = match heard {
        Ok(answer) => answer,
        Err(Lost::NotSent(_)) => return (Told::Nothing, "not sent".into()),
        Err(Lost::NoAnswer(_)) => return (Told::Unknown, "no answer".into()),
    };
    let problem = answer.problem();
    let word = if problem.is_empty() { answer.status.to_string() } else { problem.clone() };
    let told = match (answer.status, problem.as_str()) {
        (200 | 201, _) | (404, "NOT_FOUND") | (409, _) => {
            Told::Answer(Box::new(answered(&answer, problem.into(), start)))
        }
        (503, "OUTCOME_UNKNOWN") | (500, _) | (408, _) => Told::Unknown,
        (503 | 429, _) => Told::Nothing,
        _ => panic!("{}: {}", answer.status, answer.text()),
    };
    (told, word)
}

fn answered(answer: &Answer, problem: Box<str>, start: Millis) -> Answered {
    let json = answer.json();
    let is_coupon = json.get("version").is_some();
    let coupon = if is_coupon { &json } else { &json["coupon"] };
    let is_redemption = json.get("redeemed_at").is_some() && !is_coupon;
    let redemption = if is_redemption { &json } else { &json["redemption"] };
    Answered {
        status: answer.status,
        problem,
        coupon: (!coupon.is_null()).then(|| facts(coupon, start)),
        redemption: (!redemption.is_null()).then(|| redeemed(redemption)),
    }
}

fn facts(coupon: &Value, start: Millis) -> Facts {
    let instant = |name: &str| coupon[name].as_str().map(|it| parse_instant(it).expect("instant"));
    let events = coupon["events"].as_array().map(|events| {
        let event =
            |event: &Value| Entry { kind: must(event, "kind"), reference: may(event, "reference") };
        events.iter().map(event).collect()
    });
    Facts {
        version: coupon["version"].as_u64().expect("a version"),
        state: must(coupon, "state"),
        holder: may(coupon, "holder"),
        order: may(coupon, "order_ref"),
        held_days: instant("held_until").map(|until| whole_days(until, start)),
        expires_at: instant("expires_at").expect("an expiry"),
        events,
    }
}

fn redeemed(redemption: &Value) -> Redeemed {
    Redeemed {
        by: may(redemption, "user_id"),
        order: must(redemption, "order_ref"),
        is_cancelled: !redemption["cancelled_at"].is_null(),
    }
}

fn may(of: &Value, name: &str) -> Option<Box<str>> {
    of[name].as_str().map(Into::into)
}

fn must(of: &Value, name: &str) -> Box<str> {
    may(of, name).unwrap_or_else(|| panic!("no {name} in {of}"))
}
