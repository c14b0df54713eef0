//! A part of the list of redemptions, newest first: its bounds, and what is found in it.

use coupon::time::Millis;
use hot::redemptions::RedemptionQuery;

use crate::columns::signed;

/// Redemptions of one instant come in the order of the numbers of their rows, the highest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedeemedWindow {
    pub(crate) from: Millis,
    pub(crate) last: Millis,
    /// Of that instant only rows with a lower number.
    pub(crate) below: i64,
}

impl RedeemedWindow {
    pub(crate) fn of(query: &RedemptionQuery) -> RedeemedWindow {
        let whole =
            RedeemedWindow { from: query.from, last: query.before.plus_ms(-1), below: i64::MAX };
        match &query.after {
            Some(after) if after.at <= whole.last => {
                RedeemedWindow { last: after.at, below: signed(after.tie), ..whole }
            }
            Some(_) | None => whole,
        }
    }

    /// What of it comes after a redemption.
    pub(crate) fn behind(&self, (at, number): (Millis, i64)) -> RedeemedWindow {
        RedeemedWindow { from: self.from, last: at, below: number }
    }
}

/// The first of all that was found, newest first.
pub(crate) struct LatestRows {
    pub(crate) found: Vec<(Millis, i64)>,
    pub(crate) limit: usize,
}

impl LatestRows {
    pub(crate) fn add(&mut self, more: Vec<(Millis, i64)>) {
        if more.is_empty() {
            return;
        }
        self.found.extend(more);
        self.found.sort_unstable_by(|one, other| other.cmp(one));
        self.found.dedup();
        self.found.truncate(self.limit);
    }

    /// The oldest instant that may still be among the first.
    pub(crate) fn from(&self, window: &RedeemedWindow) -> Millis {
        match self.found.last() {
            Some((at, _)) if self.found.len() == self.limit => (*at).max(window.from),
            Some(_) | None => window.from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_several_parts() {
        let parts = [vec![(5, 1), (3, 1)], vec![], vec![(5, 2), (4, 9), (3, 1)], vec![(1, 1)]];
        let cases = [
            ("all", 9, vec![(5, 2), (5, 1), (4, 9), (3, 1), (1, 1)], 0),
            ("some", 3, vec![(5, 2), (5, 1), (4, 9)], 4),
            ("one", 1, vec![(5, 2)], 5),
        ];
        let window = RedeemedWindow { from: Millis(0), last: Millis(9), below: i64::MAX };
        for (name, limit, want, from) in cases {
            let mut latest = LatestRows { found: Vec::new(), limit };
            for part in &parts {
                latest.add(part.iter().map(|(at, number)| (Millis(*at), *number)).collect());
            }
            assert_eq!(latest.from(&window), Millis(from), "{name}");
            let found: Vec<_> = latest.found.iter().map(|(at, it)| (at.0, *it)).collect();
            assert_eq!(found, want, "{name}");
        }
    }
}
