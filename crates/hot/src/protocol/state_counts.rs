//! How many coupons are in each state, as every store adds them up.

use coupon::coupon::State;

/// Issued, redeemed and void coupons, in this order. The rest of the stock is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// In both tiers.
    pub all: [i64; 3],
    /// Those of them that are archived.
    pub cold: [i64; 3],
}

impl StateCounts {
    pub fn change(&mut self, from: &State, to: &State) {
        count_state(&mut self.all, from.as_str(), -1);
        count_state(&mut self.all, to.as_str(), 1);
    }

    pub fn archive(&mut self, state: &str) {
        count_state(&mut self.cold, state, 1);
    }
}

/// Adds coupons in a state to counts in the order of [`StateCounts::all`].
pub fn count_state([issued, redeemed, void]: &mut [i64; 3], state: &str, count: i64) {
    match state {
        "issued" => *issued += count,
        "redeemed" => *redeemed += count,
        "void" => *void += count,
        // Available ones.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{coupon, issued, redeemed, voided};

    #[test]
    fn counted_by_state() {
        let available = coupon("CODE01", vec![]);
        let held = coupon("CODE01", vec![issued("ann")]);
        let spent = coupon("CODE01", vec![issued("ann"), redeemed("ann", "1")]);
        let dead = coupon("CODE01", vec![voided()]);
        let cases = [
            ("issued", &available, &held, [1, 0, 0]),
            ("revoked", &held, &available, [-1, 0, 0]),
            ("redeemed", &held, &spent, [-1, 1, 0]),
            ("void", &held, &dead, [-1, 0, 1]),
            ("void, of the stock", &available, &dead, [0, 0, 1]),
            ("extended", &held, &held, [0, 0, 0]),
        ];
        for (name, before, after, all) in cases {
            let mut counts = StateCounts::default();
            counts.change(before.state(), after.state());
            assert_eq!(counts, StateCounts { all, cold: [0; 3] }, "{name}");
        }
        let mut counts = StateCounts::default();
        for state in [held.state(), spent.state(), dead.state(), available.state(), dead.state()] {
            counts.archive(state.as_str());
        }
        assert_eq!(counts, StateCounts { all: [0; 3], cold: [1, 1, 2] }, "archived");
    }
}
