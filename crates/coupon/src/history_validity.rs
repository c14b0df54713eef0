//! Whether the events of a stored coupon can follow each other.
//!
//! These are the rules of [`crate::apply()`] and of an import, without the clock and the terms: a
//! reader of a row does not know what those were.

use crate::coupon::{Coupon, EVENTS_MAX, EventKind, State};

/// The first event that cannot have followed the events before it, and why; or that the coupon has
/// too many events, or too few versions. `None` if the history is possible. One step per event.
pub fn invalid_history(coupon: &Coupon) -> Option<String> {
    let events = coupon.events();
    if events.len() > EVENTS_MAX {
        return Some(format!("{} events, at most {EVENTS_MAX} can be", events.len()));
    }
    // A line of an import may make an issue and a redemption in one version.
    if events.len() as u64 > coupon.version() + 1 || (coupon.version() == 0 && !events.is_empty()) {
        return Some(format!("{} events in version {}", events.len(), coupon.version()));
    }
    let mut before = Coupon::untouched(coupon.genesis().clone());
    for (number, event) in (1..).zip(events) {
        if let Some(why) = cannot_follow(&before, &event.kind) {
            return Some(format!("event {number}, {}: {why}", event.kind.as_str()));
        }
        before.step(event.clone());
    }
    None
}

fn cannot_follow(before: &Coupon, kind: &EventKind) -> Option<String> {
    match (kind, before.state()) {
        (EventKind::Issued { .. }, State::Available)
        | (EventKind::Voided { .. }, State::Available | State::Issued { .. }) => None,
        (EventKind::Redeemed { by, .. }, State::Issued { holder })
            if by.as_ref() != Some(holder) =>
        {
            Some("by somebody who did not hold it".to_owned())
        }
        (EventKind::Redeemed { order, .. }, State::Available | State::Issued { .. }) => {
            before.redemption_of(order).map(|_| format!("for {order} a second time"))
        }
        (EventKind::RedemptionCancelled { order, .. }, State::Redeemed { redemption, .. }) => {
            let redeemed = &redemption.order;
            (order != redeemed).then(|| format!("of {order}, and it was redeemed for {redeemed}"))
        }
        (EventKind::Revoked { from, .. }, State::Issued { holder }) => {
            (from != holder).then(|| "from somebody who did not hold it".to_owned())
        }
        (EventKind::Extended { expires_at, .. }, State::Available | State::Issued { .. }) => {
            let is_later = *expires_at > before.expires_at();
            (!is_later).then(|| "to an instant that is not later".to_owned())
        }
        (_, state) => Some(format!("it was {} then", state.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use crate::calendar::Zone;
    use crate::coupon::{Event, Genesis};
    use crate::ids::{Actor, OperationId, OrderRef, UserId};
    use crate::time::Millis;

    use super::*;

    fn coupon(kinds: Vec<EventKind>, version: u64) -> Coupon {
        let genesis = Genesis {
            code: "CODE01".parse().unwrap(),
            campaign: "c".parse().unwrap(),
            batch: "b".parse().unwrap(),
            valid_from: Millis(0),
            expires_at: Millis(1_000),
            zone: Zone::utc(),
            created_at: Millis(0),
        };
        let event = |kind| Event {
            at: Millis(1),
            actor: Actor::new("shop:x"),
            operation: OperationId(1),
            kind,
        };
        let events = kinds.into_iter().map(event).collect();
        Coupon::of(genesis, events, None, version, Millis(1))
    }

    #[test]
    fn histories() {
        let user = |name: &str| name.parse::<UserId>().unwrap();
        let order = |name: &str| name.parse::<OrderRef>().unwrap();
        let issued =
            |to: &str| EventKind::Issued { to: user(to), reference: None, expires_at: None };
        let redeemed = |by: &str, of: &str| EventKind::Redeemed {
            by: Some(user(by)),
            order: order(of),
            worth: None,
        };
        let cancelled =
            |of: &str| EventKind::RedemptionCancelled { order: order(of), reason: None };
        let revoked =
            |from: &str| EventKind::Revoked { from: user(from), reference: None, reason: None };
        let voided = || EventKind::Voided { reason: None };
        let extended = |until| EventKind::Extended {
            expires_at: Millis(until),
            zone: Zone::utc(),
            reason: None,
        };
        let rows = [
            ("nothing", vec![], 1, None),
            ("issued and redeemed", vec![issued("ann"), redeemed("ann", "1")], 2, None),
            ("both by one line", vec![issued("ann"), redeemed("ann", "1")], 1, None),
            (
                "three in one version",
                vec![issued("ann"), redeemed("ann", "1"), cancelled("1")],
                1,
                Some("3 events in version 1"),
            ),
            ("by another", vec![issued("ann"), redeemed("bob", "1")], 2, Some("event 2, redeemed")),
            ("a bearer's", vec![redeemed("bob", "1")], 1, None),
            (
                "cancelled and redeemed anew",
                vec![issued("ann"), redeemed("ann", "1"), cancelled("1"), redeemed("ann", "2")],
                4,
                None,
            ),
            (
                "for the same order",
                vec![issued("ann"), redeemed("ann", "1"), cancelled("1"), redeemed("ann", "1")],
                4,
                Some("a second time"),
            ),
            (
                "another order's redemption is cancelled",
                vec![issued("ann"), redeemed("ann", "1"), cancelled("2")],
                3,
                Some("event 3, redemption_cancelled: of 2"),
            ),
            ("revoked", vec![issued("ann"), revoked("ann"), issued("bob")], 3, None),
            ("from another", vec![issued("ann"), revoked("bob")], 2, Some("event 2, revoked")),
            ("issued twice", vec![issued("ann"), issued("bob")], 2, Some("it was issued then")),
            ("void is the end", vec![voided(), issued("ann")], 2, Some("it was void then")),
            ("extended", vec![extended(2_000), extended(3_000)], 2, None),
            ("to an earlier instant", vec![extended(2_000), extended(2_000)], 2, Some("not later")),
        ];
        for (name, kinds, version, want) in rows {
            let found = invalid_history(&coupon(kinds, version));
            match want {
                None => assert_eq!(found, None, "{name}"),
                Some(want) => {
                    assert!(
                        found.as_ref().is_some_and(|it| it.contains(want)),
                        "{name}: {found:?}"
                    );
                }
            }
        }
    }
}
