//! The checker: whether the history of one coupon is possible by the rules.
//!
//! A search by the method of Wing and Gong, with Lowe's memory. A *point* is a set of operations in
//! an order, and the coupon after them. From a point the search tries each operation that was
//! invoked before any other open operation returned, if the model gives the same answer there. The
//! history is legal if the search reaches a point without answered operations left. Operations with
//! an unknown outcome may be left.
//!
//! One step belongs to no operation ([`World::skips`]): the store may raise the version of a coupon
//! without a change. Versions still never go back, and everything else has to fit.
//!
//! Six rules keep the search short. None of them changes the verdict:
//! - an answer that does not change the coupon (a read, a refusal, a replay) is put in order as
//!   soon as it fits: whatever can follow without it can follow it;
//! - versions never go back in the model, so a point with a later version than an open answer shows
//!   leads nowhere;
//! - events are never deleted: an event that the last read does not show was not added;
//! - the step of the store is tried last at each point, and only if an answer shows a later
//!   version;
//! - of equal requests with an unknown outcome only the earliest is tried;
//! - no point is visited twice.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use coupon::coupon::Coupon;

use super::history::{Entry, Facts, Operation, Told};
use super::model::{Step, World};

/// Most points of one coupon. A history of some hundred operations has about as many points as
/// operations. More would take too long, and memory is bounded: 5 KB a point.
pub(super) const POINTS_MAX: usize = 50_000;

/// In the place of an operation: the step of the store.
const NOBODYS: usize = usize::MAX;

/// Most steps that wait to be tried, at 16 bytes each.
const WAITING_MAX: usize = 4_000_000;

/// Why a history was not found legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// No order explains it.
    Violation(String),
    /// The search was given up. Never a pass.
    Undecided { points: usize },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Violation(why) => write!(f, "no order explains it: {why}"),
            Wrong::Undecided { points } => write!(f, "undecided after {points} points"),
        }
    }
}

/// Checks that `history` is linearizable. Returns the number of points that it took.
///
/// # Errors
/// [`Wrong`], also if the search was too long.
pub(super) fn check(world: &World, history: &[Operation]) -> Result<usize, Wrong> {
    check_within(world, history, POINTS_MAX)
}

fn check_within(world: &World, history: &[Operation], points_max: usize) -> Result<usize, Wrong> {
    let mut search = Search::new(world, history);
    let Some(first) = search.settled(search.beginning()) else {
        return Err(search.violation());
    };
    let mut waiting = Vec::new();
    let mut seen = HashSet::new();
    let mut next = Some(Rc::new(first));
    loop {
        if let Some(point) = next.take().filter(|point| seen.insert(Rc::clone(point))) {
            if point.left == 0 {
                return Ok(seen.len());
            }
            let operations = search.outstanding(&point);
            // The last one pushed is tried first: the earliest answered operation.
            waiting.extend(search.may_skip(&point).then(|| (Rc::clone(&point), NOBODYS)));
            waiting.extend(operations.into_iter().rev().map(|nth| (Rc::clone(&point), nth)));
        }
        if seen.len() > points_max || waiting.len() > WAITING_MAX {
            return Err(Wrong::Undecided { points: seen.len() });
        }
        let Some((point, nth)) = waiting.pop() else { return Err(search.violation()) };
        next = search.after(&point, nth).map(Rc::new);
    }
}

/// The operations in order, and the coupon after them.
#[derive(Clone, Debug)]
struct Point {
    done: Bits,
    /// The first answered operation that is not in order.
    first: usize,
    /// How many answered operations are not in order.
    left: usize,
    coupon: Rc<Coupon>,
}

impl PartialEq for Point {
    fn eq(&self, other: &Point) -> bool {
        self.done == other.done && self.coupon == other.coupon
    }
}

impl Eq for Point {}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.done.hash(state);
        self.coupon.version().hash(state);
    }
}

