//! The rules: the only place that decides what a change does to a coupon.
//!
//! [`apply`] tries the rules in the order of `docs/rules.md`; the first that fits decides. It reads
//! no clock: the moment, the caller and the terms of the campaign come in as values.

mod access;
mod change;
mod replay;
mod unredeemed;

use crate::campaign::Terms;
use crate::coupon::{Coupon, EVENTS_MAX, Event, EventKind, Hold, State};
use crate::ids::OrderRef;
use crate::refusal::Refusal;
use crate::time::{DAY_MS, Millis};

use access::{not_held_by_another, not_somebody_elses};
pub use change::{Action, Asker, Change};
use replay::{revoked_before, said_before};
use unredeemed::Unredeemed;

/// Longest hold, from when its order took it first: a bank transfer may take a week.
pub const HOLD_MAX_MS: i64 = 7 * DAY_MS;

/// How long after its expiry a coupon can still be redeemed if it was held before.
pub const HOLD_PAST_EXPIRY_MS: i64 = 15 * 60 * 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted: the coupon as it is now, one version later.
    Accepted(Box<Coupon>),
    /// The same change was accepted before and still stands: there is nothing to write.
    Replayed,
    Refused(Refusal),
}

/// The outcome of `change` on `coupon` under `terms`. Pure; costs one copy of the coupon.
pub fn apply(coupon: &Coupon, change: &Change, terms: &Terms) -> Outcome {
    match decide(coupon, change, terms) {
        Ok(Verdict::Append(kind)) => accept(coupon, change, kind),
        Ok(Verdict::Hold(hold)) => Outcome::Accepted(Box::new(coupon.with_hold(hold, change.at))),
        Ok(Verdict::Replay) => Outcome::Replayed,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

enum Verdict {
    Append(EventKind),
    Hold(Option<Hold>),
    Replay,
}

fn accept(coupon: &Coupon, change: &Change, kind: EventKind) -> Outcome {
    if coupon.events().len() >= EVENTS_MAX {
        return Outcome::Refused(Refusal::HistoryFull);
    }
    // A bearer coupon that is issued to the user who holds it for an order stays held.
    let kept = match kind {
        EventKind::Issued { .. } => coupon.running_hold(change.at).cloned(),
        _ => None,
    };
    let event =
        Event { at: change.at, actor: change.actor.clone(), operation: change.operation, kind };
    Outcome::Accepted(Box::new(coupon.after(event, kept)))
}

/// The rules in their order; each `?` or `return` is a row of the table.
fn decide(coupon: &Coupon, change: &Change, terms: &Terms) -> Result<Verdict, Refusal> {
    not_somebody_elses(coupon, change, terms)?;
    if let Some(verdict) = said_before(coupon, &change.action, &change.asker)? {
        return Ok(verdict);
    }
    if let Some(verdict) = revoked_before(coupon, &change.action)? {
        return Ok(verdict);
    }
    match coupon.state() {
        State::Void { .. } => match change.action {
            Action::Void { .. } => return Ok(Verdict::Replay),
            _ => return Err(Refusal::Voided),
        },
        State::Redeemed { redemption, .. } => {
            return redeemed(redemption.at, &redemption.order, change, terms);
        }
        State::Available | State::Issued { .. } => {}
    }
    if let Action::CancelRedemption { .. } = change.action {
        return Err(Refusal::NotRedeemed);
    }
    let own_hold = not_held_by_another(coupon, change, terms)?;
    Unredeemed { coupon, own_hold, change, terms }.decide()
}

/// The rules for a redeemed coupon.
fn redeemed(
    redeemed_at: Millis,
    by_order: &OrderRef,
    change: &Change,
    terms: &Terms,
) -> Result<Verdict, Refusal> {
    match &change.action {
        Action::Release { order } if order == by_order => Err(Refusal::AlreadyRedeemed),
        Action::Release { .. } => Ok(Verdict::Replay),
        Action::CancelRedemption { order, .. } if order != by_order => Err(Refusal::NotRedeemed),
        Action::CancelRedemption { .. }
            // 0 means never, also for a clock that is behind the clock that redeemed.
            if terms.cancel_days == 0
                || change.at >= redeemed_at.plus_days(terms.cancel_days) =>
        {
            Err(Refusal::CancelClosed)
        }
        Action::CancelRedemption { order, reason } => {
            Ok(Verdict::Append(EventKind::RedemptionCancelled {
                order: order.clone(),
                reason: reason.clone(),
            }))
        }
        Action::Redeem { .. }
        | Action::Hold { .. }
        | Action::Issue { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Err(Refusal::AlreadyRedeemed),
    }
}

#[cfg(test)]
mod tests;
