//! A shared word: a change of the user's own coupon of the campaign behind it.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, OrderRef, UserId};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::claim::Claim;
use super::located::{Decision, Here, Located};

/// Whose coupon a change behind a shared word is about.
#[derive(Clone, Debug)]
pub struct SharedAsk {
    pub user: UserId,
    /// The issue to a user who has no coupon to take; `None` if the change never takes a new one.
    pub issue: Option<Change>,
    pub(super) order: OrderRef,
}

impl SharedAsk {
    /// What `change` asks for; `None` if it names no user and no order.
    pub fn of(change: &Change) -> Option<SharedAsk> {
        match (&change.action, &change.asker) {
            (Action::Redeem { by, order, .. } | Action::Hold { by, order, .. }, _) => {
                let reference = Some(IssueRef::of_order(order));
                let action = Action::Issue { to: by.clone(), reference, expires_at: None };
                let issue = Some(Change { action, ..change.clone() });
                Some(SharedAsk { user: by.clone(), issue, order: order.clone() })
            }
            (
                Action::Release { order } | Action::CancelRedemption { order, .. },
                Asker::User(user),
            ) => Some(SharedAsk { user: user.clone(), issue: None, order: order.clone() }),
            _ => None,
        }
    }

    /// The user's coupon that the order holds or has redeemed.
    pub(super) fn of_order<'a, H, S>(
        &self,
        claim: &'a Claim<H, S>,
        at: Millis,
    ) -> Option<&'a Located<H>> {
        claim.looked().find(|it| is_of(&it.coupon, &self.user, &self.order, at))
    }
}

/// The answer behind a shared word, if no other coupon is handed out for it. `claim` has every coupon of
/// the user. `None`: [`SharedAsk::issue`] comes first, and then the change ([`super::give`]).
pub fn shared<H: Here, S>(
    ask: &SharedAsk,
    change: &Change,
    claim: &Claim<H, S>,
    clock_bound_ms: i64,
) -> Option<Decision<H, S>> {
    // First: a repeat of an order goes to the coupon that the order has already.
    if let Some(located) = ask.of_order(claim, change.at) {
        return Some(Decision::of(located, change, clock_bound_ms));
    }
    if ask.issue.is_none() {
        let newest = claim.counted().next_back();
        let of_newest = |located| Decision::of(located, change, clock_bound_ms);
        return Some(newest.map_or_else(Decision::not_found, of_newest));
    }
    let mut refused = None;
    for located in claim.counted() {
        let decision = Decision::of(located, change, clock_bound_ms);
        match decision.applied.outcome {
            Outcome::Refused(_) => refused = Some(decision),
            Outcome::Accepted(_) | Outcome::Replayed => return Some(decision),
        }
    }
    // Before the limit: an unfinished entry may still become one of the user's coupons.
    if let Some(refusal) = claim.end.unfinished {
        return Some(Decision::refused(refusal));
    }
    if claim.is_full() {
        let one = claim.only_one().is_some();
        let limit = Decision::refused(Refusal::LimitPerUser);
        return Some(refused.filter(|_| one).unwrap_or(limit));
    }
    None
}

fn is_of(coupon: &Coupon, user: &UserId, order: &OrderRef, at: Millis) -> bool {
    let held = coupon.running_hold(at).is_some_and(|hold| hold.by == *user && hold.order == *order);
    let redeemed = coupon.redemption_of(order).is_some_and(|past| past.by.as_ref() == Some(user));
    held || redeemed
}

#[cfg(test)]
mod tests;