struct Search<'a> {
    world: &'a World,
    /// Answered operations by invocation, then those with an unknown outcome.
    operations: Vec<&'a Operation>,
    answered: usize,
    /// For each answered operation, the earliest version that it or a later one shows.
    earliest_from: Vec<u64>,
    /// The last read, and the events that it shows.
    last_read: Option<(usize, &'a [Entry])>,
    /// For each operation with an unknown outcome, an earlier equal request.
    same_before: Vec<Option<usize>>,
    /// The point with the fewest answers left, for the report.
    farthest: Option<Point>,
}

impl<'a> Search<'a> {
    fn new(world: &'a World, history: &'a [Operation]) -> Search<'a> {
        let is_answered = |operation: &&Operation| operation.answered().is_some();
        // An operation that never took effect is in no order.
        let possible = history.iter().filter(|it| !matches!(it.told, Told::Nothing));
        let (mut operations, mut unknown): (Vec<_>, Vec<_>) = possible.partition(is_answered);
        operations.sort_by_key(|it| it.invoked);
        unknown.sort_by_key(|it| it.invoked);
        let answered = operations.len();
        let mut earliest_from: Vec<u64> = operations.iter().map(|it| latest_before(it)).collect();
        earliest_from.push(u64::MAX);
        for nth in (0..answered).rev() {
            earliest_from[nth] = earliest_from[nth].min(earliest_from[nth + 1]);
        }
        let shown = |nth: &usize| Some((*nth, shown_events(operations[*nth])?));
        let last_read = (0..answered).rev().find_map(|nth| shown(&nth));
        let same =
            |nth: usize| (0..nth).rev().find(|other| unknown[*other].ask == unknown[nth].ask);
        let same_before = (0..unknown.len()).map(|nth| same(nth).map(|it| answered + it)).collect();
        operations.append(&mut unknown);
        let farthest = None;
        Search { world, operations, answered, earliest_from, last_read, same_before, farthest }
    }

    fn beginning(&self) -> Point {
        let coupon = Rc::new(self.world.start.clone());
        let done = Bits::none(self.operations.len());
        Point { done, first: 0, left: self.answered, coupon }
    }

    /// The operations that may be next: no open operation had returned when they were invoked.
    fn outstanding(&self, point: &Point) -> Vec<usize> {
        let mut found = Vec::new();
        let mut horizon = Duration::MAX;
        for nth in point.first..self.answered {
            let operation = self.operations[nth];
            if operation.invoked > horizon {
                break;
            }
            if !point.done.has(nth) {
                found.push(nth);
                horizon = horizon.min(operation.returned);
            }
        }
        let unknown = self.answered..self.operations.len();
        let begun = unknown.take_while(|nth| self.operations[*nth].invoked <= horizon);
        let is_first = |nth: usize| {
            self.same_before[nth - self.answered].is_none_or(|same| point.done.has(same))
        };
        found.extend(begun.filter(|nth| !point.done.has(*nth) && is_first(*nth)));
        found
    }

    /// Whether an answer that is not in order shows a later version.
    fn may_skip(&self, point: &Point) -> bool {
        let latest = self.latest_useful_version(point);
        self.world.skips && latest != u64::MAX && point.coupon.version() < latest
    }

    /// The point after one more operation, if that fits and is useful.
    fn after(&mut self, point: &Point, nth: usize) -> Option<Point> {
        if nth == NOBODYS {
            let coupon = Rc::new(one_version_on(&point.coupon));
            return self.settled(Point { coupon, ..point.clone() });
        }
        let operation = self.operations[nth];
        if !may_fit(operation, &point.coupon) {
            return None;
        }
        let coupon = match self.world.step(&point.coupon, operation)? {
            // An operation that may never have happened may be left out.
            Step::Stays if operation.answered().is_none() => return None,
            Step::Stays => Rc::clone(&point.coupon),
            Step::Becomes(after) if !self.is_seen_later(point, &after) => return None,
            Step::Becomes(after) => after,
        };
        let point = self.with(Point { coupon, ..point.clone() }, nth);
        self.settled(point)
    }

    /// Whether the new event of `after` is the one that the last read shows.
    fn is_seen_later(&self, point: &Point, after: &Coupon) -> bool {
        let (before, events) = (point.coupon.events().len(), after.events());
        match self.last_read {
            Some((read, shown)) if events.len() > before && !point.done.has(read) => {
                shown.get(before).is_some_and(|shown| shown.fits(&events[before]))
            }
            Some(_) | None => true,
        }
    }

    fn with(&self, mut point: Point, nth: usize) -> Point {
        point.done.set(nth);
        point.left -= usize::from(nth < self.answered);
        while point.first < self.answered && point.done.has(point.first) {
            point.first += 1;
        }
        point
    }

    /// The point with every fitting answer that does not change the coupon in order. None if an
    /// open answer shows an earlier version.
    fn settled(&mut self, mut point: Point) -> Option<Point> {
        loop {
            let mut fitted = false;
            for nth in self.outstanding(&point) {
                let operation = self.operations[nth];
                if !operation.changed_nothing() || !may_fit(operation, &point.coupon) {
                    continue;
                }
                if let Some(Step::Stays) = self.world.step(&point.coupon, operation) {
                    point = self.with(point, nth);
                    fitted = true;
                }
            }
            if !fitted {
                break;
            }
        }
        let leads_nowhere = point.coupon.version() > self.latest_useful_version(&point);
        if self.farthest.as_ref().is_none_or(|farthest| point.left < farthest.left) {
            self.farthest = Some(point.clone());
        }
        (!leads_nowhere).then_some(point)
    }

    /// The latest version at which every open answer is still possible.
    fn latest_useful_version(&self, point: &Point) -> u64 {
        let mut latest = u64::MAX;
        let mut horizon = Duration::MAX;
        for nth in point.first..self.answered {
            let operation = self.operations[nth];
            if operation.invoked > horizon {
                // From here on no operation is in order.
                return latest.min(self.earliest_from[nth]);
            }
            if !point.done.has(nth) {
                latest = latest.min(latest_before(operation));
                horizon = horizon.min(operation.returned);
            }
        }
        latest
    }

    /// The farthest point of the search, and why it ended there.
    fn violation(&self) -> Wrong {
        let Some(point) = &self.farthest else { return Wrong::Violation("it is empty".into()) };
        let in_order = self.answered - point.left;
        let facts = Facts::of(&point.coupon, self.world.at);
        let mut text = format!("{in_order} of {} answers fit, up to {facts:?}", self.answered);
        for nth in self.outstanding(point) {
            let Operation { client, invoked, returned, ask, told } = self.operations[nth];
            let would = self.world.would_tell(&point.coupon, ask);
            text.push_str(&format!(
                "\n  client {client}, {invoked:?} to {returned:?}: {ask:?}\n    got {told:?}\n    \
                 the model gives {would}"
            ));
        }
        Wrong::Violation(text)
    }
}

