//! The fold of events into a coupon: the only place where an event takes effect.

use super::{Coupon, Event, EventKind, Genesis, Hold, Redemption, State};
use crate::time::Millis;

impl Coupon {
    /// A coupon without events: version 0, no row in any store.
    pub fn untouched(genesis: Genesis) -> Coupon {
        Coupon {
            version: 0,
            modified_at: genesis.created_at,
            hold: None,
            events: Vec::new(),
            state: State::Available,
            expires_at: genesis.expires_at,
            lasts_until: genesis.expires_at,
            zone: genesis.zone.clone(),
            issued_at: None,
            genesis,
        }
    }

    /// The coupon that a store holds: the fold of its events. Cost: one step per event.
    pub fn of(
        genesis: Genesis,
        events: Vec<Event>,
        hold: Option<Hold>,
        version: u64,
        modified_at: Millis,
    ) -> Coupon {
        let mut coupon = Coupon::untouched(genesis);
        for event in events {
            coupon.step(event);
        }
        Coupon { hold, version, modified_at, ..coupon }
    }

    pub(crate) fn step(&mut self, event: Event) {
        match &event.kind {
            EventKind::Issued { to, expires_at, .. } => {
                self.state = State::Issued { holder: to.clone() };
                self.issued_at = Some(event.at);
                self.expires_at = expires_at.unwrap_or(self.lasts_until).min(self.lasts_until);
            }
            EventKind::Redeemed { by, order, worth } => {
                let redemption = Redemption {
                    by: by.clone(),
                    order: order.clone(),
                    at: event.at,
                    worth: worth.as_deref().copied(),
                    cancelled_at: None,
                };
                self.state = State::Redeemed { redemption, holder_before: self.holder().cloned() };
            }
            EventKind::RedemptionCancelled { .. } => {
                if let State::Redeemed { holder_before, .. } = &self.state {
                    self.state = match holder_before {
                        Some(holder) => State::Issued { holder: holder.clone() },
                        None => State::Available,
                    };
                }
            }
            EventKind::Revoked { .. } => {
                self.state = State::Available;
                self.issued_at = None;
                self.expires_at = self.lasts_until;
            }
            EventKind::Voided { .. } => self.state = State::Void { holder: self.holder().cloned() },
            EventKind::Extended { expires_at, zone, .. } => {
                self.expires_at = *expires_at;
                self.lasts_until = self.lasts_until.max(*expires_at);
                self.zone = zone.clone();
            }
        }
        self.events.push(event);
    }

    /// The coupon after `event`, one version later. Its hold ends unless it is `kept`.
    pub(crate) fn after(&self, event: Event, kept: Option<Hold>) -> Coupon {
        let mut coupon = self.with_hold(kept, event.at);
        coupon.step(event);
        coupon
    }

    /// The same coupon one version later, after a write that changed no more than names.
    #[must_use]
    pub fn rewritten(self) -> Coupon {
        Coupon { version: self.version + 1, ..self }
    }

    /// The coupon with `hold` in place of its present one, one version later.
    pub(crate) fn with_hold(&self, hold: Option<Hold>, at: Millis) -> Coupon {
        let mut coupon = self.clone();
        coupon.version += 1;
        coupon.modified_at = at;
        coupon.hold = hold;
        coupon
    }
}
