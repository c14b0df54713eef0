//! The rules for a coupon that is available or issued, one function per action.
//!
//! By the time they run, no other order holds the coupon, and nothing in its history answers the change.

use super::{Action, Asker, Change, HOLD_MAX_MS, HOLD_PAST_EXPIRY_MS, Verdict};
use crate::calendar::Zone;
use crate::campaign::Terms;
use crate::coupon::{Coupon, EVENTS_OPEN_MAX, EventKind, Hold, State};
use crate::ids::{IssueRef, OrderRef, Reason, RevokeRef, UserId};
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::worth::OrderMoney;

pub(super) struct Unredeemed<'a> {
    pub(super) coupon: &'a Coupon,
    /// The running hold of the order that asks.
    pub(super) own_hold: Option<&'a Hold>,
    pub(super) change: &'a Change,
    pub(super) terms: &'a Terms,
}

impl Unredeemed<'_> {
    pub(super) fn decide(&self) -> Result<Verdict, Refusal> {
        match &self.change.action {
            Action::Redeem { by, order, money } => self.redeem(by, order, money),
            Action::Hold { by, order, until, money } => self.hold(by, order, *until, money),
            Action::Issue { to, reference, expires_at } => self.issue(to, reference, *expires_at),
            Action::Release { order } => Ok(self.release(order)),
            Action::Revoke { user, reference, reason } => self.revoke(user, reference, reason),
            Action::Void { reason } => self.void(reason),
            Action::Extend { expires_at, zone, reason } => self.extend(*expires_at, zone, reason),
            Action::CancelRedemption { .. } => Err(Refusal::NotRedeemed),
        }
    }

    fn redeem(
        &self,
        by: &UserId,
        order: &OrderRef,
        money: &OrderMoney,
    ) -> Result<Verdict, Refusal> {
        if self.own_hold.is_none() {
            self.works_now()?;
        }
        let worth = self.terms.worth(money)?;
        self.has_room(1)?;
        let (by, order) = (Some(by.clone()), order.clone());
        Ok(Verdict::Append(EventKind::Redeemed { by, order, worth: worth.map(Box::new) }))
    }

    fn hold(
        &self,
        by: &UserId,
        order: &OrderRef,
        until: Millis,
        money: &OrderMoney,
    ) -> Result<Verdict, Refusal> {
        let since = self.own_hold.map_or(self.change.at, |hold| hold.since);
        let until = until
            .min(since.plus_ms(HOLD_MAX_MS))
            .min(self.coupon.expires_at().plus_ms(HOLD_PAST_EXPIRY_MS));
        let is_there = self.own_hold.is_some_and(|hold| until <= hold.until);
        if !is_there {
            self.works_now()?;
        }
        self.terms.worth(money)?;
        if is_there {
            return Ok(Verdict::Replay);
        }
        self.has_room(1)?;
        let (by, order, operation) = (by.clone(), order.clone(), self.change.operation);
        Ok(Verdict::Hold(Some(Hold { by, order, operation, since, until })))
    }

    fn issue(
        &self,
        to: &UserId,
        reference: &Option<IssueRef>,
        expires_at: Option<Millis>,
    ) -> Result<Verdict, Refusal> {
        if let State::Issued { holder } = self.coupon.state() {
            return if holder == to { Ok(Verdict::Replay) } else { Err(Refusal::AlreadyIssued) };
        }
        if self.coupon.is_expired(self.change.at) {
            return Err(Refusal::Expired);
        }
        self.terms.issues_at(self.change.at)?;
        // The user's own hold stays, and the redemption that it promised needs a place too.
        self.has_room(if self.own_hold.is_some() { 2 } else { 1 })?;
        Ok(Verdict::Append(EventKind::Issued {
            to: to.clone(),
            reference: reference.clone(),
            expires_at,
        }))
    }

    fn release(&self, order: &OrderRef) -> Verdict {
        let asks = |hold: &&Hold| match &self.change.asker {
            Asker::User(user) => hold.by == *user && hold.order == *order,
            Asker::Shop => hold.order == *order,
        };
        match self.coupon.running_hold(self.change.at).filter(asks) {
            Some(_) => Verdict::Hold(None),
            None => Verdict::Replay,
        }
    }

    fn revoke(
        &self,
        user: &UserId,
        reference: &Option<RevokeRef>,
        reason: &Option<Reason>,
    ) -> Result<Verdict, Refusal> {
        self.version_matches()?;
        match self.coupon.state() {
            State::Issued { holder } if holder == user => Ok(Verdict::Append(EventKind::Revoked {
                from: user.clone(),
                reference: reference.clone(),
                reason: reason.clone(),
            })),
            _ => Err(Refusal::NotIssued),
        }
    }

    fn void(&self, reason: &Option<Reason>) -> Result<Verdict, Refusal> {
        self.version_matches()?;
        Ok(Verdict::Append(EventKind::Voided { reason: reason.clone() }))
    }

    fn extend(
        &self,
        expires_at: Millis,
        zone: &Zone,
        reason: &Option<Reason>,
    ) -> Result<Verdict, Refusal> {
        let present = self.coupon.expires_at();
        if expires_at == present {
            return Ok(Verdict::Replay);
        }
        self.version_matches()?;
        if expires_at < present {
            return Err(Refusal::NotLater);
        }
        if self.change.at >= present.plus_days(self.terms.extend_days) {
            return Err(Refusal::ExpiryDayClosed);
        }
        self.has_room(1)?;
        Ok(Verdict::Append(EventKind::Extended {
            expires_at,
            zone: zone.clone(),
            reason: reason.clone(),
        }))
    }

    fn works_now(&self) -> Result<(), Refusal> {
        let valid_from = self.coupon.genesis().valid_from;
        if self.change.at < valid_from {
            return Err(Refusal::NotStarted { valid_from });
        }
        if self.coupon.is_expired(self.change.at) {
            return Err(Refusal::Expired);
        }
        if self.terms.paused {
            return Err(Refusal::Paused);
        }
        Ok(())
    }

    fn version_matches(&self) -> Result<(), Refusal> {
        match self.change.if_version {
            Some(named) if named != self.coupon.version() => Err(Refusal::VersionConflict),
            _ => Ok(()),
        }
    }

    fn has_room(&self, events: usize) -> Result<(), Refusal> {
        if self.coupon.events().len() + events > EVENTS_OPEN_MAX {
            return Err(Refusal::HistoryFull);
        }
        Ok(())
    }
}
