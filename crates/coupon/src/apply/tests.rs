//! The rules against the table of `docs/rules.md`, over every state, every action and every asker.
//!
//! [`table::ROWS`] says the table again in its own words, over [`Case`], which knows what the coupon
//! is from the list it was made from and never asks the coupon. The first row that fits decides.

mod edges;
mod random;
mod table;
mod worth;

use std::collections::BTreeSet;

use super::*;
use crate::calendar::Zone;
use crate::campaign::Handout;
use crate::coupon::Genesis;
use crate::ids::{Actor, OperationId, OrderRef, UserId};
use crate::time::Millis;
use table::Want::{Becomes, Refused, Replay};
use table::{Case, ROWS, Want, history_full};

/// 2026-11-20T12:00Z.
const NOW: i64 = 1_795_176_000_000;
const MINUTE: i64 = 60_000;
const BOUND: i64 = 5_000;
const DAYS_30: i64 = 30 * DAY_MS;
/// When the running hold of a case was taken first.
const SINCE: i64 = NOW - 2 * DAY_MS;

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn order(name: &str) -> OrderRef {
    name.parse().unwrap()
}

fn genesis(valid_from: i64, expires_at: i64) -> Genesis {
    Genesis {
        code: "SUMMER2026".parse().unwrap(),
        campaign: "summer".parse().unwrap(),
        batch: "first".parse().unwrap(),
        valid_from: Millis(valid_from),
        expires_at: Millis(expires_at),
        zone: Zone::utc(),
        created_at: Millis(NOW - 400 * DAY_MS),
    }
}

fn terms() -> Terms {
    Terms {
        handout: Handout::Shop,
        paused: false,
        issue_from: None,
        issue_until: None,
        cancel_days: 30,
        extend_days: 30,
        clock_bound_ms: BOUND,
        currency: None,
        benefit: None,
    }
}

fn event(at: i64, kind: EventKind) -> Event {
    Event { at: Millis(at), actor: Actor::new("shop:till"), operation: OperationId(1), kind }
}

fn issued(to: &str) -> EventKind {
    EventKind::Issued { to: user(to), reference: None, expires_at: None }
}

fn redeemed(by: Option<&str>, by_order: &str) -> EventKind {
    EventKind::Redeemed { by: by.map(user), order: order(by_order), worth: None }
}

fn cancelled(by_order: &str) -> EventKind {
    EventKind::RedemptionCancelled { order: order(by_order), reason: None }
}

fn revoked(from: &str) -> EventKind {
    EventKind::Revoked { from: user(from), reference: None, reason: None }
}

fn voided() -> EventKind {
    EventKind::Voided { reason: None }
}

fn extended(expires_at: i64) -> EventKind {
    EventKind::Extended { expires_at: Millis(expires_at), zone: Zone::utc(), reason: None }
}

/// A hold as the tests write it down.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    by: &'static str,
    order: &'static str,
    since: i64,
    until: i64,
}

impl Held {
    fn hold(self) -> Hold {
        Hold {
            by: user(self.by),
            order: order(self.order),
            operation: OperationId(1),
            since: Millis(self.since),
            until: Millis(self.until),
        }
    }
}

