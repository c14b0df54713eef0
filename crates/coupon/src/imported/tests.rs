//! Lines of an import over coupons of every kind.

use super::*;
use crate::apply::{Action, Asker, Change, Outcome, apply};
use crate::calendar::Zone;
use crate::campaign::{Handout, Terms};

const NOW: i64 = 1_795_176_000_000;

fn genesis() -> Genesis {
    Genesis {
        code: "SUMMER2026".parse().unwrap(),
        campaign: "summer".parse().unwrap(),
        batch: "old".parse().unwrap(),
        valid_from: Millis(NOW - 1_000),
        expires_at: Millis(NOW + 1_000_000),
        zone: Zone::utc(),
        created_at: Millis(NOW - 500),
    }
}

fn run(at: i64) -> ImportRun {
    ImportRun { actor: Actor::new("admin:import"), operation: OperationId(7), at: Millis(at) }
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn issued(to: &str) -> ImportedState {
    ImportedState::Issued { holder: user(to), at: Some(Millis(NOW - 300)) }
}

fn void_of(holder: &str) -> ImportedState {
    ImportedState::Void { holder: Some(user(holder)), issued_at: Some(Millis(NOW - 300)) }
}

fn redeemed(by: Option<&str>, order: Option<&str>) -> ImportedState {
    ImportedState::Redeemed {
        holder: by.map(user),
        issued_at: None,
        at: Millis(NOW - 200),
        order: order.map(|order| order.parse().unwrap()),
        worth: None,
    }
}

/// `coupon` after what happened here since it was imported.
fn after(coupon: Coupon, kinds: &[Action]) -> Coupon {
    let terms = Terms {
        handout: Handout::Bearer,
        paused: false,
        issue_from: None,
        issue_until: None,
        cancel_days: 30,
        extend_days: 30,
        clock_bound_ms: 0,
        currency: None,
        benefit: None,
    };
    kinds.iter().fold(coupon, |coupon, action| {
        let change = Change {
            action: action.clone(),
            asker: Asker::Shop,
            actor: Actor::new("shop:till"),
            operation: OperationId(3),
            at: Millis(NOW),
            if_version: None,
        };
        match apply(&coupon, &change, &terms) {
            Outcome::Accepted(after) => *after,
            other => panic!("{action:?}: {other:?}"),
        }
    })
}

fn issue(to: &str) -> Action {
    Action::Issue { to: user(to), reference: None, expires_at: None }
}

fn redeem(by: &str, order: &str) -> Action {
    Action::Redeem { by: user(by), order: order.parse().unwrap(), money: Default::default() }
}

fn hold(by: &str) -> Action {
    Action::Hold {
        by: user(by),
        order: "991".parse().unwrap(),
        until: Millis(NOW + 10),
        money: Default::default(),
    }
}

fn cancel(order: &str) -> Action {
    Action::CancelRedemption { order: order.parse().unwrap(), reason: None }
}

fn revoke(from: &str) -> Action {
    Action::Revoke { user: user(from), reference: None, reason: None }
}

fn void() -> Action {
    Action::Void { reason: None }
}

/// `kind at who-or-order` of each event, and who has the coupon.
fn story(coupon: &Coupon) -> String {
    let told = coupon.events().iter().map(|event| {
        let whose = match &event.kind {
            EventKind::Issued { to, .. } => to.as_str().to_owned(),
            EventKind::Redeemed { by, order, .. } => {
                format!("{} {order}", by.as_ref().map_or("-", UserId::as_str))
            }
            _ => String::new(),
        };
        format!("{} {} {whose}", event.kind.as_str(), event.at.0 - NOW).trim_end().to_owned()
    });
    told.collect::<Vec<_>>().join(", ")
}

/// What is written in the table below for an outcome.
fn outcome(advance: &Advance) -> String {
    match advance {
        Advance::AlreadyThere => "already there".into(),
        Advance::Contradicts(refusal) => refusal.as_str().into(),
        Advance::Forward(coupon) => story(coupon),
    }
}

#[test]
fn a_new_code_arrives_as_the_line_says() {
    let full = ImportedState::Redeemed {
        holder: Some(user("ann")),
        issued_at: Some(Millis(NOW - 300)),
        at: Millis(NOW - 200),
        order: Some("991".parse().unwrap()),
        worth: None,
    };
    let undated = ImportedState::Issued { holder: user("ann"), at: None };
    let cases = [
        ("available", ImportedState::Available, "available", ""),
        ("issued", issued("ann"), "issued", "issued -300 ann"),
        ("issued, no day given", undated, "issued", "issued 0 ann"),
        ("redeemed", full, "redeemed", "issued -300 ann, redeemed -200 ann 991"),
        (
            "redeemed, no issue given",
            redeemed(Some("ann"), Some("991")),
            "redeemed",
            "issued -200 ann, redeemed -200 ann 991",
        ),
        (
            "redeemed, nobody and no order given",
            redeemed(None, None),
            "redeemed",
            "redeemed -200 - import:SUMMER2026",
        ),
        ("void", ImportedState::VOID, "void", "voided 0"),
        ("void, and whose it was", void_of("ann"), "void", "issued -300 ann, voided 0"),
    ];
    for (name, line, state, want) in cases {
        let coupon = arrive(genesis(), &line, &run(NOW));
        assert_eq!(coupon.state().as_str(), state, "{name}");
        assert_eq!(story(&coupon), want, "{name}");
        assert_eq!(coupon.version(), 1, "{name}");
        assert_eq!(coupon.modified_at(), Millis(NOW), "{name}");
        assert_eq!(coupon.holder(), line.holder(), "{name}");
        let run = run(NOW);
        assert!(
            coupon.events().iter().all(|e| e.actor == run.actor && e.operation == run.operation),
            "{name}"
        );
        assert_eq!(advance(&coupon, &line, &line, &run), Advance::AlreadyThere, "{name}, again");
    }
}

/// Which line follows which, with nothing happening between them.
#[test]
fn lines_move_a_coupon_only_forward() {
    let ann = || issued("ann");
    let spent = || redeemed(Some("ann"), Some("991"));
    let rounded = ImportedState::Issued { holder: user("ann"), at: None };
    let rounded_spent = ImportedState::Redeemed {
        holder: Some(user("ann")),
        issued_at: Some(Millis(0)),
        at: Millis(1),
        order: Some("991".parse().unwrap()),
        worth: None,
    };
    let cases = [
        ("available, issued", ImportedState::Available, ann(), "issued -300 ann"),
        (
            "available, redeemed",
            ImportedState::Available,
            spent(),
            "issued -200 ann, redeemed -200 ann 991",
        ),
        ("available, void", ImportedState::Available, ImportedState::VOID, "voided 0"),
        ("issued, redeemed", ann(), spent(), "issued -300 ann, redeemed -200 ann 991"),
        (
            "issued, redeemed by nobody named",
            ann(),
            redeemed(None, None),
            "issued -300 ann, redeemed -200 ann import:SUMMER2026",
        ),
        ("issued, void", ann(), ImportedState::VOID, "issued -300 ann, voided 0"),
        ("issued, void with its holder", ann(), void_of("ann"), "issued -300 ann, voided 0"),
        ("issued, void with another", ann(), void_of("bob"), "ALREADY_ISSUED"),
        ("void, and whose it was", ImportedState::VOID, void_of("ann"), "already there"),
        ("void, and no longer whose", void_of("ann"), ImportedState::VOID, "already there"),
        ("void, and another's", void_of("ann"), void_of("bob"), "VOIDED"),
        ("an older file: available", ann(), ImportedState::Available, "already there"),
        ("an older file: issued", spent(), ann(), "already there"),
        ("an older file: issued to another", spent(), issued("bob"), "already there"),
        ("an older file over void", ImportedState::VOID, ann(), "already there"),
        ("another time of issue", ann(), rounded, "already there"),
        ("another time of redemption", spent(), rounded_spent, "already there"),
        ("another holder", ann(), issued("bob"), "ALREADY_ISSUED"),
        ("redeemed by another", ann(), redeemed(Some("bob"), None), "ALREADY_ISSUED"),
        ("another order", spent(), redeemed(Some("ann"), Some("992")), "ALREADY_REDEEMED"),
        ("another redeemer", spent(), redeemed(Some("bob"), Some("991")), "ALREADY_REDEEMED"),
        ("void, after redeemed", spent(), ImportedState::VOID, "ALREADY_REDEEMED"),
        ("redeemed, after void", ImportedState::VOID, spent(), "VOIDED"),
    ];
    for (name, was, line, want) in cases {
        let coupon = arrive(genesis(), &was, &run(NOW));
        let found = advance(&coupon, &was, &line, &run(NOW));
        assert_eq!(outcome(&found), want, "{name}");
        if let Advance::Forward(next) = found {
            assert_eq!(next.version(), coupon.version() + 1, "{name}");
            let again = advance(&next, &line, &line, &run(NOW));
            assert_eq!(again, Advance::AlreadyThere, "{name}, again");
            let older = advance(&next, &line, &was, &run(NOW));
            assert_eq!(older, Advance::AlreadyThere, "{name}, then the older file");
        }
    }
}

/// What happened here since, to a coupon that was imported as available.
#[test]
fn a_line_meets_what_happened_here() {
    let ann = || issued("ann");
    let spent = || redeemed(Some("ann"), Some("991"));
    let nobody = || redeemed(None, Some("991"));
    let gone = || vec![issue("ann"), redeem("ann", "991"), cancel("991")];
    let to_bob = || [gone(), vec![revoke("ann"), issue("bob")]].concat();
    let dead = || [gone(), vec![void()]].concat();
    let cases = [
        ("issued to ann by itself", vec![issue("ann")], ann(), "already there"),
        ("issued and redeemed by itself", vec![redeem("ann", "991")], ann(), "already there"),
        ("redeemed by itself", vec![redeem("ann", "991")], spent(), "already there"),
        ("redeemed by itself, nobody named", vec![redeem("ann", "991")], nobody(), "already there"),
        ("void by itself", vec![void()], ImportedState::VOID, "already there"),
        ("cancelled since", gone(), spent(), "already there"),
        ("cancelled, and somebody else's since", to_bob(), spent(), "already there"),
        ("cancelled, and void since", dead(), spent(), "already there"),
        ("issued to another", vec![issue("bob")], ann(), "ALREADY_ISSUED"),
        ("redeemed there, issued here to another", vec![issue("bob")], spent(), "ALREADY_ISSUED"),
        ("redeemed by another", vec![redeem("bob", "991")], ann(), "ALREADY_REDEEMED"),
        ("another's order of that name", vec![redeem("bob", "991")], spent(), "ALREADY_REDEEMED"),
        ("redeemed by another order", vec![redeem("ann", "992")], spent(), "ALREADY_REDEEMED"),
        (
            "redeemed by an order, the line names none",
            vec![redeem("ann", "992")],
            redeemed(None, None),
            "ALREADY_REDEEMED",
        ),
        (
            "redeemed here, void there",
            vec![redeem("ann", "991")],
            ImportedState::VOID,
            "ALREADY_REDEEMED",
        ),
        (
            "another's order of that name was cancelled",
            vec![redeem("bob", "991"), cancel("991")],
            spent(),
            "REDEMPTION_CANCELLED",
        ),
        ("void here, issued there", vec![void()], ann(), "VOIDED"),
        ("void here, redeemed there", vec![void()], spent(), "VOIDED"),
        ("held for another", vec![hold("bob")], ann(), "HELD"),
        ("held for another, redeemed there", vec![hold("bob")], spent(), "HELD"),
        ("held, void there", vec![hold("ann")], ImportedState::VOID, "HELD"),
        ("held for ann, hers and void there", vec![hold("ann")], void_of("ann"), "HELD"),
        ("held for ann, redeemed there by nobody named", vec![hold("ann")], nobody(), "HELD"),
        ("held for ann", vec![hold("ann")], ann(), "issued -300 ann"),
        (
            "held for ann, redeemed there",
            vec![hold("ann")],
            spent(),
            "issued -200 ann, redeemed -200 ann 991",
        ),
        (
            "issued to ann here, redeemed there",
            vec![issue("ann")],
            spent(),
            "issued 0 ann, redeemed -200 ann 991",
        ),
        (
            "issued to ann here, redeemed there by nobody named",
            vec![issue("ann")],
            nobody(),
            "issued 0 ann, redeemed -200 ann 991",
        ),
        (
            "issued here, void there",
            vec![issue("bob")],
            ImportedState::VOID,
            "issued 0 bob, voided 0",
        ),
        (
            "revoked here, issued there to another",
            vec![issue("bob"), revoke("bob")],
            ann(),
            "issued 0 bob, revoked 0, issued -300 ann",
        ),
    ];
    for (name, here, line, want) in cases {
        let coupon = after(arrive(genesis(), &ImportedState::Available, &run(NOW)), &here);
        let found = advance(&coupon, &ImportedState::Available, &line, &run(NOW));
        assert_eq!(outcome(&found), want, "{name}");
        let older =
            advance(&coupon, &ImportedState::Available, &ImportedState::Available, &run(NOW));
        assert_eq!(older, Advance::AlreadyThere, "{name}: the first file again");
        if let Advance::Forward(next) = found {
            assert_eq!(next.version(), coupon.version() + 1, "{name}");
            assert_eq!(next.modified_at(), Millis(NOW), "{name}");
        }
    }
}

#[test]
fn a_hold_that_a_line_meets() {
    let available = ImportedState::Available;
    let held = after(arrive(genesis(), &available, &run(NOW)), &[hold("ann")]);
    let until = Millis(NOW + 10);
    let cases = [
        ("its last millisecond", NOW + 9, issued("bob"), Err(Refusal::Held { until })),
        ("it has lapsed", NOW + 10, issued("bob"), Ok(None)),
        ("it runs on in the wallet of ann", NOW + 9, issued("ann"), Ok(held.hold())),
        ("one that has lapsed does not", NOW + 10, issued("ann"), Ok(None)),
        ("it ends with the redemption", NOW + 9, redeemed(Some("ann"), Some("991")), Ok(None)),
    ];
    for (name, at, line, want) in cases {
        match (advance(&held, &available, &line, &run(at)), want) {
            (Advance::Forward(next), Ok(hold)) => assert_eq!(next.hold(), hold, "{name}"),
            (found, want) => {
                assert_eq!(Err(found), want.map(|_| ()).map_err(Advance::Contradicts), "{name}");
            }
        }
    }
}

#[test]
fn a_line_stays_below_the_thirtieth_event() {
    let extended = |_| Event {
        at: Millis(NOW),
        actor: Actor::new("admin:ops"),
        operation: OperationId(1),
        kind: EventKind::Extended {
            expires_at: genesis().expires_at,
            zone: Zone::utc(),
            reason: None,
        },
    };
    let spent = redeemed(Some("ann"), Some("991"));
    let cases = [
        ("one event makes the 29th", 28, false, issued("ann"), true),
        ("one makes no 30th", 29, false, issued("ann"), false),
        ("two make the 29th", 27, false, spent.clone(), true),
        ("two make no 30th", 28, false, spent, false),
        ("a void line is a line", 29, false, ImportedState::VOID, false),
        ("with a place for the redeem of the hold", 27, true, issued("ann"), true),
        ("without one", 28, true, issued("ann"), false),
    ];
    for (name, events, is_held, line, fits) in cases {
        let hold = is_held.then(|| {
            let held =
                after(arrive(genesis(), &ImportedState::Available, &run(NOW)), &[hold("ann")]);
            held.hold().unwrap().clone()
        });
        let events = (0..events).map(extended).collect();
        let coupon = Coupon::of(genesis(), events, hold, 30, Millis(NOW));
        match advance(&coupon, &ImportedState::Available, &line, &run(NOW)) {
            Advance::Forward(_) => assert!(fits, "{name}"),
            other => {
                assert!(!fits, "{name}: {other:?}");
                assert_eq!(other, Advance::Contradicts(Refusal::HistoryFull), "{name}");
            }
        }
    }
}
