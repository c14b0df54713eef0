//! What a line of an import does to a coupon: the only place that decides it.
//!
//! [`advance`] compares a line with what was imported under its code before, not with the coupon as
//! it is now. So the same file twice changes nothing, and the last file of the old system adds what was issued and
//! redeemed there meanwhile. A coupon only moves forward: available, issued, then redeemed or void.

mod state;

use crate::code::Code;
use crate::coupon::{Coupon, EVENTS_OPEN_MAX, Event, EventKind, Genesis, Hold, State};
use crate::ids::{Actor, OperationId, OrderRef, UserId};
use crate::refusal::Refusal;
use crate::time::Millis;

pub use state::ImportedState;

/// What the order of a redemption begins with that an import brought without one.
const IMPORT_ORDER: &str = "import:";

/// One run of an import, for the history of the coupons that it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRun {
    /// The name that the history shows.
    pub actor: Actor,
    /// This line of this attempt.
    pub operation: OperationId,
    pub at: Millis,
}

/// What a line does to a coupon whose code was imported before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    AlreadyThere,
    Forward(Box<Coupon>),
    /// It contradicts what was imported, or what has happened here since; nothing is written.
    Contradicts(Refusal),
}

pub fn arrive(genesis: Genesis, imported_state: &ImportedState, run: &ImportRun) -> Coupon {
    let coupon = Coupon::untouched(genesis);
    let events = forward_events(&coupon, imported_state, run);
    match events.is_empty() {
        // A stored row has version 1 or higher: 0 means that there is no row.
        true => coupon.with_hold(None, run.at),
        false => push(&coupon, events, None, run.at),
    }
}

/// What `line` does to `coupon`, whose code was last imported as `was`.
pub fn advance(
    coupon: &Coupon,
    was: &ImportedState,
    line: &ImportedState,
    run: &ImportRun,
) -> Advance {
    if line.adds_nothing_to(was) {
        return Advance::AlreadyThere;
    }
    if line.rank() == was.rank() {
        return Advance::Contradicts(match was {
            ImportedState::Issued { .. } => Refusal::AlreadyIssued,
            ImportedState::Void { .. } => Refusal::Voided,
            ImportedState::Available | ImportedState::Redeemed { .. } => Refusal::AlreadyRedeemed,
        });
    }
    if is_so_already(coupon, line) {
        return Advance::AlreadyThere;
    }
    if let Some(refusal) = contradiction(coupon, line, run.at) {
        return Advance::Contradicts(refusal);
    }
    let events = forward_events(coupon, line, run);
    // As in `apply`: a coupon that is issued to the user who holds it for an order stays held, and
    // the redemption that the hold promised needs a place.
    let kept = match line {
        ImportedState::Issued { .. } => coupon.running_hold(run.at).cloned(),
        ImportedState::Available | ImportedState::Redeemed { .. } | ImportedState::Void { .. } => {
            None
        }
    };
    if coupon.events().len() + events.len() + usize::from(kept.is_some()) > EVENTS_OPEN_MAX {
        return Advance::Contradicts(Refusal::HistoryFull);
    }
    Advance::Forward(Box::new(push(coupon, events, kept, run.at)))
}

fn contradiction(coupon: &Coupon, line: &ImportedState, at: Millis) -> Option<Refusal> {
    if let Some(hold) = coupon.running_hold(at)
        && (line.holder() != Some(&hold.by) || matches!(line, ImportedState::Void { .. }))
    {
        return Some(Refusal::Held { until: hold.until });
    }
    if let ImportedState::Redeemed { order, .. } = line
        && coupon
            .redemption_of(&order_or_import(order.as_ref(), coupon))
            .is_some_and(|here| here.cancelled_at.is_some())
    {
        return Some(Refusal::RedemptionCancelled);
    }
    match (coupon.state(), line) {
        (State::Available, _) => None,
        (State::Issued { holder }, _) => match line.holder() {
            Some(named) if named != holder => Some(Refusal::AlreadyIssued),
            _ => None,
        },
        (State::Redeemed { .. }, _) => Some(Refusal::AlreadyRedeemed),
        (State::Void { .. }, _) => Some(Refusal::Voided),
    }
}

/// Whether the state of the line has been reached here already, even if it was undone since: a file
/// does not repeat a redemption that was cancelled here.
fn is_so_already(coupon: &Coupon, line: &ImportedState) -> bool {
    match (line, coupon.state()) {
        (ImportedState::Available, _) => true,
        (ImportedState::Issued { holder, .. }, State::Issued { .. } | State::Redeemed { .. }) => {
            coupon.holder() == Some(holder)
        }
        (ImportedState::Issued { .. }, State::Available | State::Void { .. }) => false,
        (ImportedState::Redeemed { holder, order, .. }, _) => coupon
            .redemption_of(&order_or_import(order.as_ref(), coupon))
            .is_some_and(|here| holder.is_none() || here.by == *holder),
        (ImportedState::Void { .. }, state) => matches!(state, State::Void { .. }),
    }
}

fn order_or_import(order: Option<&OrderRef>, coupon: &Coupon) -> OrderRef {
    order.cloned().unwrap_or_else(|| import_order(coupon.code()))
}

/// The order of a redemption that an import brought without one.
pub fn import_order(code: &Code) -> OrderRef {
    // `import:` and a code are visible characters within the limit of a word.
    format!("{IMPORT_ORDER}{code}").parse().expect("a code is a word")
}

/// The code of a coupon that `order` has redeemed if it was made by [`import_order`].
pub fn code_of_import_order(order: &OrderRef) -> Option<Code> {
    order.as_str().strip_prefix(IMPORT_ORDER)?.parse().ok()
}

fn forward_events(coupon: &Coupon, line: &ImportedState, run: &ImportRun) -> Vec<Event> {
    let event = |at: Millis, kind: EventKind| Event {
        at,
        actor: run.actor.clone(),
        operation: run.operation,
        kind,
    };
    let issued = |to: &UserId, at: Millis| {
        event(at, EventKind::Issued { to: to.clone(), reference: None, expires_at: None })
    };
    // What a user held or redeemed was issued to them.
    let first_issued = |holder: &Option<UserId>, at: Millis| match (holder, coupon.state()) {
        (Some(holder), State::Available) => vec![issued(holder, at)],
        _ => Vec::new(),
    };
    match line {
        ImportedState::Available => Vec::new(),
        ImportedState::Issued { holder, at } => vec![issued(holder, at.unwrap_or(run.at))],
        ImportedState::Redeemed { holder, issued_at, at, order, worth } => {
            let mut events = first_issued(holder, issued_at.unwrap_or(*at));
            let by = holder.clone().or_else(|| coupon.holder().cloned());
            let order = order_or_import(order.as_ref(), coupon);
            events.push(event(*at, EventKind::Redeemed { by, order, worth: worth.clone() }));
            events
        }
        ImportedState::Void { holder, issued_at } => {
            let mut events = first_issued(holder, issued_at.unwrap_or(run.at));
            events.push(event(run.at, EventKind::Voided { reason: None }));
            events
        }
    }
}

/// The coupon with `events`, one version later however many events the line makes.
fn push(coupon: &Coupon, events: Vec<Event>, hold: Option<Hold>, at: Millis) -> Coupon {
    let all = coupon.events().iter().cloned().chain(events).collect();
    Coupon::of(coupon.genesis().clone(), all, hold, coupon.version() + 1, at)
}

#[cfg(test)]
mod tests;
