//! Histories with a known verdict, and a comparison with a search that tries every order.

use std::collections::BTreeMap;

use coupon::apply::Action;
use coupon::calendar::Zone;
use coupon::campaign::{Handout, Terms};
use coupon::coupon::Genesis;
use coupon::time::{DAY_MS, Millis};

use super::super::client::Dice;
use super::super::history::{Answered, Ask, Entry, Redeemed};
use super::*;

/// 2026-11-20T12:00Z.
const START: Millis = Millis(1_795_176_000_000);
const EXPIRES: Millis = Millis(START.0 + 2_000 * DAY_MS);

fn world() -> World {
    let genesis = Genesis {
        code: "SUMMER2026".parse().unwrap(),
        campaign: "summer".parse().unwrap(),
        batch: "first".parse().unwrap(),
        valid_from: START,
        expires_at: EXPIRES,
        zone: Zone::utc(),
        created_at: START,
    };
    let terms = Terms {
        handout: Handout::Shop,
        paused: false,
        issue_from: None,
        issue_until: None,
        cancel_days: 30,
        extend_days: 30,
        clock_bound_ms: 0,
        currency: None,
        benefit: None,
    };
    World { start: Coupon::untouched(genesis), terms, at: START, skips: false }
}

/// `ask` from `times.0` to `times.1`.
fn op(times: (u64, u64), ask: Ask, told: Told) -> Operation {
    let (invoked, returned) = (Duration::from_secs(times.0), Duration::from_secs(times.1));
    Operation { client: 0, invoked, returned, ask, told }
}

fn issue(to: &str) -> Ask {
    Ask::Change(Action::Issue { to: to.parse().unwrap(), reference: None, expires_at: None })
}

fn redeem(order: &str) -> Ask {
    Ask::Change(Action::Redeem {
        by: "ann".parse().unwrap(),
        order: order.parse().unwrap(),
        money: Default::default(),
    })
}

fn hold(order: &str, days: u16) -> Ask {
    let (by, order) = ("ann".parse().unwrap(), order.parse().unwrap());
    Ask::Change(Action::Hold { by, order, until: START.plus_days(days), money: Default::default() })
}

fn release(order: &str) -> Ask {
    Ask::Change(Action::Release { order: order.parse().unwrap() })
}

fn cancel(order: &str) -> Ask {
    Ask::Change(Action::CancelRedemption { order: order.parse().unwrap(), reason: None })
}

fn revoke() -> Ask {
    Ask::Change(Action::Revoke { user: "ann".parse().unwrap(), reference: None, reason: None })
}

fn extend(days: u16) -> Ask {
    let expires_at = EXPIRES.plus_days(days);
    Ask::Change(Action::Extend { expires_at, zone: Zone::utc(), reason: None })
}

fn told(status: u16) -> Told {
    let problem = "".into();
    Told::Answer(Box::new(Answered { status, problem, coupon: None, redemption: None }))
}

fn refused(problem: &str) -> Told {
    let (status, problem) = (if problem == "NOT_FOUND" { 404 } else { 409 }, problem.into());
    Told::Answer(Box::new(Answered { status, problem, coupon: None, redemption: None }))
}

fn facts(version: u64, state: &str) -> Facts {
    let holder = (state != "available").then(|| "ann".into());
    let (order, held_days, expires_at, events) = (None, None, EXPIRES, None);
    Facts { version, state: state.into(), holder, order, held_days, expires_at, events }
}

fn shown(status: u16, coupon: Facts) -> Told {
    let (problem, coupon) = ("".into(), Some(coupon));
    Told::Answer(Box::new(Answered { status, problem, coupon, redemption: None }))
}

/// A read with this answer.
fn sees(version: u64, state: &str) -> Told {
    shown(200, facts(version, state))
}

/// A read that shows the order of a redemption, or of a hold for `days`.
fn sees_order(version: u64, state: &str, order: &str, held_days: Option<i64>) -> Told {
    shown(200, Facts { order: Some(order.into()), held_days, ..facts(version, state) })
}

fn sees_events(version: u64, state: &str, order: Option<&str>, events: &[&str]) -> Told {
    let entry = |text: &&str| match text.split_once(' ') {
        Some((kind, reference)) => Entry { kind: kind.into(), reference: Some(reference.into()) },
        None => Entry { kind: (*text).into(), reference: None },
    };
    let events = Some(events.iter().map(entry).collect());
    let order = order.map(Into::into);
    shown(200, Facts { order, events, ..facts(version, state) })
}

