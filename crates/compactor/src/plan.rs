//! What there is to do: pure.

use std::collections::BTreeMap;

use cold::Shelf;
use coupon::time::{Day, Millis};
use hot::{ClosedShelf, ShelfPlan};

use crate::{Closed, Settings};

/// What is done with a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A unit that was committed and not removed from hot yet is finished.
    Finish,
    /// Closed coupons are moved, stubs stay.
    Closed,
    /// The shelf is sealed, moved and emptied.
    Expired,
}

/// One shelf and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The shelf.
    pub day: Day,
    /// What is done.
    pub pass: Pass,
    /// Closed coupons that wait, where that is the reason.
    pub waiting: u64,
}

/// What both stores say.
pub(crate) struct Seen {
    pub(crate) now: Millis,
    pub(crate) closed: Closed,
    pub(crate) shelves: Vec<ShelfPlan>,
    pub(crate) units: Vec<Shelf>,
    pub(crate) waiting: Vec<ClosedShelf>,
}

/// The works, by day: one for each shelf at most.
pub(crate) fn plan(seen: &Seen, settings: &Settings) -> Vec<Work> {
    let committed: BTreeMap<Day, u64> =
        seen.units.iter().map(|shelf| (shelf.day, shelf.unit)).collect();
    let waiting: BTreeMap<Day, &ClosedShelf> =
        seen.waiting.iter().map(|shelf| (shelf.day, shelf)).collect();
    let work = |shelf: &ShelfPlan| {
        let closed = waiting.get(&shelf.day);
        let unfinished = committed.get(&shelf.day).is_some_and(|unit| *unit > shelf.unit);
        let may_begin = seen.closed != Closed::OnlyFinish;
        let pass = if shelf.sealed || (may_begin && seen.now > shelf.seal_after) {
            Pass::Expired
        } else if may_begin && closed.is_some_and(|closed| is_worthwhile(closed, seen, settings)) {
            Pass::Closed
        } else if unfinished {
            Pass::Finish
        } else {
            return None;
        };
        Some(Work { day: shelf.day, pass, waiting: closed.map_or(0, |closed| closed.waiting) })
    };
    seen.shelves.iter().filter(|shelf| !shelf.emptied).filter_map(work).collect()
}

fn is_worthwhile(closed: &ClosedShelf, seen: &Seen, settings: &Settings) -> bool {
    closed.waiting > 0
        && (seen.closed == Closed::Now
            || closed.waiting >= settings.closed_enough
            || seen.now >= closed.since.plus_days(settings.closed_wait_days))
}

#[cfg(test)]
mod tests {
    use coupon::time::DAY_MS;

    use super::*;

    const DAY: Day = Day(20_800);
    const NOW: Millis = Millis(20_777 * DAY_MS);

    #[test]
    fn plans() {
        let open = ShelfPlan { day: DAY, seal_after: NOW, sealed: false, unit: 2, emptied: false };
        let over = ShelfPlan { seal_after: Millis(NOW.0 - 1), ..open };
        let sealed = ShelfPlan { sealed: true, ..open };
        let emptied = ShelfPlan { emptied: true, ..over };
        let wait = |waiting, days: i64| {
            vec![ClosedShelf { day: DAY, waiting, since: Millis(NOW.0 - days * DAY_MS) }]
        };
        let later = Closed::WhenWorthwhile;
        let cases = [
            ("nothing to do", open, 2, vec![], later, None),
            ("not over before the next millisecond", open, 2, vec![], Closed::Now, None),
            ("over", over, 2, vec![], later, Some(Pass::Expired)),
            ("sealed and not emptied", sealed, 2, vec![], later, Some(Pass::Expired)),
            ("emptied", emptied, 3, vec![], later, None),
            ("a unit not finished", open, 3, vec![], later, Some(Pass::Finish)),
            ("too few", open, 2, wait(99_999, 29), later, None),
            ("too few, now", open, 2, wait(1, 0), Closed::Now, Some(Pass::Closed)),
            ("enough", open, 2, wait(100_000, 0), later, Some(Pass::Closed)),
            ("one, for long enough", open, 2, wait(1, 30), later, Some(Pass::Closed)),
            ("a clock that is not trusted: over", over, 2, vec![], Closed::OnlyFinish, None),
            ("closed ones", open, 2, wait(100_000, 40), Closed::OnlyFinish, None),
            ("a unit not finished", over, 3, vec![], Closed::OnlyFinish, Some(Pass::Finish)),
            ("sealed", sealed, 2, vec![], Closed::OnlyFinish, Some(Pass::Expired)),
            ("over, with closed ones", over, 2, wait(100_000, 40), later, Some(Pass::Expired)),
        ];
        for (name, shelf, unit, waiting, closed, want) in cases {
            let units = vec![Shelf { day: DAY, version: 1, unit, files: Vec::new() }];
            let seen = Seen { now: NOW, closed, shelves: vec![shelf], units, waiting };
            let works = plan(&seen, &Settings::default());
            assert_eq!(works.first().map(|work| work.pass), want, "{name}");
        }
    }
}