fn one_version_on(coupon: &Coupon) -> Coupon {
    Coupon::of(
        coupon.genesis().clone(),
        coupon.events().to_vec(),
        coupon.hold().cloned(),
        coupon.version() + 1,
        coupon.modified_at(),
    )
}

/// Whether the shown version allows the operation to be next. True without one.
fn may_fit(operation: &Operation, coupon: &Coupon) -> bool {
    let version = coupon.version();
    shown_version(operation).is_none_or(|shown| shown == version || shown == version + 1)
}

/// The latest version that the coupon can have had before the operation.
fn latest_before(operation: &Operation) -> u64 {
    let made = operation.answered().is_some_and(|it| it.status == 201);
    shown_version(operation).map_or(u64::MAX, |shown| shown.saturating_sub(u64::from(made)))
}

fn shown_events(operation: &Operation) -> Option<&[Entry]> {
    operation.answered()?.coupon.as_ref()?.events.as_deref()
}

fn shown_version(operation: &Operation) -> Option<u64> {
    operation.answered()?.coupon.as_ref().map(|shown| shown.version)
}

/// A set of small numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bits(Box<[u64]>);

impl Bits {
    fn none(count: usize) -> Bits {
        Bits(vec![0; count.div_ceil(64)].into())
    }

    fn has(&self, nth: usize) -> bool {
        self.0[nth / 64] >> (nth % 64) & 1 == 1
    }

    fn set(&mut self, nth: usize) {
        self.0[nth / 64] |= 1 << (nth % 64);
    }
}

#[cfg(test)]
mod tests;
