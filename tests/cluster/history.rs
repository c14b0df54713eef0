//! The history of one coupon: the requests and answers that its clients recorded.
//!
//! An *operation* is one request. It took effect at one instant between its invocation and its
//! return. If its outcome is *unknown*, it took effect at any instant after its invocation, also
//! long after its client gave up, or never. If *nothing* came of it, it never did.

use std::time::Duration;

use coupon::apply::Action;
use coupon::coupon::{Coupon, Event};
use coupon::ids::OrderRef;
use coupon::time::{DAY_MS, Millis};

/// The action of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The coupon with its events.
    Read,
    /// A change.
    Change(Action),
}

impl Ask {
    /// Its name in a report.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Ask::Read => "get",
            Ask::Change(Action::Issue { .. }) => "issue",
            Ask::Change(Action::Redeem { .. }) => "redeem",
            Ask::Change(Action::Hold { .. }) => "hold",
            Ask::Change(Action::Release { .. }) => "release",
            Ask::Change(Action::CancelRedemption { .. }) => "cancel",
            Ask::Change(Action::Revoke { .. }) => "revoke",
            Ask::Change(Action::Void { .. }) => "void",
            Ask::Change(Action::Extend { .. }) => "extend",
        }
    }

    /// Whether its answer distinguishes a change (201) from a replay (200).
    pub(super) fn tells_made_from_same(&self) -> bool {
        match self {
            Ask::Change(Action::Issue { .. } | Action::Hold { .. } | Action::Redeem { .. }) => true,
            Ask::Read
            | Ask::Change(
                Action::Release { .. }
                | Action::CancelRedemption { .. }
                | Action::Revoke { .. }
                | Action::Void { .. }
                | Action::Extend { .. },
            ) => false,
        }
    }
}

/// The outcome for the client.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// An answer that says what happened.
    Answer(Box<Answered>),
    /// It may have happened, or may still happen.
    Unknown,
    /// The service says that nothing changed, or the request was not sent.
    Nothing,
}

/// Status, problem code and coupon of an answer.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// Empty for a 2xx.
    pub(super) problem: Box<str>,
    pub(super) coupon: Option<Facts>,
    pub(super) redemption: Option<Redeemed>,
}

/// A coupon as an answer shows it, without the instants that the service chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: u64,
    pub(super) state: Box<str>,
    pub(super) holder: Option<Box<str>>,
    pub(super) order: Option<Box<str>>,
    /// For how many whole days from the start of the run it is held.
    pub(super) held_days: Option<i64>,
    pub(super) expires_at: Millis,
    /// Only a read shows them.
    pub(super) events: Option<Vec<Entry>>,
}

/// An event as an answer shows it, without its instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Box<str>,
    pub(super) reference: Option<Box<str>>,
}

/// A redemption as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redeemed {
    pub(super) by: Option<Box<str>>,
    pub(super) order: Box<str>,
    pub(super) is_cancelled: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) client: usize,
    /// By the one clock of the run, like `returned`.
    pub(super) invoked: Duration,
    /// When its client got the answer. It means nothing if the outcome is unknown.
    pub(super) returned: Duration,
    pub(super) ask: Ask,
    pub(super) told: Told,
}

impl Operation {
    pub(super) fn answered(&self) -> Option<&Answered> {
        match &self.told {
            Told::Answer(answered) => Some(answered),
            Told::Unknown | Told::Nothing => None,
        }
    }

    /// Whether its answer proves that it did not change the coupon.
    pub(super) fn changed_nothing(&self) -> bool {
        let replayed = |it: &Answered| it.status == 200 && self.ask.tells_made_from_same();
        matches!(self.ask, Ask::Read)
            || self.answered().is_some_and(|it| !it.problem.is_empty() || replayed(it))
    }
}

impl Facts {
    /// Whether a coupon looks like this. `start` is when the run began.
    pub(super) fn fit(&self, coupon: &Coupon, start: Millis) -> bool {
        self.version == coupon.version()
            && *self.state == *coupon.state().as_str()
            && self.holder.as_deref() == coupon.holder().map(|holder| holder.as_str())
            && self.order.as_deref() == order_of(coupon).map(OrderRef::as_str)
            && self.held_days == held_days(coupon, start)
            && self.expires_at == coupon.expires_at()
            && self.events.as_ref().is_none_or(|events| events_fit(events, coupon))
    }

    /// How a coupon looks in an answer.
    pub(super) fn of(coupon: &Coupon, start: Millis) -> Facts {
        let events = coupon.events().iter();
        let events = events.map(|event| Entry {
            kind: event.kind.as_str().into(),
            reference: event.reference().map(Into::into),
        });
        Facts {
            version: coupon.version(),
            state: coupon.state().as_str().into(),
            holder: coupon.holder().map(|holder| holder.as_str().into()),
            order: order_of(coupon).map(|order| order.as_str().into()),
            held_days: held_days(coupon, start),
            expires_at: coupon.expires_at(),
            events: Some(events.collect()),
        }
    }
}

impl Entry {
    pub(super) fn fits(&self, event: &Event) -> bool {
        *self.kind == *event.kind.as_str() && self.reference.as_deref() == event.reference()
    }
}

fn events_fit(shown: &[Entry], coupon: &Coupon) -> bool {
    let events = coupon.events();
    shown.len() == events.len() && shown.iter().zip(events).all(|(shown, event)| shown.fits(event))
}

/// Of the redemption, or of the hold.
fn order_of(coupon: &Coupon) -> Option<&OrderRef> {
    let redeemed = coupon.redemption().map(|redemption| &redemption.order);
    redeemed.or(coupon.hold().map(|hold| &hold.order))
}

fn held_days(coupon: &Coupon, start: Millis) -> Option<i64> {
    coupon.hold().map(|hold| whole_days(hold.until, start))
}

/// Whole days from `start` to `until`: the end of a hold without the instant at which the service
/// read its clock.
pub(super) fn whole_days(until: Millis, start: Millis) -> i64 {
    (until.0 - start.0).div_euclid(DAY_MS)
}
