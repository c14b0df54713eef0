//! The model: what one request does to one coupon, and its answer. It uses only `coupon::apply`.
//!
//! Its clock stays at the start of the run. This is enough, because everything ends days after the
//! run: expiries are years ahead, `cancel_days` is 30, holds last whole days, and one order never
//! uses the same number of days twice.

use std::rc::Rc;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::Terms;
use coupon::coupon::{Coupon, Redemption};
use coupon::ids::{Actor, OperationId, OrderRef};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::history::{Answered, Ask, Operation, Redeemed, Told};

/// The first state of a coupon, and its terms.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) start: Coupon,
    pub(super) terms: Terms,
    /// When the run began.
    pub(super) at: Millis,
    /// Whether the store may raise the version of a coupon without a change, so that a change begun
    /// by a process that may be dead comes too late.
    pub(super) skips: bool,
}

/// What an operation did, if it fits.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The coupon did not change.
    Stays,
    /// The coupon changed.
    Becomes(Rc<Coupon>),
}

impl World {
    /// What `operation` did to `coupon`, if the model gives the answer that its client got.
    pub(super) fn step(&self, coupon: &Coupon, operation: &Operation) -> Option<Step> {
        let told = match &operation.told {
            Told::Answer(told) => told,
            Told::Unknown => return Some(self.unseen(coupon, &operation.ask)),
            Told::Nothing => return None,
        };
        let action = match &operation.ask {
            Ask::Read => return self.read(coupon, told).then_some(Step::Stays),
            Ask::Change(action) => action,
        };
        match self.outcome(coupon, action) {
            Outcome::Accepted(after) => {
                let status = if operation.ask.tells_made_from_same() { 201 } else { 200 };
                let fits = is(told, status, "") && self.shows(told, &after, action);
                fits.then(|| Step::Becomes(Rc::from(after)))
            }
            Outcome::Replayed => {
                let fits = is(told, 200, "") && self.shows(told, coupon, action);
                fits.then_some(Step::Stays)
            }
            Outcome::Refused(refusal) => {
                let fits = is(told, status_of(refusal), refusal.as_str())
                    && self.shows(told, coupon, action);
                fits.then_some(Step::Stays)
            }
        }
    }

    /// The answer of the model, for a report.
    pub(super) fn would_tell(&self, coupon: &Coupon, ask: &Ask) -> String {
        match ask {
            Ask::Read => "200".into(),
            Ask::Change(action) => match self.outcome(coupon, action) {
                Outcome::Accepted(_) => "accepted".into(),
                Outcome::Replayed => "replayed".into(),
                Outcome::Refused(refusal) => refusal.as_str().into(),
            },
        }
    }

    fn outcome(&self, coupon: &Coupon, action: &Action) -> Outcome {
        let change = Change {
            action: action.clone(),
            asker: Asker::Shop,
            actor: Actor::new("admin:root"),
            // The same for all: the names in a request show which attempt it is.
            operation: OperationId(0),
            at: self.at,
            if_version: None,
        };
        coupon::apply(coupon, &change, &self.terms)
    }

    fn unseen(&self, coupon: &Coupon, ask: &Ask) -> Step {
        match ask {
            Ask::Read => Step::Stays,
            Ask::Change(action) => match self.outcome(coupon, action) {
                Outcome::Accepted(after) => Step::Becomes(Rc::from(after)),
                Outcome::Replayed | Outcome::Refused(_) => Step::Stays,
            },
        }
    }

    fn read(&self, coupon: &Coupon, told: &Answered) -> bool {
        is(told, 200, "") && told.coupon.as_ref().is_some_and(|shown| shown.fit(coupon, self.at))
    }

    /// Whether `coupon` looks as in the answer.
    fn shows(&self, told: &Answered, coupon: &Coupon, action: &Action) -> bool {
        let redeemed = told.redemption.as_ref();
        told.coupon.as_ref().is_none_or(|shown| shown.fit(coupon, self.at))
            && redeemed.is_none_or(|shown| {
                order_in(action)
                    .and_then(|order| coupon.redemption_of(order))
                    .is_some_and(|redemption| redeemed_fits(shown, &redemption))
            })
    }
}

fn is(told: &Answered, status: u16, problem: &str) -> bool {
    told.status == status && *told.problem == *problem
}

fn status_of(refusal: Refusal) -> u16 {
    if refusal == Refusal::NotFound { 404 } else { 409 }
}

fn order_in(action: &Action) -> Option<&OrderRef> {
    match action {
        Action::Redeem { order, .. }
        | Action::Hold { order, .. }
        | Action::Release { order }
        | Action::CancelRedemption { order, .. } => Some(order),
        Action::Issue { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => None,
    }
}

fn redeemed_fits(shown: &Redeemed, redemption: &Redemption) -> bool {
    shown.by.as_deref() == redemption.by.as_ref().map(|by| by.as_str())
        && *shown.order == *redemption.order.as_str()
        && shown.is_cancelled == redemption.cancelled_at.is_some()
}
