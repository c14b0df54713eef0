//! What of a coupon's history a caller may see.
//!
//! Shops, operators and admins see all of it. A user sees what has happened since the coupon became
//! theirs: what was before is the business of whoever held it then. Of others a user sees the role
//! and never the name, and no reason that others wrote down.

use coupon::coupon::{Coupon, Event, EventKind};
use coupon::ids::UserId;
use coupon::time::Millis;

use crate::Role;
use crate::coupons::CouponView;

/// One thing that happened to a coupon, as a caller may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventView<'a> {
    /// Counts what the caller sees, from 1.
    pub sequence: usize,
    /// The event's name on the wire.
    pub kind: &'static str,
    /// When it was accepted.
    pub at: Millis,
    /// Who did it, `role:name`; for a user the role alone where it was somebody else.
    pub actor: &'a str,
    /// The caller's name for it, or the reason where it has none.
    pub reference: Option<&'a str>,
}

impl CouponView {
    /// The history as the caller may see it, oldest first.
    pub fn events(&self) -> Vec<EventView<'_>> {
        let events = self.coupon.events();
        match &self.user {
            _ if !self.in_full => Vec::new(),
            None => events.iter().enumerate().map(|(nth, event)| in_full(nth, event)).collect(),
            Some(user) => {
                let own = &events[since(&self.coupon, user)..];
                let own_actor = format!("{}:{user}", Role::User);
                own.iter().enumerate().map(|(nth, event)| cut(nth, event, &own_actor)).collect()
            }
        }
    }
}

fn in_full(nth: usize, event: &Event) -> EventView<'_> {
    EventView {
        sequence: nth + 1,
        kind: event.kind(),
        at: event.at,
        actor: event.actor.as_str(),
        reference: event.reference(),
    }
}

fn cut<'a>(nth: usize, event: &'a Event, own_actor: &str) -> EventView<'a> {
    let whole = in_full(nth, event);
    if whole.actor == own_actor {
        return whole;
    }
    let role = whole.actor.split_once(':').map_or("", |(role, _)| role);
    let has_reason = match event.kind {
        EventKind::Revoked { .. } | EventKind::Voided { .. } | EventKind::Extended { .. } => true,
        EventKind::Issued { .. }
        | EventKind::Redeemed { .. }
        | EventKind::RedemptionCancelled { .. } => false,
    };
    EventView { actor: role, reference: whole.reference.filter(|_| !has_reason), ..whole }
}

/// The event with which the coupon became the user's, the last time that it did: its issue, or the
/// redemption of one that nobody held. Behind all of them where it never was.
fn since(coupon: &Coupon, user: &UserId) -> usize {
    let events = coupon.events();
    let mut since = events.len();
    // Who holds it, and who held it before its redemption.
    let (mut holder, mut before): (Option<&UserId>, Option<&UserId>) = (None, None);
    for (nth, event) in events.iter().enumerate() {
        let is_theirs = holder == Some(user);
        match &event.kind {
            EventKind::Issued { to, .. } => holder = Some(to),
            EventKind::Redeemed { by, .. } => {
                before = holder;
                holder = by.as_ref();
            }
            EventKind::RedemptionCancelled { .. } => holder = before,
            EventKind::Revoked { .. } => holder = None,
            EventKind::Voided { .. } | EventKind::Extended { .. } => {}
        }
        if holder == Some(user) && !is_theirs {
            since = nth;
        }
    }
    since
}
