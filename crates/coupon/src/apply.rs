//! The rules: what may become of a coupon. The only place that decides it.
//!
//! [`apply`] tries its rules in the order in which `docs/rules.md` lists them; the first that fits
//! decides. It reads no clock: the moment, the caller and the campaign's terms come in as values.

use crate::calendar::Zone;
use crate::campaign::{Handout, Terms};
use crate::coupon::{Coupon, EVENTS_MAX, EVENTS_OPEN_MAX, Event, EventKind, Hold, State};
use crate::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};
use crate::refusal::Refusal;
use crate::time::{DAY_MS, Millis};

/// Longest hold, counted from the order's first: a bank transfer may take a week.
pub const HOLD_MAX_MS: i64 = 7 * DAY_MS;

/// How long after its expiry a coupon that was held in time may still be redeemed.
pub const HOLD_PAST_EXPIRY_MS: i64 = 15 * 60 * 1000;

/// For whom the change is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A user for himself: he learns nothing about coupons that are not his.
    User(UserId),
    /// A shop's back end, or an admin.
    Shop,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give it to a user.
    Issue {
        /// The user.
        to: UserId,
        /// The caller's name for the request.
        reference: Option<IssueRef>,
        /// Expiry that counts from the issue, in campaigns with `valid_days`.
        expires_at: Option<Millis>,
    },
    /// Spend it.
    Redeem {
        /// The user who spends it.
        by: UserId,
        /// The order it is spent for.
        order: OrderRef,
    },
    /// Keep it for one order.
    Hold {
        /// The user of the order.
        by: UserId,
        /// The order.
        order: OrderRef,
        /// Until when, before the limits of this module.
        until: Millis,
    },
    /// Keep it no longer.
    Release {
        /// The order it was kept for.
        order: OrderRef,
    },
    /// Undo its redemption.
    CancelRedemption {
        /// The order that redeemed it.
        order: OrderRef,
        /// Why.
        reason: Option<Reason>,
    },
    /// Take it back from its holder.
    Revoke {
        /// The holder, named so that a late revoke cannot hit the next one.
        user: UserId,
        /// The caller's name for the request: a repeat is a replay, even if the same user has been
        /// issued the coupon again since.
        reference: Option<RevokeRef>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Kill it.
    Void {
        /// Why.
        reason: Option<Reason>,
    },
    /// Give it a later expiry.
    Extend {
        /// The new expiry, exclusive.
        expires_at: Millis,
        /// The zone of its calendar day.
        zone: Zone,
        /// Why.
        reason: Option<Reason>,
    },
}

/// One wish to change a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is asked for.
    pub action: Action,
    /// For whom.
    pub asker: Asker,
    /// Whose name goes into the history.
    pub actor: Actor,
    /// This attempt.
    pub operation: OperationId,
    /// The moment.
    pub at: Millis,
    /// Revoke, void and extend only while the coupon has this version, so that a request that is
    /// repeated late cannot change what has become of the coupon since.
    pub if_version: Option<u64>,
}

/// What came of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted: the coupon as it is now, one version later.
    Accepted(Box<Coupon>),
    /// The same was asked before, and stands: nothing to write.
    Replayed,
    /// A rule said no.
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
    // A bearer coupon that is put into the wallet of the user it is held for stays held.
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
    let own = not_held_by_another(coupon, change, terms)?;
    unredeemed(coupon, own, change, terms)
}

/// Promise 6: of a coupon that is not his, a user learns nothing, and a shop no more than that
/// nobody has it.
fn not_somebody_elses(coupon: &Coupon, change: &Change, terms: &Terms) -> Result<(), Refusal> {
    let user = match (&change.action, &change.asker) {
        (Action::Redeem { by, .. } | Action::Hold { by, .. }, _) => by,
        (Action::Release { .. } | Action::CancelRedemption { .. }, Asker::User(user)) => user,
        _ => return Ok(()),
    };
    let others_coupon = coupon.holder().is_some_and(|holder| holder != user);
    if terms.handout != Handout::Bearer {
        return match (coupon.holder(), coupon.state(), &change.asker) {
            (Some(_), _, _) if !others_coupon => Ok(()),
            (_, State::Available, Asker::Shop) => Err(Refusal::NotIssued),
            _ => Err(Refusal::NotFound),
        };
    }
    let gives_back =
        matches!(change.action, Action::Release { .. } | Action::CancelRedemption { .. });
    let others_hold = coupon.running_hold(change.at).is_some_and(|hold| hold.by != *user);
    // An import may not say who redeemed; then nobody who merely knows the code may undo it.
    let nobodys = coupon.redemption().is_some_and(|redemption| redemption.by.is_none());
    if gives_back && (others_coupon || nobodys || others_hold) {
        return Err(Refusal::NotFound);
    }
    Ok(())
}

