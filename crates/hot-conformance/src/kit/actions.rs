//! The actions of a case, and the parts of an answer.

use coupon::apply::{Action, Outcome};
use coupon::benefit::OrderAmount;
use coupon::calendar::Zone;
use coupon::campaign::{Batch, BatchKind, Campaign, MintedRun};
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, OrderRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;
use coupon::worth::{OrderMoney, RedemptionWorth};
use hot::{Applied, CouponFilter, ListOrder, ListQuery, ListScope};

use super::{MINUTE, NOW};

/// The outcome of a change, without the coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    Accepted,
    Replayed,
    Refused(Refusal),
}

pub fn said(applied: &Applied) -> ChangeOutcome {
    match applied.outcome {
        Outcome::Accepted(_) => ChangeOutcome::Accepted,
        Outcome::Replayed => ChangeOutcome::Replayed,
        Outcome::Refused(refusal) => ChangeOutcome::Refused(refusal),
    }
}

/// The coupon of an answer that has one.
pub fn of(applied: &Applied) -> &Coupon {
    &applied.snapshot.as_ref().expect("the answer has a coupon").coupon
}

/// An order, in the words of a shop in Seoul. No store may take it for ASCII.
pub fn order(text: &str) -> OrderRef {
    format!("주문:{text}").parse().unwrap()
}

/// An order that only this user has.
pub fn order_of(user: &UserId) -> String {
    user.to_string()
}

/// The name of a request, which is no ASCII, except that of a replacement.
pub fn reference(text: &str) -> Option<IssueRef> {
    match text.starts_with("replaces:") {
        true => text.parse().ok(),
        false => format!("요청:{text}").parse().ok(),
    }
}

pub fn redeem(by: &UserId, at: &str) -> Action {
    Action::Redeem { by: by.clone(), order: order(at), money: Default::default() }
}

/// The same with what the shop says of the order, such as `KRW 30000 3000`.
pub fn with_worth(mut action: Action, worth: &str) -> Action {
    let worth: RedemptionWorth = worth.parse().unwrap();
    if let Action::Redeem { money, .. } | Action::Hold { money, .. } = &mut action {
        let (amount, discount) = (worth.order_amount.map(OrderAmount::from), worth.discount);
        *money = OrderMoney { amount, currency: Some(worth.currency), discount };
    }
    action
}

pub fn redeem_worth(by: &UserId, at: &str, worth: &str) -> Action {
    with_worth(redeem(by, at), worth)
}

pub fn hold(by: &UserId, at: &str, minutes: i64) -> Action {
    Action::Hold {
        by: by.clone(),
        order: order(at),
        until: NOW.plus_ms(minutes * MINUTE),
        money: Default::default(),
    }
}

pub fn release(at: &str) -> Action {
    Action::Release { order: order(at) }
}

pub fn cancel(at: &str) -> Action {
    Action::CancelRedemption { order: order(at), reason: "sent back".parse().ok() }
}

pub fn revoke(user: &UserId) -> Action {
    Action::Revoke { user: user.clone(), reference: None, reason: None }
}

pub fn void() -> Action {
    Action::Void { reason: "a misprint".parse().ok() }
}

pub fn extend(expires_at: Millis) -> Action {
    Action::Extend { expires_at, zone: Zone::utc(), reason: None }
}

pub fn give(to: &UserId, name: Option<IssueRef>) -> Action {
    Action::Issue { to: to.clone(), reference: name, expires_at: None }
}

/// All coupons of a list, the last one to expire first, as far as they fit on a page.
pub fn all_of(scope: ListScope) -> ListQuery {
    let (filter, order) = (CouponFilter::default(), ListOrder::Latest);
    ListQuery { scope, filter, order, after: None, limit: 1_000, now: NOW }
}

pub fn run_of(batch: &Batch) -> MintedRun {
    match batch.kind {
        BatchKind::Minted(run) => run,
        BatchKind::Imported => panic!("{batch:?} is minted"),
    }
}

/// An extension to `days` days after the campaign's end.
pub fn extend_days(campaign: &Campaign, days: u16) -> Action {
    extend(campaign.expires_at.plus_days(days))
}
