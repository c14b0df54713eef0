//! What an import says of a coupon, and what that does to the coupon of today.
//!
//! A line is compared with what was imported under its code before, not with the coupon as it is
//! now: so the same file twice changes nothing, and the old system's last file adds what was used
//! meanwhile. A coupon only moves forward: available, issued, then redeemed or void.

use crate::coupon::{Coupon, EVENTS_OPEN_MAX, Event, EventKind, Genesis, Hold, State};
use crate::ids::{Actor, OperationId, OrderRef, UserId};
use crate::refusal::Refusal;
use crate::time::Millis;

/// How a coupon stood in the system it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedState {
    /// Nobody had it.
    Available,
    /// A user had it.
    Issued {
        /// The user.
        holder: UserId,
        /// Since when, if the line said.
        at: Option<Millis>,
    },
    /// It was spent.
    Redeemed {
        /// By whom, if the line said.
        holder: Option<UserId>,
        /// When that user got it, if the line said.
        issued_at: Option<Millis>,
        /// When it was spent.
        at: Millis,
        /// For which order, if the line said.
        order: Option<OrderRef>,
    },
    /// It was killed.
    Void,
}

impl ImportedState {
    /// Whether this is a later state than `other`: what an import remembers only moves forward.
    pub fn is_past(&self, other: &ImportedState) -> bool {
        self.rank() > other.rank()
    }

    /// Whether a line of this state says nothing new where `was` has been imported.
    pub fn adds_nothing_to(&self, was: &ImportedState) -> bool {
        self.rank() < was.rank() || self.agrees_with(was)
    }

    fn rank(&self) -> u8 {
        match self {
            ImportedState::Available => 0,
            ImportedState::Issued { .. } => 1,
            ImportedState::Redeemed { .. } | ImportedState::Void => 2,
        }
    }

    /// Whether two lines of the same rank say the same; a time that one of them leaves out, or
    /// that the old system rounded another way, is no difference.
    fn agrees_with(&self, other: &ImportedState) -> bool {
        match (self, other) {
            (ImportedState::Available, ImportedState::Available)
            | (ImportedState::Void, ImportedState::Void) => true,
            (ImportedState::Issued { holder: a, .. }, ImportedState::Issued { holder: b, .. }) => {
                a == b
            }
            (
                ImportedState::Redeemed { holder: a, order: o, .. },
                ImportedState::Redeemed { holder: b, order: p, .. },
            ) => a == b && o == p,
            _ => false,
        }
    }

    /// The user who holds a coupon of this state.
    pub fn holder(&self) -> Option<&UserId> {
        match self {
            ImportedState::Available | ImportedState::Void => None,
            ImportedState::Issued { holder, .. } => Some(holder),
            ImportedState::Redeemed { holder, .. } => holder.as_ref(),
        }
    }
}

/// The run of an import, for the history of what it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRun {
    /// Whose name goes into the history.
    pub actor: Actor,
    /// This line of this attempt.
    pub operation: OperationId,
    /// The moment.
    pub at: Millis,
}

/// What a line does to a coupon that was imported before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It says nothing new.
    AlreadyThere,
    /// The coupon as it is now.
    Forward(Box<Coupon>),
    /// It contradicts what was imported, or what has happened here since.
    Contradicts(Refusal),
}

/// The coupon of a line whose code is new.
pub fn arrive(genesis: Genesis, imported_state: &ImportedState, run: &ImportRun) -> Coupon {
    let coupon = Coupon::untouched(genesis);
    let events = forward_events(&coupon, imported_state, run);
    match events.is_empty() {
        // A stored row is version 1 at least: 0 means that there is none.
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
            ImportedState::Void => Refusal::Voided,
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
    // As in `apply`: what goes to the user it is held for stays held, and the redemption that
    // the hold promised keeps its place.
    let kept = match line {
        ImportedState::Issued { .. } => coupon.running_hold(run.at).cloned(),
        ImportedState::Available | ImportedState::Redeemed { .. } | ImportedState::Void => None,
    };
    if coupon.events().len() + events.len() + usize::from(kept.is_some()) > EVENTS_OPEN_MAX {
        return Advance::Contradicts(Refusal::HistoryFull);
    }
    Advance::Forward(Box::new(push(coupon, events, kept, run.at)))
}

/// Why the coupon of today cannot be what the line says it was.
fn contradiction(coupon: &Coupon, line: &ImportedState, at: Millis) -> Option<Refusal> {
    if let Some(hold) = coupon.running_hold(at)
        && line.holder() != Some(&hold.by)
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
        (State::Issued { .. }, ImportedState::Void) => None,
        (State::Issued { holder }, _) => match line.holder() {
            Some(named) if named != holder => Some(Refusal::AlreadyIssued),
            _ => None,
        },
        (State::Redeemed { .. }, _) => Some(Refusal::AlreadyRedeemed),
        (State::Void { .. }, _) => Some(Refusal::Voided),
    }
}

/// Whether the coupon got here by itself what the line tells of it, or got there and was taken
/// back: a redemption that was cancelled here is not made again by the file that tells of it.
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
        (ImportedState::Void, state) => matches!(state, State::Void { .. }),
    }
}

fn order_or_import(order: Option<&OrderRef>, coupon: &Coupon) -> OrderRef {
    order.cloned().unwrap_or_else(|| {
        // `import:` and a code are visible characters within the limit of a reference.
        format!("import:{}", coupon.code()).parse().expect("a code is visible ASCII")
    })
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
    match line {
        ImportedState::Available => Vec::new(),
        ImportedState::Issued { holder, at } => vec![issued(holder, at.unwrap_or(run.at))],
        ImportedState::Redeemed { holder, issued_at, at, order } => {
            let mut events = Vec::new();
            if let (Some(holder), State::Available) = (holder, coupon.state()) {
                events.push(issued(holder, issued_at.unwrap_or(*at)));
            }
            let by = holder.clone().or_else(|| coupon.holder().cloned());
            let order = order_or_import(order.as_ref(), coupon);
            events.push(event(*at, EventKind::Redeemed { by, order }));
            events
        }
        ImportedState::Void => vec![event(run.at, EventKind::Voided { reason: None })],
    }
}

/// One version later, however many events the line stands for.
fn push(coupon: &Coupon, events: Vec<Event>, hold: Option<Hold>, at: Millis) -> Coupon {
    let all = coupon.events().iter().cloned().chain(events).collect();
    Coupon::of(coupon.genesis().clone(), all, hold, coupon.version() + 1, at)
}

#[cfg(test)]
mod tests;