/// Replays of a redemption and of its cancelling, and what a cancelled order may not do again.
fn said_before(
    coupon: &Coupon,
    action: &Action,
    asker: &Asker,
) -> Result<Option<Verdict>, Refusal> {
    let (Action::Redeem { order, .. }
    | Action::Hold { order, .. }
    | Action::CancelRedemption { order, .. }) = action
    else {
        return Ok(None);
    };
    let Some(redemption) = coupon.redemption_of(order) else {
        return Ok(None);
    };
    let cancelled = redemption.cancelled_at.is_some();
    match action {
        Action::Redeem { by, .. } if !cancelled && redemption.by.as_ref() == Some(by) => {
            Ok(Some(Verdict::Replay))
        }
        Action::CancelRedemption { .. } if cancelled => match asker {
            Asker::User(user) if redemption.by.as_ref() != Some(user) => Err(Refusal::NotFound),
            Asker::User(_) | Asker::Shop => Ok(Some(Verdict::Replay)),
        },
        Action::Redeem { .. } | Action::Hold { .. } if cancelled => {
            Err(Refusal::RedemptionCancelled)
        }
        _ => Ok(None),
    }
}

/// The replay of a revoke that its caller has named. The name stands for one user.
fn revoked_before(coupon: &Coupon, action: &Action) -> Result<Option<Verdict>, Refusal> {
    let Action::Revoke { user, reference: Some(name), .. } = action else {
        return Ok(None);
    };
    let named = coupon.events().iter().find_map(|event| match &event.kind {
        EventKind::Revoked { from, reference: Some(reference), .. } if reference == name => {
            Some(from)
        }
        _ => None,
    });
    match named {
        None => Ok(None),
        Some(from) if from == user => Ok(Some(Verdict::Replay)),
        Some(_) => Err(Refusal::NameTaken),
    }
}

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
            // 0 is never, also by a clock that is behind the one that redeemed.
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

/// Whether the coupon is kept for the order that asks; refuses where it is kept for another.
/// In bearer campaigns a coupon in a wallet is refused to others before its hold is looked at.
fn not_held_by_another<'a>(
    coupon: &'a Coupon,
    change: &Change,
    terms: &Terms,
) -> Result<Option<&'a Hold>, Refusal> {
    if let (State::Issued { holder }, Action::Redeem { by, .. } | Action::Hold { by, .. }) =
        (coupon.state(), &change.action)
        && holder != by
    {
        return Err(Refusal::AlreadyIssued);
    }
    let Some(hold) = coupon.hold() else {
        return Ok(None);
    };
    let own = match &change.action {
        Action::Redeem { by, order } | Action::Hold { by, order, .. } => {
            hold.by == *by && hold.order == *order
        }
        Action::Issue { to, .. } => hold.by == *to,
        Action::Release { .. } | Action::CancelRedemption { .. } => return Ok(None),
        Action::Revoke { .. } | Action::Void { .. } | Action::Extend { .. } => false,
    };
    // Others wait a little longer: the clock of the node that granted the hold may be ahead.
    let over_for_others = hold.until.plus_ms(terms.clock_bound_ms);
    match own {
        true => Ok(Some(hold).filter(|hold| change.at < hold.until)),
        false if change.at < over_for_others => Err(Refusal::Held { until: over_for_others }),
        false => Ok(None),
    }
}

