//! Which part of a coupon's history a caller may see.
//!
//! Shops, operators and admins see all of it. Users see what happened since the coupon became
//! theirs; what was before belongs to whoever held it then. Of other people, users see the role but
//! never the name, and no reason that somebody else wrote.

use coupon::coupon::{Coupon, Event, EventKind};
use coupon::ids::UserId;
use coupon::time::Millis;

use crate::Role;
use crate::coupon_view::CouponView;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventView<'a> {
    /// Its number among the events that the caller sees, from 1.
    pub sequence: usize,
    pub kind: &'static str,
    pub at: Millis,
    /// Who did it, `role:name`. Users see only the role of somebody else.
    pub actor: &'a str,
    /// The caller's name for it, or the reason where it has none.
    pub reference: Option<&'a str>,
}

impl CouponView {
    /// Oldest first; empty unless the caller sees the coupon in full.
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
        kind: event.kind.as_str(),
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

/// The event that last made the coupon the user's: its issue, or its redemption if nobody held it.
/// After the last event if it never was theirs.
fn since(coupon: &Coupon, user: &UserId) -> usize {
    let became = |(before, _, after): &(_, _, _)| *after == Some(user) && *before != Some(user);
    let last = holders(coupon).enumerate().filter(|(_, held)| became(held)).last();
    last.map_or(coupon.events().len(), |(nth, _)| nth)
}

/// The events of a coupon, each with who held it before and after.
pub fn holders(
    coupon: &Coupon,
) -> impl Iterator<Item = (Option<&UserId>, &Event, Option<&UserId>)> {
    // The holder, and the holder before the redemption.
    let (mut holder, mut before): (Option<&UserId>, Option<&UserId>) = (None, None);
    coupon.events().iter().map(move |event| {
        let held = holder;
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
        (held, event, holder)
    })
}
