//! What of a campaign's stock can be handed out.

use coupon::campaign::{Campaign, Handout};
use coupon::code::Code;
use coupon::coupon::{Coupon, EVENTS_OPEN_MAX, Genesis, State};
use coupon::ids::BatchId;
use coupon::refusal::Refusal;
use coupon::time::Millis;

use super::located::{Here, Located};

/// The coupon of a minted code that has no row. `made_at`: when its batch was made.
pub fn untouched(terms: &Campaign, batch: BatchId, made_at: Millis, code: Code) -> Coupon {
    Coupon::untouched(Genesis {
        code,
        campaign: terms.id.clone(),
        batch,
        valid_from: terms.valid_from,
        expires_at: terms.expires_at,
        zone: terms.zone.clone(),
        created_at: made_at,
    })
}

/// Whether it is not worth handing out again: issued once more, it could not be redeemed.
pub fn is_history_full(coupon: &Coupon) -> bool {
    coupon.events().len() + 2 > EVENTS_OPEN_MAX
}

/// Whether an available coupon is stock of its campaign: no request hands out a bearer code.
pub fn is_stock(terms: &Campaign, coupon: &Coupon) -> bool {
    *coupon.state() == State::Available && terms.handout != Handout::Bearer
}

pub fn is_on_offer<H: Here>(located: &Located<H>, at: Millis) -> bool {
    is_stock(located.terms(), &located.coupon)
        && !located.frozen
        && !located.coupon.is_expired(at)
        && !is_history_full(&located.coupon)
}

/// Whether a coupon that is not on offer never will be again by itself. Another process's clock may be
/// behind by `clock_bound_ms`: for it the coupon has not expired yet. A coupon that nothing has happened to
/// may get a later end with its campaign.
pub fn is_over<H: Here>(located: &Located<H>, at: Millis, clock_bound_ms: i64) -> bool {
    let coupon = &located.coupon;
    *coupon.state() != State::Available
        || located.frozen
        || is_history_full(coupon)
        || coupon.version() > 0 && coupon.is_expired(at.plus_ms(-clock_bound_ms))
}

/// Whether a coupon would be on offer if it had not expired.
pub fn is_dead_stock<H: Here>(located: &Located<H>, at: Millis) -> bool {
    let coupon = &located.coupon;
    let is_dead = coupon.is_expired(at) || located.frozen;
    *coupon.state() == State::Available && !is_history_full(coupon) && is_dead
}

/// What a search for stock met: why nothing is handed out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    /// A paused batch has something that could be handed out.
    pub paused: bool,
    /// Something is left that has expired.
    pub expired: bool,
}

impl Left {
    pub fn refusal(self) -> Refusal {
        match (self.paused, self.expired) {
            // Paused before expired: what is paused may be handed out again.
            (true, _) => Refusal::Paused,
            (false, true) => Refusal::Expired,
            (false, false) => Refusal::SoldOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon::calendar::Zone;
    use coupon::coupon::EventKind;
    use coupon::time::DAY_MS;

    use super::*;
    use crate::protocol::testing::{
        DAY, NOW, TestLocated, bearer, campaign, code, coupon, issued, located, located_in, revoked,
    };

    const BOUND: i64 = 5_000;

    /// An available coupon with as many events: issued and revoked, and once extended if that is odd.
    fn with_events(count: usize) -> TestLocated {
        let extended =
            EventKind::Extended { expires_at: DAY.end(), zone: Zone::utc(), reason: None };
        let pairs = (0..count / 2).flat_map(|_| [issued("ann"), revoked("ann")]);
        let kinds = pairs.chain((count % 2 == 1).then_some(extended));
        located(coupon("CODE01", kinds.collect()))
    }

    #[test]
    fn offers() {
        let stock = || with_events(0);
        let expires_at = DAY.end();
        let early = expires_at.plus_ms(-1);
        let others_expire = expires_at.plus_ms(BOUND);
        let frozen = TestLocated { frozen: true, ..stock() };
        let held = located(coupon("CODE01", vec![issued("ann")]));
        // A name, a coupon, the moment; whether it is on offer, and whether it is over.
        let cases = [
            ("untouched", stock(), NOW, true, false),
            ("revoked", with_events(2), NOW, true, false),
            ("with room for two events", with_events(27), NOW, true, false),
            ("with room for one", with_events(28), NOW, false, true),
            ("in its last millisecond", stock(), early, true, false),
            ("expired here", with_events(2), expires_at, false, false),
            ("expired, elsewhere soon", with_events(2), others_expire.plus_ms(-1), false, false),
            ("expired everywhere", with_events(2), others_expire, false, true),
            ("expired, and its campaign may go on", stock(), others_expire, false, false),
            ("behind a seal", frozen, NOW, false, true),
            ("somebody holds it", held, NOW, false, true),
            ("a bearer code", located_in(bearer(), stock().coupon), NOW, false, false),
        ];
        for (name, located, at, on_offer, over) in cases {
            assert_eq!(is_on_offer(&located, at), on_offer, "{name}: on offer");
            assert_eq!(is_over(&located, at, BOUND), over, "{name}: over");
        }
        assert!(is_dead_stock(&stock(), expires_at.plus_ms(DAY_MS)), "expired");
        assert!(!is_dead_stock(&stock(), NOW), "on offer");
    }

    #[test]
    fn codes_without_a_row() {
        let terms = Campaign { expires_at: DAY.end().plus_days(1), ..campaign() };
        let batch = coupon("CODE01", vec![]).genesis().batch.clone();
        let untouched = untouched(&terms, batch, NOW, code("CODE01"));
        let genesis = untouched.genesis();
        assert_eq!((genesis.valid_from, genesis.expires_at), (terms.valid_from, terms.expires_at));
        assert_eq!((&genesis.zone, genesis.created_at), (&terms.zone, NOW));
        assert_eq!((untouched.version(), untouched.state()), (0, &State::Available));
    }

    #[test]
    fn refusals() {
        let cases = [
            ("nothing", false, false, Refusal::SoldOut),
            ("only expired ones", false, true, Refusal::Expired),
            ("only paused ones", true, false, Refusal::Paused),
            ("both", true, true, Refusal::Paused),
        ];
        for (name, paused, expired, want) in cases {
            assert_eq!(Left { paused, expired }.refusal(), want, "{name}");
        }
    }
}
