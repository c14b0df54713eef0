//! What the events of a coupon add up to: a second fold, beside that of the product.

use coupon::coupon::{Coupon, Event, EventKind, Genesis, State};
use coupon::ids::{OrderRef, UserId};
use coupon::time::Millis;

/// The state of a coupon without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateKind {
    Available,
    Issued,
    Redeemed,
    Void,
}

/// A coupon after some of its events.
#[derive(Clone, Debug)]
pub(super) struct CouponLife {
    pub(super) kind: StateKind,
    pub(super) holder: Option<UserId>,
    holder_before: Option<UserId>,
    /// The order of the live redemption, and when it was.
    pub(super) redeemed: Option<(OrderRef, Millis)>,
    pub(super) valid_from: Millis,
    pub(super) expires_at: Millis,
    lasts_until: Millis,
}

impl CouponLife {
    /// Before its first event.
    fn new(genesis: &Genesis) -> CouponLife {
        CouponLife {
            kind: StateKind::Available,
            holder: None,
            holder_before: None,
            redeemed: None,
            valid_from: genesis.valid_from,
            expires_at: genesis.expires_at,
            lasts_until: genesis.expires_at,
        }
    }

    /// After all of `events`.
    pub(super) fn of(genesis: &Genesis, events: &[Event]) -> CouponLife {
        events.iter().fold(CouponLife::new(genesis), CouponLife::then)
    }

    /// Before the first of `events`, and after each.
    pub(super) fn all(genesis: &Genesis, events: &[Event]) -> Vec<CouponLife> {
        let mut lives = vec![CouponLife::new(genesis)];
        for event in events {
            let next =
                lives.last().cloned().unwrap_or_else(|| CouponLife::new(genesis)).then(event);
            lives.push(next);
        }
        lives
    }

    fn then(mut self, event: &Event) -> CouponLife {
        match &event.kind {
            EventKind::Issued { to, expires_at, .. } => {
                self.kind = StateKind::Issued;
                self.holder = Some(to.clone());
                self.expires_at =
                    expires_at.map_or(self.lasts_until, |at| at.min(self.lasts_until));
            }
            EventKind::Redeemed { by, order, .. } => {
                self.kind = StateKind::Redeemed;
                self.holder_before = std::mem::replace(&mut self.holder, by.clone());
                self.redeemed = Some((order.clone(), event.at));
            }
            EventKind::RedemptionCancelled { .. } => {
                self.holder = self.holder_before.take();
                self.kind =
                    if self.holder.is_some() { StateKind::Issued } else { StateKind::Available };
                self.redeemed = None;
            }
            EventKind::Revoked { .. } => {
                self.kind = StateKind::Available;
                self.holder = None;
                self.expires_at = self.lasts_until;
            }
            EventKind::Voided { .. } => self.kind = StateKind::Void,
            EventKind::Extended { expires_at, .. } => {
                self.expires_at = *expires_at;
                self.lasts_until = self.lasts_until.max(*expires_at);
            }
        }
        self
    }

    /// Whether the product's fold of the same events agrees.
    pub(super) fn is_that_of(&self, coupon: &Coupon) -> bool {
        let kind = match coupon.state() {
            State::Available => StateKind::Available,
            State::Issued { .. } => StateKind::Issued,
            State::Redeemed { .. } => StateKind::Redeemed,
            State::Void { .. } => StateKind::Void,
        };
        let order = coupon.redemption().map(|redemption| &redemption.order);
        kind == self.kind
            && coupon.holder() == self.holder.as_ref()
            && coupon.expires_at() == self.expires_at
            && order == self.redeemed.as_ref().map(|(order, _)| order)
    }
}