fn coupon(genesis: Genesis, events: Vec<Event>, held: Option<Held>) -> Coupon {
    Coupon::of(genesis, events, held.map(Held::hold), 40, Millis(NOW - DAY_MS))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stands {
    Available,
    Issued(&'static str),
    Redeemed(Option<&'static str>, &'static str),
    Void(Option<&'static str>),
}
use Stands::{Available, Issued, Redeemed, Void};

impl Stands {
    fn holder(self) -> Option<&'static str> {
        match self {
            Available => None,
            Issued(holder) => Some(holder),
            Redeemed(by, _) => by,
            Void(holder) => holder,
        }
    }

    fn is_said_by(self, state: &State) -> bool {
        match (self, state) {
            (Available, State::Available) => true,
            (Issued(a), State::Issued { holder }) => a == holder.as_str(),
            (Redeemed(a, o), State::Redeemed { redemption, .. }) => {
                a == redemption.by.as_ref().map(UserId::as_str) && o == redemption.order.as_str()
            }
            (Void(a), State::Void { holder }) => a == holder.as_ref().map(UserId::as_str),
            _ => false,
        }
    }
}

struct Shape {
    name: &'static str,
    kinds: Vec<EventKind>,
    stands: Stands,
    /// What it returns to when its live redemption is cancelled.
    before: Stands,
    /// Orders with a cancelled redemption, and whose.
    cancelled: &'static [(&'static str, &'static str)],
}

fn shapes() -> Vec<Shape> {
    let shape = |name, kinds: Vec<EventKind>, stands, before, cancelled| Shape {
        name,
        kinds,
        stands,
        before,
        cancelled,
    };
    let (ann, bob) = (|| issued("ann"), || issued("bob"));
    let by_ann = |order| redeemed(Some("ann"), order);
    let gone = Available;
    vec![
        shape("available", vec![], Available, gone, &[]),
        shape("issued to ann", vec![ann()], Issued("ann"), gone, &[]),
        shape("issued to bob", vec![bob()], Issued("bob"), gone, &[]),
        shape("revoked", vec![ann(), revoked("ann")], Available, gone, &[]),
        shape(
            "redeemed by ann",
            vec![ann(), by_ann("991")],
            Redeemed(Some("ann"), "991"),
            Issued("ann"),
            &[],
        ),
        shape(
            "redeemed by ann out of nobody's hands",
            vec![by_ann("991")],
            Redeemed(Some("ann"), "991"),
            Available,
            &[],
        ),
        shape(
            "redeemed by bob",
            vec![bob(), redeemed(Some("bob"), "991")],
            Redeemed(Some("bob"), "991"),
            Issued("bob"),
            &[],
        ),
        shape(
            "redeemed, an import did not say by whom",
            vec![redeemed(None, "991")],
            Redeemed(None, "991"),
            Available,
            &[],
        ),
        shape(
            "redeemed, cancelled",
            vec![ann(), by_ann("991"), cancelled("991")],
            Issued("ann"),
            gone,
            &[("991", "ann")],
        ),
        shape(
            "redeemed out of nobody's hands, cancelled",
            vec![by_ann("991"), cancelled("991")],
            Available,
            gone,
            &[("991", "ann")],
        ),
        shape(
            "redeemed, cancelled, redeemed by the next order",
            vec![ann(), by_ann("991"), cancelled("991"), by_ann("992")],
            Redeemed(Some("ann"), "992"),
            Issued("ann"),
            &[("991", "ann")],
        ),
        shape(
            "redeemed, cancelled, revoked, issued to bob",
            vec![ann(), by_ann("991"), cancelled("991"), revoked("ann"), bob()],
            Issued("bob"),
            gone,
            &[("991", "ann")],
        ),
        shape("void", vec![voided()], Void(None), gone, &[]),
        shape("void in ann's wallet", vec![ann(), voided()], Void(Some("ann")), gone, &[]),
        shape(
            "void after a cancelled redemption",
            vec![ann(), by_ann("991"), cancelled("991"), voided()],
            Void(Some("ann")),
            gone,
            &[("991", "ann")],
        ),
    ]
}

#[derive(Clone, Copy)]
struct Day {
    name: &'static str,
    valid_from: i64,
    expires_at: i64,
    redeemed_at: i64,
    cancel_days: u16,
    paused: bool,
    issue: (Option<i64>, Option<i64>),
}

fn days() -> Vec<Day> {
    let plain = Day {
        name: "an ordinary day",
        valid_from: NOW - 100 * DAY_MS,
        expires_at: NOW + 20 * DAY_MS,
        redeemed_at: NOW - DAY_MS,
        cancel_days: 30,
        paused: false,
        issue: (None, None),
    };
    vec![
        plain,
        Day { name: "a millisecond before it starts", valid_from: NOW + 1, ..plain },
        Day { name: "it starts now", valid_from: NOW, ..plain },
        Day { name: "its last millisecond", expires_at: NOW + 1, ..plain },
        Day { name: "it expires now", expires_at: NOW, ..plain },
        Day { name: "the last to extend it", expires_at: NOW - DAYS_30 + 1, ..plain },
        Day { name: "too late to extend it", expires_at: NOW - DAYS_30, ..plain },
        Day { name: "paused", paused: true, ..plain },
        Day { name: "expired and paused", expires_at: NOW, paused: true, ..plain },
        Day {
            name: "not started, expired and paused",
            valid_from: NOW + 1,
            expires_at: NOW,
            paused: true,
            ..plain
        },
        Day { name: "issues a millisecond later", issue: (Some(NOW + 1), None), ..plain },
        Day { name: "issues from now on", issue: (Some(NOW), None), ..plain },
        Day { name: "the last to issue", issue: (None, Some(NOW + 1)), ..plain },
        Day { name: "issues no more", issue: (None, Some(NOW)), ..plain },
        Day {
            name: "issues no more, and paused",
            issue: (Some(NOW - 9), Some(NOW)),
            paused: true,
            ..plain
        },
        Day { name: "the last to cancel", redeemed_at: NOW - DAYS_30 + 1, ..plain },
        Day { name: "too late to cancel", redeemed_at: NOW - DAYS_30, ..plain },
        Day { name: "never cancelled", redeemed_at: NOW, cancel_days: 0, ..plain },
        Day {
            name: "never cancelled, not even by a clock that is behind",
            redeemed_at: NOW + 1,
            cancel_days: 0,
            ..plain
        },
    ]
}

/// An action as the tests write it down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Issue(&'static str),
    Redeem(&'static str, &'static str),
    Hold(&'static str, &'static str, i64),
    Release(&'static str),
    Cancel(&'static str),
    Revoke(&'static str),
    Void,
    Extend(i64),
}

impl Asks {
    fn action(self) -> Action {
        match self {
            Asks::Issue(to) => Action::Issue { to: user(to), reference: None, expires_at: None },
            Asks::Redeem(by, o) => {
                Action::Redeem { by: user(by), order: order(o), money: Default::default() }
            }
            Asks::Hold(by, o, until) => Action::Hold {
                by: user(by),
                order: order(o),
                until: Millis(until),
                money: Default::default(),
            },
            Asks::Release(o) => Action::Release { order: order(o) },
            Asks::Cancel(o) => Action::CancelRedemption { order: order(o), reason: None },
            Asks::Revoke(from) => {
                Action::Revoke { user: user(from), reference: None, reason: None }
            }
            Asks::Void => Action::Void { reason: None },
            Asks::Extend(to) => {
                Action::Extend { expires_at: Millis(to), zone: Zone::utc(), reason: None }
            }
        }
    }

    /// By the caller `asker`, `None` for a shop.
    fn by(self, asker: Option<&str>) -> Change {
        let asker = asker.map_or(Asker::Shop, |name| Asker::User(user(name)));
        Change {
            action: self.action(),
            asker,
            actor: Actor::new("role:asker"),
            operation: OperationId(2),
            at: Millis(NOW),
            if_version: None,
        }
    }
}

/// What is asked of a coupon that expires at `expires_at`.
fn asked(expires_at: i64) -> Vec<Asks> {
    let mut asks = vec![Asks::Void];
    asks.extend([-1, 0, 1].map(|ms| Asks::Extend(expires_at + ms)));
    for name in ["ann", "bob"] {
        asks.extend([Asks::Issue(name), Asks::Revoke(name)]);
        for order in ["991", "992"] {
            asks.push(Asks::Redeem(name, order));
            asks.extend([1, 30 * MINUTE, 9 * DAY_MS].map(|ms| Asks::Hold(name, order, NOW + ms)));
        }
    }
    for order in ["991", "992"] {
        asks.extend([Asks::Release(order), Asks::Cancel(order)]);
    }
    asks
}

/// Every hold that a case can have: each order, and the milliseconds on both sides of each edge.
fn holds(stands: Stands) -> Vec<Option<Held>> {
    let mut holds = vec![None];
    if !matches!(stands, Available | Issued(_)) {
        return holds;
    }
    for by in ["ann", "bob"] {
        for order in ["991", "992"] {
            for until in [NOW + DAY_MS, NOW + 1, NOW, NOW + 1 - BOUND, NOW - BOUND] {
                holds.push(Some(Held { by, order, since: SINCE, until }));
            }
        }
    }
    holds
}

/// The history of `shape`, with extensions that change nothing in front until it has `events`.
fn history(shape: &Shape, day: &Day, events: usize) -> Vec<Event> {
    let padding = events - shape.kinds.len();
    let padded = (0..padding).map(|_| event(NOW - 90 * DAY_MS, extended(day.expires_at)));
    let told = shape.kinds.iter().map(|kind| event(day.redeemed_at, kind.clone()));
    padded.chain(told).collect()
}

fn askers(asks: Asks) -> Vec<Option<&'static str>> {
    match asks {
        Asks::Issue(name) | Asks::Redeem(name, _) | Asks::Hold(name, ..) => vec![None, Some(name)],
        _ => vec![None, Some("ann"), Some("bob")],
    }
}

fn check(case: &Case, coupon: &Coupon, terms: &Terms, want: &Want, row: &str) {
    let change = case.asks.by(case.asker);
    let found = apply(coupon, &change, terms);
    let fits = match (want, &found) {
        (Replay, Outcome::Replayed) => true,
        (Refused(want), Outcome::Refused(found)) => want == found,
        (Becomes { stands, held, expires_at }, Outcome::Accepted(after)) => {
            let hold_only = matches!(case.asks, Asks::Hold(..) | Asks::Release(_));
            let taken = matches!(case.asks, Asks::Hold(..));
            let operation = if taken { OperationId(2) } else { OperationId(1) };
            stands.is_said_by(after.state())
                && after.hold() == held.map(|held| Hold { operation, ..held.hold() }).as_ref()
                && after.expires_at().0 == *expires_at
                && after.version() == coupon.version() + 1
                && after.modified_at() == change.at
                && after.genesis() == coupon.genesis()
                && is_appended(coupon, after, &change, if hold_only { 0 } else { 1 })
        }
        _ => false,
    };
    assert!(
        fits,
        "{} / {} / {:?} / {} events / {:?} / {:?} asked by {:?}\nrow: {row}\nwant {want:?}\nfound {found:?}",
        case.shape.name, case.day.name, case.held, case.events, case.handout, case.asks, case.asker,
    );
}

/// Whether `after` has the events of `before` and `count` of `change`'s own.
fn is_appended(before: &Coupon, after: &Coupon, change: &Change, count: usize) -> bool {
    let (old, new) = after.events().split_at(before.events().len());
    old == before.events()
        && new.len() == count
        && new.iter().all(|event| {
            let kind = match &change.action {
                Action::Issue { .. } => "issued",
                Action::Redeem { .. } => "redeemed",
                Action::CancelRedemption { .. } => "redemption_cancelled",
                Action::Revoke { .. } => "revoked",
                Action::Void { .. } => "voided",
                Action::Extend { .. } => "extended",
                Action::Hold { .. } | Action::Release { .. } => "",
            };
            event.kind.as_str() == kind
                && event.at == change.at
                && event.actor == change.actor
                && event.operation == change.operation
        })
}

/// Calls `check` with every case; a history is as short as can be, or one of 28 or 29 events.
fn every_case(handout: Handout, mut check: impl FnMut(&Case, &Coupon, &Terms)) {
    for shape in &shapes() {
        for day in days() {
            let (issue_from, issue_until) = day.issue;
            let terms = Terms {
                handout,
                paused: day.paused,
                cancel_days: day.cancel_days,
                issue_from: issue_from.map(Millis),
                issue_until: issue_until.map(Millis),
                ..terms()
            };
            for events in [shape.kinds.len(), 28, 29] {
                let genesis = genesis(day.valid_from, day.expires_at);
                let bare = coupon(genesis, history(shape, &day, events), None);
                for held in holds(shape.stands) {
                    let coupon = Coupon::of(
                        bare.genesis().clone(),
                        bare.events().to_vec(),
                        held.map(Held::hold),
                        bare.version(),
                        bare.modified_at(),
                    );
                    for asks in asked(day.expires_at) {
                        for asker in askers(asks) {
                            let case = Case { shape, day, held, handout, events, asks, asker };
                            check(&case, &coupon, &terms);
                        }
                    }
                }
            }
        }
    }
}

/// Whether [`apply`] follows the table in campaigns of `handout`; the rows that were used.
fn follows_the_table(handout: Handout) -> BTreeSet<&'static str> {
    let mut used = BTreeSet::new();
    every_case(handout, |case, coupon, terms| {
        let row = ROWS.iter().find(|row| (row.fits)(case)).expect("a row for every case");
        used.insert(row.name);
        check(case, coupon, terms, &history_full(case, (row.verdict)(case)), row.name);
    });
    used
}

#[test]
fn shapes_are_what_they_say() {
    for shape in shapes() {
        let events = shape.kinds.iter().map(|kind| event(NOW, kind.clone())).collect();
        let coupon = coupon(genesis(NOW, NOW + DAY_MS), events, None);
        assert!(shape.stands.is_said_by(coupon.state()), "{}", shape.name);
    }
}

/// Two tests, so that they run beside each other.
#[test]
fn the_table_in_bearer_campaigns() {
    let used = follows_the_table(Handout::Bearer);
    let unused = ROWS.iter().filter(|row| !used.contains(row.name)).map(|row| row.name);
    assert_eq!(
        unused.collect::<Vec<_>>(),
        ["with no holder, or another one; not a bearer campaign"]
    );
}

#[test]
fn the_table_in_campaigns_that_issue() {
    for handout in [Handout::Shop, Handout::SelfService, Handout::Shared] {
        let used = follows_the_table(handout);
        let unused = ROWS.iter().filter(|row| !used.contains(row.name)).map(|row| row.name);
        assert_eq!(
            unused.collect::<Vec<_>>(),
            [
                "with another holder or another user's running hold; bearer campaign",
                "Issued, bearer campaign: redeem, hold by another user",
            ]
        );
    }
}

#[test]
fn every_refusal_is_in_the_rules_for_people() {
    let rules = include_str!("../../../../docs/rules.md");
    let mut words = BTreeSet::new();
    for handout in [Handout::Bearer, Handout::Shop] {
        every_case(handout, |case, coupon, terms| {
            if let Outcome::Refused(refusal) = apply(coupon, &case.asks.by(case.asker), terms) {
                words.insert(refusal.as_str());
            }
        });
    }
    assert_eq!(words.len(), 16, "every word that the table has: {words:?}");
    for word in words {
        assert!(rules.contains(&format!("`{word}`")), "{word} is not in docs/rules.md");
    }
}