fn redemption(status: u16, by: &str, order: &str) -> Told {
    let redemption = Redeemed { by: Some(by.into()), order: order.into(), is_cancelled: false };
    let (problem, redemption) = ("".into(), Some(redemption));
    Told::Answer(Box::new(Answered { status, problem, coupon: None, redemption }))
}

use Told::{Nothing, Unknown};

type Row = (&'static str, Vec<Operation>);

fn legal() -> Vec<Row> {
    let get = || Ask::Read;
    let issued = || op((0, 1), issue("ann"), told(201));
    vec![
        ("no operations", vec![]),
        ("a read of an untouched coupon", vec![op((0, 1), get(), sees(0, "available"))]),
        (
            "one after the other",
            vec![
                issued(),
                op(
                    (2, 3),
                    hold("a", 1),
                    shown(
                        201,
                        Facts { order: Some("a".into()), held_days: Some(1), ..facts(2, "issued") },
                    ),
                ),
                op((4, 5), get(), sees_order(2, "issued", "a", Some(1))),
                op((6, 7), redeem("b"), refused("HELD")),
                op((8, 9), redeem("a"), redemption(201, "ann", "a")),
                op((10, 11), redeem("a"), redemption(200, "ann", "a")),
                op((12, 13), cancel("a"), sees(4, "issued")),
                op((14, 15), redeem("a"), refused("REDEMPTION_CANCELLED")),
                op((16, 17), revoke(), sees(5, "available")),
                op(
                    (18, 19),
                    get(),
                    sees_events(
                        5,
                        "available",
                        None,
                        &["issued", "redeemed a", "redemption_cancelled a", "revoked"],
                    ),
                ),
            ],
        ),
        (
            "the later of two concurrent operations wins",
            vec![
                issued(),
                op((2, 9), redeem("a"), refused("ALREADY_REDEEMED")),
                op((3, 8), redeem("b"), told(201)),
            ],
        ),
        (
            "a read beside a write sees the state before it",
            vec![
                issued(),
                op((2, 9), redeem("a"), told(201)),
                op((7, 8), get(), sees(1, "issued")),
            ],
        ),
        (
            "a read beside a write sees the state after it",
            vec![
                issued(),
                op((2, 9), redeem("a"), told(201)),
                op((3, 4), get(), sees_order(2, "redeemed", "a", None)),
            ],
        ),
        (
            "an unknown operation takes effect long after its client gave up",
            vec![
                issued(),
                op((2, 3), redeem("a"), Unknown),
                op((4, 5), get(), sees(1, "issued")),
                op((6, 7), get(), sees_order(2, "redeemed", "a", None)),
            ],
        ),
        (
            "an unknown operation never takes effect",
            vec![
                issued(),
                op((2, 3), redeem("a"), Unknown),
                op((4, 5), revoke(), sees(2, "available")),
            ],
        ),
        (
            "the repeat of an unknown operation shows its effect",
            vec![
                issued(),
                op((2, 3), redeem("a"), Unknown),
                op((4, 5), redeem("a"), redemption(200, "ann", "a")),
            ],
        ),
        (
            "the repeat of an unknown operation shows no effect",
            vec![
                issued(),
                op((2, 3), redeem("a"), Unknown),
                op((4, 5), redeem("a"), redemption(201, "ann", "a")),
            ],
        ),
        (
            "an unknown operation takes effect between two others",
            vec![
                issued(),
                op((2, 3), hold("a", 1), Unknown),
                op((4, 5), extend(1), refused("HELD")),
                op((6, 7), release("a"), sees(3, "issued")),
                op((8, 9), redeem("b"), told(201)),
            ],
        ),
        (
            "a release that does not say whether it was one: there was nothing to release when it \
             was asked for",
            vec![
                issued(),
                op((2, 9), release("a"), told(200)),
                op((3, 4), hold("a", 1), told(201)),
                op((5, 6), redeem("b"), told(201)),
            ],
        ),
        (
            "the later of two unknown operations takes effect first",
            vec![
                op((0, 1), issue("ann"), Unknown),
                op((2, 3), issue("bob"), Unknown),
                op((4, 5), issue("ann"), refused("ALREADY_ISSUED")),
            ],
        ),
        (
            "an operation that was not made is not seen",
            vec![issued(), op((2, 3), redeem("a"), Nothing), op((4, 5), get(), sees(1, "issued"))],
        ),
    ]
}

fn illegal() -> Vec<Row> {
    let get = || Ask::Read;
    let issued = || op((0, 1), issue("ann"), told(201));
    let redeemed = || op((2, 3), redeem("a"), told(201));
    let sees_redeemed = || sees_order(2, "redeemed", "a", None);
    vec![
        (
            "two orders redeem it",
            vec![issued(), op((2, 9), redeem("a"), told(201)), op((3, 8), redeem("b"), told(201))],
        ),
        (
            "one order redeems it twice",
            vec![issued(), op((2, 9), redeem("a"), told(201)), op((3, 8), redeem("a"), told(201))],
        ),
        (
            "two users get it",
            vec![op((0, 9), issue("ann"), told(201)), op((0, 9), issue("bob"), told(201))],
        ),
        (
            "one of two concurrent changes is lost",
            vec![
                issued(),
                op((2, 9), hold("a", 1), told(201)),
                op((3, 8), extend(1), told(200)),
                op((10, 11), get(), sees_order(2, "issued", "a", Some(1))),
            ],
        ),
        (
            "a stale read after an acknowledged write",
            vec![issued(), redeemed(), op((4, 5), get(), sees(1, "issued"))],
        ),
        (
            "a stale refusal after an acknowledged write",
            vec![issued(), redeemed(), op((4, 5), cancel("a"), refused("NOT_REDEEMED"))],
        ),
        (
            "beside a write, a read of the new state, then one of the old",
            vec![
                issued(),
                op((2, 9), redeem("a"), told(201)),
                op((3, 4), get(), sees_redeemed()),
                op((5, 6), get(), sees(1, "issued")),
            ],
        ),
        (
            "an unknown operation takes effect twice",
            vec![
                issued(),
                op((2, 3), hold("a", 1), Unknown),
                op((4, 5), release("a"), sees(3, "issued")),
                op((6, 7), get(), sees_order(4, "issued", "a", Some(1))),
            ],
        ),
        (
            "the effect of an unknown operation is lost",
            vec![
                issued(),
                op((2, 3), redeem("a"), Unknown),
                op((4, 5), get(), sees_redeemed()),
                op((6, 7), get(), sees(1, "issued")),
            ],
        ),
        (
            "an unknown operation takes effect before its invocation",
            vec![issued(), op((4, 5), redeem("a"), Unknown), op((2, 3), get(), sees_redeemed())],
        ),
        (
            "a refused change is seen",
            vec![
                issued(),
                op((2, 3), hold("b", 1), told(201)),
                op((4, 5), redeem("a"), refused("HELD")),
                op((6, 7), release("b"), told(200)),
                op((8, 9), get(), sees_order(4, "redeemed", "a", None)),
            ],
        ),
        (
            "a change that was not made is seen",
            vec![issued(), op((2, 3), redeem("a"), Nothing), op((4, 5), get(), sees_redeemed())],
        ),
        (
            "a replay of a change that was never made",
            vec![issued(), op((2, 3), redeem("a"), told(200))],
        ),
        (
            "refused by a rule that does not hold",
            vec![issued(), op((2, 3), redeem("a"), refused("HELD"))],
        ),
        (
            "a refusal with the wrong code",
            vec![issued(), redeemed(), op((4, 5), revoke(), refused("VOIDED"))],
        ),
        ("not found", vec![issued(), op((2, 3), get(), refused("NOT_FOUND"))]),
        ("a read that shows nothing", vec![issued(), op((2, 3), get(), told(200))]),
        ("a version too late", vec![issued(), op((2, 3), get(), sees(2, "issued"))]),
        (
            "a version too early",
            vec![issued(), redeemed(), op((4, 5), get(), sees_order(1, "redeemed", "a", None))],
        ),
        (
            "a change with the version before it",
            vec![op((0, 1), issue("ann"), shown(201, facts(0, "issued")))],
        ),
        ("the wrong state", vec![issued(), op((2, 3), get(), sees(1, "void"))]),
        (
            "the wrong holder",
            vec![op((0, 1), issue("bob"), told(201)), op((2, 3), get(), sees(1, "issued"))],
        ),
        (
            "the wrong order",
            vec![issued(), redeemed(), op((4, 5), get(), sees_order(2, "redeemed", "b", None))],
        ),
        (
            "the redemption of another user",
            vec![issued(), op((2, 3), redeem("a"), redemption(201, "bob", "a"))],
        ),
        (
            "the redemption of another order",
            vec![issued(), op((2, 3), redeem("a"), redemption(201, "ann", "b"))],
        ),
        (
            "a redemption that is shown as cancelled",
            vec![
                issued(),
                op((2, 3), redeem("a"), {
                    let (by, order) = (Some("ann".into()), "a".into());
                    let redemption = Some(Redeemed { by, order, is_cancelled: true });
                    let (problem, coupon) = ("".into(), None);
                    Told::Answer(Box::new(Answered { status: 201, problem, coupon, redemption }))
                }),
            ],
        ),
        (
            "a hold for another number of days",
            vec![
                issued(),
                op((2, 3), hold("a", 1), told(201)),
                op((4, 5), get(), sees_order(2, "issued", "a", Some(2))),
            ],
        ),
        (
            "another expiry",
            vec![issued(), op((2, 3), extend(1), told(200)), op((4, 5), get(), sees(2, "issued"))],
        ),
        (
            "one event too few",
            vec![
                issued(),
                redeemed(),
                op((4, 5), get(), sees_events(2, "redeemed", Some("a"), &["issued"])),
            ],
        ),
        (
            "one event too many",
            vec![
                issued(),
                redeemed(),
                op(
                    (4, 5),
                    get(),
                    sees_events(2, "redeemed", Some("a"), &["issued", "redeemed a", "redeemed a"]),
                ),
            ],
        ),
        (
            "an event of another kind",
            vec![
                issued(),
                redeemed(),
                op(
                    (4, 5),
                    get(),
                    sees_events(2, "redeemed", Some("a"), &["issued", "redemption_cancelled a"]),
                ),
            ],
        ),
        (
            "an event of another order",
            vec![
                issued(),
                redeemed(),
                op((4, 5), get(), sees_events(2, "redeemed", Some("a"), &["issued", "redeemed b"])),
            ],
        ),
        (
            "events in another order",
            vec![
                issued(),
                redeemed(),
                op((4, 5), get(), sees_events(2, "redeemed", Some("a"), &["redeemed a", "issued"])),
            ],
        ),
    ]
}

#[test]
fn verdicts() {
    for (name, history) in legal() {
        let found = check(&world(), &history);
        assert!(found.is_ok(), "{name}: {}", found.unwrap_err());
    }
    for (name, history) in illegal() {
        let found = check(&world(), &history);
        assert!(matches!(found, Err(Wrong::Violation(_))), "{name}: {found:?}");
    }
}

/// If the store may raise versions, a fault that only a version shows is allowed, and no other.
#[test]
fn versions_raised_by_the_store() {
    let world = World { skips: true, ..world() };
    for (name, history) in legal() {
        let found = check(&world, &history);
        assert!(found.is_ok(), "{name}: {}", found.unwrap_err());
    }
    let is_forgiven = |(name, history): Row| check(&world, &history).is_ok().then_some(name);
    let forgiven: Vec<&str> = illegal().into_iter().filter_map(is_forgiven).collect();
    // The first is a hold that comes back after its release: neither has an event.
    assert_eq!(forgiven, ["an unknown operation takes effect twice", "a version too late"]);
}

/// Each illegal history has one fault: without its last operation it is legal.
#[test]
fn illegal_for_one_reason() {
    for (name, mut history) in illegal() {
        history.pop();
        let found = check(&world(), &history);
        assert!(found.is_ok(), "{name}: {found:?}");
    }
}

/// Tries every order, without memory and without the rules that shorten the search.
fn some_order_fits(world: &World, coupon: &Coupon, left: &[&Operation]) -> bool {
    if left.iter().all(|it| it.answered().is_none()) {
        return true;
    }
    let is_later = |it: &&Operation| shown_version(it).is_some_and(|it| it > coupon.version());
    if world.skips
        && left.iter().any(is_later)
        && some_order_fits(world, &one_version_on(coupon), left)
    {
        return true;
    }
    let returned = |it: &&&Operation| it.answered().map(|_| it.returned);
    (0..left.len()).any(|nth| {
        let others = left.iter().enumerate().filter(|(other, _)| *other != nth);
        let others: Vec<&Operation> = others.map(|(_, it)| *it).collect();
        let is_next =
            others.iter().filter_map(|it| returned(&it)).all(|it| left[nth].invoked <= it);
        is_next
            && match world.step(coupon, left[nth]) {
                None => false,
                Some(Step::Stays) => some_order_fits(world, coupon, &others),
                Some(Step::Becomes(after)) => some_order_fits(world, &after, &others),
            }
    })
}

#[test]
fn agrees_with_every_order() {
    let mut dice = Dice(1);
    let mut verdicts = [0, 0];
    for nth in 0..6_000 {
        let world = World { skips: nth % 4 > 1, ..world() };
        let mut history =
            story(&world, &mut dice, Shape { clients: 3, operations: 6, lost: 25, outages: false });
        if nth % 2 == 1 {
            spoil(&mut history, &mut dice);
        }
        let possible: Vec<&Operation> =
            history.iter().filter(|it| !matches!(it.told, Nothing)).collect();
        let want = some_order_fits(&world, &world.start, &possible);
        let found = check(&world, &history);
        assert_eq!(found.is_ok(), want, "history {nth}: {found:?}: {history:#?}");
        verdicts[usize::from(want)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 500), "{verdicts:?} of each verdict");
}

/// The parameters of a history of a correct store.
#[derive(Clone, Copy)]
struct Shape {
    clients: usize,
    operations: usize,
    /// How many of a hundred changes get no answer.
    lost: u64,
    /// Whether nearly all changes in every second stretch of 100 operations get no answer.
    outages: bool,
}

enum Happens {
    Asked { client: usize },
    TakesEffect { nth: usize },
}

/// Clients send requests that fit the coupon. A change takes effect between its invocation and its
/// answer. A lost one may also take effect after its client gave up, or never.
fn story(world: &World, dice: &mut Dice, shape: Shape) -> Vec<Operation> {
    let mut coupon = world.start.clone();
    let mut history: Vec<Operation> = Vec::new();
    // By instant. Of two at one instant the first that was added.
    let mut to_come = BTreeMap::new();
    for client in 0..shape.clients {
        to_come.insert((dice.below(20), client), Happens::Asked { client });
    }
    let mut entered = shape.clients;
    while let Some(((now, _), happens)) = to_come.pop_first() {
        let mut enter = |at: u64, happens: Happens| {
            to_come.insert((at, entered), happens);
            entered += 1;
        };
        match happens {
            Happens::TakesEffect { nth } => {
                let (told, after) = answer(world, &coupon, &history[nth].ask, dice);
                if !matches!(history[nth].told, Unknown) {
                    history[nth].told = told;
                }
                coupon = after;
            }
            Happens::Asked { .. } if history.len() == shape.operations => {}
            Happens::Asked { client } => {
                let nth = history.len();
                let is_outage = shape.outages && nth / 100 % 2 == 1;
                let lost = if is_outage { 95 } else { shape.lost };
                let ask = any_ask(&coupon, dice, nth);
                let is_lost = dice.below(100) < lost;
                let effect = now + 1 + dice.below(30);
                let returned = effect + 1 + dice.below(30);
                let told = if is_lost { Unknown } else { Nothing };
                let operation = Operation { client, ..op((now, returned), ask, told) };
                history.push(operation);
                enter(returned + 1 + dice.below(10), Happens::Asked { client });
                match (is_lost, dice.below(if is_outage { 10 } else { 3 })) {
                    (true, 0) => enter(effect, Happens::TakesEffect { nth }),
                    (true, 1) => enter(effect + 200, Happens::TakesEffect { nth }),
                    (true, _) => {}
                    (false, _) => enter(effect, Happens::TakesEffect { nth }),
                }
            }
        }
    }
    // The last read, at rest.
    let (told, _) = answer(world, &coupon, &Ask::Read, dice);
    history.push(op((1_000_000, 1_000_001), Ask::Read, told));
    history
}

fn any_ask(coupon: &Coupon, dice: &mut Dice, nth: usize) -> Ask {
    let fresh = format!("o{nth}");
    // Repeats the name of an earlier operation.
    let earlier = format!("o{}", nth.saturating_sub(1 + dice.below(6) as usize));
    let held = coupon.hold().map_or(earlier.clone(), |hold| hold.order.as_str().to_owned());
    let redeemed = coupon.redemption().map(|redemption| redemption.order.as_str().to_owned());
    if dice.below(4) == 0 {
        return Ask::Read;
    }
    match (coupon.state().as_str(), dice.below(12)) {
        ("available", 0..=6) => issue(if dice.below(2) == 0 { "ann" } else { "bob" }),
        ("redeemed", 0..=7) => cancel(&redeemed.unwrap_or(earlier)),
        (_, 0..=3) if coupon.hold().is_none() => hold(&fresh, 1 + dice.below(6) as u16),
        (_, 0..=3) => release(&held),
        (_, 4) => redeem(&held),
        (_, 5) => redeem(&fresh),
        (_, 6) => redeem(&earlier),
        (_, 7) => release(&earlier),
        (_, 8) => cancel(&earlier),
        (_, 9) => revoke(),
        (_, 10) => issue("ann"),
        _ => extend(1 + nth as u16),
    }
}

/// The answer of a correct store. Some of its answers show the coupon, as on the wire.
fn answer(world: &World, coupon: &Coupon, ask: &Ask, dice: &mut Dice) -> (Told, Coupon) {
    let unseen = op((0, 0), ask.clone(), Unknown);
    let after = match world.step(coupon, &unseen) {
        Some(Step::Becomes(after)) => Coupon::clone(&after),
        Some(Step::Stays) | None => coupon.clone(),
    };
    let facts = Facts::of(&after, world.at);
    let told = match (ask, world.would_tell(coupon, ask).as_str()) {
        (Ask::Read, _) => shown(200, facts),
        (Ask::Change(_), "accepted") if ask.tells_made_from_same() => {
            let coupon = (dice.below(2) == 0).then_some(Facts { events: None, ..facts });
            let problem = "".into();
            Told::Answer(Box::new(Answered { status: 201, problem, coupon, redemption: None }))
        }
        (Ask::Change(_), "accepted" | "replayed") => {
            let coupon = (dice.below(2) == 0).then_some(Facts { events: None, ..facts });
            let problem = "".into();
            Told::Answer(Box::new(Answered { status: 200, problem, coupon, redemption: None }))
        }
        (Ask::Change(_), problem) => refused(problem),
    };
    (told, after)
}

/// Changes one answer, or drops one operation.
fn spoil(history: &mut [Operation], dice: &mut Dice) {
    let nth = dice.below(history.len() as u64) as usize;
    let other = history[dice.below(history.len() as u64) as usize].told.clone();
    history[nth].told = match dice.below(4) {
        0 => Nothing,
        1 => told(if dice.below(2) == 0 { 200 } else { 201 }),
        2 => refused("HELD"),
        _ => other,
    };
}

/// Many clients, one coupon, lost answers: never more points than operations.
#[test]
fn long_histories() {
    let world = world();
    let mut dice = Dice(2);
    let calm = Shape { clients: 16, operations: 400, lost: 0, outages: false };
    let rows = [
        ("one client", Shape { clients: 1, ..calm }),
        ("16 clients", calm),
        ("64 clients", Shape { clients: 64, operations: 2_000, lost: 5, ..calm }),
        ("many lost", Shape { lost: 30, ..calm }),
        ("outages", Shape { clients: 64, operations: 800, outages: true, ..calm }),
        (
            "outages in a long history",
            Shape { clients: 64, operations: 3_000, outages: true, ..calm },
        ),
    ];
    for (name, shape) in rows {
        for round in 0..10 {
            let history = story(&world, &mut dice, shape);
            let points = check(&world, &history).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            assert!(points <= shape.operations, "{name}, {round}: {points} points");
        }
    }
}

#[test]
fn undecided_is_not_a_pass() {
    let world = world();
    let history = story(
        &world,
        &mut Dice(3),
        Shape { clients: 8, operations: 200, lost: 10, outages: false },
    );
    let points = check(&world, &history).expect("a correct store");
    assert_eq!(check_within(&world, &history, points), Ok(points), "at the limit");
    let found = check_within(&world, &history, points / 2);
    assert!(matches!(found, Err(Wrong::Undecided { .. })), "over the limit: {found:?}");
}
