//! What of a campaign's stock can be handed out.

use coupon::campaign::{Campaign, Handout};
use coupon::coupon::{Coupon, EVENTS_OPEN_MAX, State};
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::located::{Here, Located};

/// Whether it is not worth handing out again: issued once more, it could not be redeemed.
pub fn is_history_full(coupon: &Coupon) -> bool {
    coupon.events().len() + 2 > EVENTS_OPEN_MAX
}

/// Whether an available coupon is stock of its campaign: a bearer code is nobody's to hand out.
pub fn is_stock(terms: &Campaign, coupon: &Coupon) -> bool {
    *coupon.state() == State::Available && terms.handout != Handout::Bearer
}

/// Whether a coupon can be handed out at a moment.
pub fn is_on_offer<H: Here>(located: &Located<H>, at: Millis) -> bool {
    is_stock(located.terms(), &located.coupon)
        && !located.frozen
        && !located.coupon.is_expired(at)
        && !is_history_full(&located.coupon)
}

/// Whether a coupon that is not on offer never will be again by itself. Another process's clock may be
/// behind by `clock_bound_ms`: for it the coupon has not expired yet.
pub fn is_over<H: Here>(located: &Located<H>, at: Millis, clock_bound_ms: i64) -> bool {
    let coupon = &located.coupon;
    *coupon.state() != State::Available
        || located.frozen
        || is_history_full(coupon)
        || coupon.is_expired(at.plus_ms(-clock_bound_ms))
}

/// Whether a coupon would be on offer if it had not expired.
pub fn is_dead_stock<H: Here>(located: &Located<H>, at: Millis) -> bool {
    let coupon = &located.coupon;
    let is_dead = coupon.is_expired(at) || located.frozen;
    *coupon.state() == State::Available && !is_history_full(coupon) && is_dead
}

/// Why nothing is handed out, from what was met on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    /// A paused batch has something that could be handed out.
    pub paused: bool,
    /// Something is left that has expired.
    pub expired: bool,
}

impl Left {
    /// The answer to whoever asked for a coupon.
    pub fn refusal(self) -> Refusal {
        match (self.paused, self.expired) {
            (true, _) => Refusal::Paused,
            (false, true) => Refusal::Expired,
            (false, false) => Refusal::SoldOut,
        }
    }
}