/// The rules for a coupon that is Available or Issued, and not kept for another order.
fn unredeemed(
    coupon: &Coupon,
    own: Option<&Hold>,
    change: &Change,
    terms: &Terms,
) -> Result<Verdict, Refusal> {
    match &change.action {
        Action::Redeem { by, order } => {
            if own.is_none() {
                works_now(coupon, change.at, terms)?;
            }
            has_room(coupon, 1)?;
            Ok(Verdict::Append(EventKind::Redeemed { by: Some(by.clone()), order: order.clone() }))
        }
        Action::Hold { by, order, until } => hold(coupon, own, change, terms, by, order, *until),
        Action::Issue { to, reference, expires_at } => {
            if let State::Issued { holder } = coupon.state() {
                return if holder == to {
                    Ok(Verdict::Replay)
                } else {
                    Err(Refusal::AlreadyIssued)
                };
            }
            if coupon.is_expired(change.at) {
                return Err(Refusal::Expired);
            }
            terms.issues_at(change.at)?;
            // A hold of that user runs on, and the redemption that it promised needs a place too.
            has_room(coupon, if own.is_some() { 2 } else { 1 })?;
            Ok(Verdict::Append(EventKind::Issued {
                to: to.clone(),
                reference: reference.clone(),
                expires_at: *expires_at,
            }))
        }
        Action::Release { order } => {
            let asks = |hold: &&Hold| match &change.asker {
                Asker::User(user) => hold.by == *user && hold.order == *order,
                Asker::Shop => hold.order == *order,
            };
            match coupon.running_hold(change.at).filter(asks) {
                Some(_) => Ok(Verdict::Hold(None)),
                None => Ok(Verdict::Replay),
            }
        }
        Action::Revoke { user, reference, reason } => {
            is_at(coupon, change.if_version)?;
            match coupon.state() {
                State::Issued { holder } if holder == user => {
                    Ok(Verdict::Append(EventKind::Revoked {
                        from: user.clone(),
                        reference: reference.clone(),
                        reason: reason.clone(),
                    }))
                }
                _ => Err(Refusal::NotIssued),
            }
        }
        Action::Void { reason } => {
            is_at(coupon, change.if_version)?;
            Ok(Verdict::Append(EventKind::Voided { reason: reason.clone() }))
        }
        Action::Extend { expires_at, zone, reason } => {
            if *expires_at == coupon.expires_at() {
                return Ok(Verdict::Replay);
            }
            is_at(coupon, change.if_version)?;
            if *expires_at < coupon.expires_at() {
                return Err(Refusal::NotLater);
            }
            if change.at >= coupon.expires_at().plus_days(terms.extend_days) {
                return Err(Refusal::ExpiryDayClosed);
            }
            has_room(coupon, 1)?;
            Ok(Verdict::Append(EventKind::Extended {
                expires_at: *expires_at,
                zone: zone.clone(),
                reason: reason.clone(),
            }))
        }
        Action::CancelRedemption { .. } => Err(Refusal::NotRedeemed),
    }
}

fn hold(
    coupon: &Coupon,
    own: Option<&Hold>,
    change: &Change,
    terms: &Terms,
    by: &UserId,
    order: &OrderRef,
    until: Millis,
) -> Result<Verdict, Refusal> {
    let since = own.map_or(change.at, |hold| hold.since);
    let until =
        until.min(since.plus_ms(HOLD_MAX_MS)).min(coupon.expires_at().plus_ms(HOLD_PAST_EXPIRY_MS));
    if own.is_some_and(|hold| until <= hold.until) {
        return Ok(Verdict::Replay);
    }
    works_now(coupon, change.at, terms)?;
    has_room(coupon, 1)?;
    let (by, order) = (by.clone(), order.clone());
    Ok(Verdict::Hold(Some(Hold { by, order, operation: change.operation, since, until })))
}

fn works_now(coupon: &Coupon, at: Millis, terms: &Terms) -> Result<(), Refusal> {
    let valid_from = coupon.genesis().valid_from;
    if at < valid_from {
        return Err(Refusal::NotStarted { valid_from });
    }
    if coupon.is_expired(at) {
        return Err(Refusal::Expired);
    }
    if terms.paused {
        return Err(Refusal::Paused);
    }
    Ok(())
}

/// Whether the coupon still has the version that the caller has seen.
fn is_at(coupon: &Coupon, wanted: Option<u64>) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if wanted != coupon.version() => Err(Refusal::VersionConflict),
        _ => Ok(()),
    }
}

fn has_room(coupon: &Coupon, events: usize) -> Result<(), Refusal> {
    if coupon.events().len() + events > EVENTS_OPEN_MAX {
        return Err(Refusal::HistoryFull);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
