//! What an import says of a coupon, and what that does to the coupon of today.
//!
//! A line is compared with what was imported under its code before, not with the coupon as it is
//! now: so the same file twice changes nothing, and the old system's last file adds what was used
//! meanwhile. A coupon only moves forward: available, issued, then redeemed or void.

use crate::coupon::{Coupon, Deed, EVENTS_OPEN_MAX, Event, Genesis, Hold, State};
use crate::ids::{Actor, OperationId, OrderRef, UserId};
use crate::refusal::Refusal;
use crate::time::Millis;

/// How a coupon stood in the system it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
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

impl Standing {
    /// Whether this is a later standing than `other`: what an import remembers only moves forward.
    pub fn is_past(&self, other: &Standing) -> bool {
        self.rank() > other.rank()
    }

    /// Whether a line of this standing says nothing new where `was` has been imported.
    pub fn adds_nothing_to(&self, was: &Standing) -> bool {
        self.rank() < was.rank() || self.agrees_with(was)
    }

    fn rank(&self) -> u8 {
        match self {
            Standing::Available => 0,
            Standing::Issued { .. } => 1,
            Standing::Redeemed { .. } | Standing::Void => 2,
        }
    }

    /// Whether two lines of the same rank say the same; a time that one of them leaves out, or
    /// that the old system rounded another way, is no difference.
    fn agrees_with(&self, other: &Standing) -> bool {
        match (self, other) {
            (Standing::Available, Standing::Available) | (Standing::Void, Standing::Void) => true,
            (Standing::Issued { holder: a, .. }, Standing::Issued { holder: b, .. }) => a == b,
            (
                Standing::Redeemed { holder: a, order: o, .. },
                Standing::Redeemed { holder: b, order: p, .. },
            ) => a == b && o == p,
            _ => false,
        }
    }

    /// The user who holds a coupon of this standing.
    pub fn holder(&self) -> Option<&UserId> {
        match self {
            Standing::Available | Standing::Void => None,
            Standing::Issued { holder, .. } => Some(holder),
            Standing::Redeemed { holder, .. } => holder.as_ref(),
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
pub fn arrive(genesis: Genesis, standing: &Standing, run: &ImportRun) -> Coupon {
    let coupon = Coupon::untouched(genesis);
    let events = forward_events(&coupon, standing, run);
    match events.is_empty() {
        // A stored row is version 1 at least: 0 means that there is none.
        true => coupon.with_hold(None, run.at),
        false => push(&coupon, events, None, run.at),
    }
}

/// What `line` does to `coupon`, whose code was last imported as `was`.
pub fn advance(coupon: &Coupon, was: &Standing, line: &Standing, run: &ImportRun) -> Advance {
    if line.adds_nothing_to(was) {
        return Advance::AlreadyThere;
    }
    if line.rank() == was.rank() {
        return Advance::Contradicts(match was {
            Standing::Issued { .. } => Refusal::AlreadyIssued,
            Standing::Void => Refusal::Voided,
            Standing::Available | Standing::Redeemed { .. } => Refusal::AlreadyRedeemed,
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
        Standing::Issued { .. } => coupon.running_hold(run.at).cloned(),
        Standing::Available | Standing::Redeemed { .. } | Standing::Void => None,
    };
    if coupon.events().len() + events.len() + usize::from(kept.is_some()) > EVENTS_OPEN_MAX {
        return Advance::Contradicts(Refusal::HistoryFull);
    }
    Advance::Forward(Box::new(push(coupon, events, kept, run.at)))
}

/// Why the coupon of today cannot be what the line says it was.
fn contradiction(coupon: &Coupon, line: &Standing, at: Millis) -> Option<Refusal> {
    if let Some(hold) = coupon.running_hold(at)
        && line.holder() != Some(&hold.by)
    {
        return Some(Refusal::Held { until: hold.until });
    }
    if let Standing::Redeemed { order, .. } = line
        && coupon
            .redemption_of(&order_or_import(order.as_ref(), coupon))
            .is_some_and(|here| here.cancelled_at.is_some())
    {
        return Some(Refusal::RedemptionCancelled);
    }
    match (coupon.state(), line) {
        (State::Available, _) => None,
        (State::Issued { .. }, Standing::Void) => None,
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
fn is_so_already(coupon: &Coupon, line: &Standing) -> bool {
    match (line, coupon.state()) {
        (Standing::Available, _) => true,
        (Standing::Issued { holder, .. }, State::Issued { .. } | State::Redeemed { .. }) => {
            coupon.holder() == Some(holder)
        }
        (Standing::Issued { .. }, State::Available | State::Void { .. }) => false,
        (Standing::Redeemed { holder, order, .. }, _) => coupon
            .redemption_of(&order_or_import(order.as_ref(), coupon))
            .is_some_and(|here| holder.is_none() || here.by == *holder),
        (Standing::Void, state) => matches!(state, State::Void { .. }),
    }
}

fn order_or_import(order: Option<&OrderRef>, coupon: &Coupon) -> OrderRef {
    order.cloned().unwrap_or_else(|| {
        // `import:` and a code are visible characters within the limit of a reference.
        format!("import:{}", coupon.code()).parse().expect("a code is visible ASCII")
    })
}

fn forward_events(coupon: &Coupon, line: &Standing, run: &ImportRun) -> Vec<Event> {
    let event = |at: Millis, deed: Deed| Event {
        at,
        actor: run.actor.clone(),
        operation: run.operation,
        deed,
    };
    let issued = |to: &UserId, at: Millis| {
        event(at, Deed::Issued { to: to.clone(), reference: None, expires_at: None })
    };
    match line {
        Standing::Available => Vec::new(),
        Standing::Issued { holder, at } => vec![issued(holder, at.unwrap_or(run.at))],
        Standing::Redeemed { holder, issued_at, at, order } => {
            let mut events = Vec::new();
            if let (Some(holder), State::Available) = (holder, coupon.state()) {
                events.push(issued(holder, issued_at.unwrap_or(*at)));
            }
            let by = holder.clone().or_else(|| coupon.holder().cloned());
            let order = order_or_import(order.as_ref(), coupon);
            events.push(event(*at, Deed::Redeemed { by, order }));
            events
        }
        Standing::Void => vec![event(run.at, Deed::Voided { reason: None })],
    }
}

/// One version later, however many events the line stands for.
fn push(coupon: &Coupon, events: Vec<Event>, hold: Option<Hold>, at: Millis) -> Coupon {
    let all = coupon.events().iter().cloned().chain(events).collect();
    Coupon::of(coupon.genesis().clone(), all, hold, coupon.version() + 1, at)
}

#[cfg(test)]
mod tests;
