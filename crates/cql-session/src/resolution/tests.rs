//! Decides from a row whether a timed-out conditional update was applied.

use coupon::apply::{Action, Asker, Change, Outcome, apply};
use coupon::calendar::Zone;
use coupon::campaign::{Handout, Terms};
use coupon::coupon::Genesis;
use coupon::ids::Actor;
use coupon::time::{DAY_MS, Millis};

use super::*;

const NOW: Millis = Millis(1_795_176_000_000);

/// The id of our change, and that of another.
const OURS: OperationId = OperationId(1);
const OTHERS: OperationId = OperationId(2);

fn untouched() -> Coupon {
    Coupon::untouched(Genesis {
        code: "SUMMER2026".parse().unwrap(),
        campaign: "summer".parse().unwrap(),
        batch: "first".parse().unwrap(),
        valid_from: NOW,
        expires_at: Millis(NOW.0 + 100 * DAY_MS),
        zone: Zone::utc(),
        created_at: NOW,
    })
}

fn terms() -> Terms {
    Terms {
        handout: Handout::Shop,
        paused: false,
        issue_from: None,
        issue_until: None,
        cancel_days: 30,
        extend_days: 30,
        clock_bound_ms: 0,
        currency: None,
        benefit: None,
    }
}

/// `coupon` after accepted changes, each under its id.
fn after(coupon: &Coupon, changes: &[(OperationId, Action)]) -> Coupon {
    let terms = terms();
    changes.iter().fold(coupon.clone(), |coupon, (operation, action)| {
        let change = Change {
            action: action.clone(),
            asker: Asker::Shop,
            actor: Actor::new("shop:till"),
            operation: *operation,
            at: NOW,
            if_version: None,
        };
        match apply(&coupon, &change, &terms) {
            Outcome::Accepted(after) => *after,
            other => panic!("{action:?}: {other:?}"),
        }
    })
}

fn issue() -> Action {
    Action::Issue { to: "ann".parse().unwrap(), reference: None, expires_at: None }
}

fn redeem(order: &str) -> Action {
    Action::Redeem {
        by: "ann".parse().unwrap(),
        order: order.parse().unwrap(),
        money: Default::default(),
    }
}

fn hold(order: &str) -> Action {
    let (by, order) = ("ann".parse().unwrap(), order.parse().unwrap());
    Action::Hold { by, order, until: Millis(NOW.0 + DAY_MS), money: Default::default() }
}

fn cancel(order: &str) -> Action {
    Action::CancelRedemption { order: order.parse().unwrap(), reason: None }
}

fn release(order: &str) -> Action {
    Action::Release { order: order.parse().unwrap() }
}

fn extend() -> Action {
    let expires_at = Millis(NOW.0 + 100 * DAY_MS + 1);
    Action::Extend { expires_at, zone: Zone::utc(), reason: None }
}

#[test]
fn what_became_of_it() {
    use WriteResolution::{Applied, Hidden, Open, Refused};

    let issued = || (OURS, issue());
    // Under a shared word: issued and used in one write.
    let used: &[_] = &[issued(), (OURS, redeem("a"))];
    let held: &[_] = &[issued(), (OURS, hold("a"))];
    type Row<'a> =
        (&'a str, &'a [(OperationId, Action)], Vec<(OperationId, Action)>, WriteResolution);
    let rows: [Row<'_>; 13] = [
        ("nothing yet", used, vec![], Open),
        ("it stands", used, used.to_vec(), Applied),
        ("and more has happened", used, [used, &[(OTHERS, cancel("a"))]].concat(), Applied),
        ("its issue was finished by another", used, vec![issued()], Refused),
        ("which was used for another order", used, vec![issued(), (OTHERS, redeem("b"))], Refused),
        ("and extended", used, vec![issued(), (OTHERS, extend())], Refused),
        ("somebody else has it", used, vec![(OTHERS, issue())], Refused),
        ("an issue that another has finished", &[issued()], vec![issued()], Applied),
        ("it is held", held, held.to_vec(), Applied),
        ("issued by another, and not held", held, vec![issued()], Refused),
        ("issued by another, and held by him", held, vec![issued(), (OTHERS, hold("b"))], Refused),
        (
            "held by another one version later",
            held,
            vec![issued(), (OTHERS, extend()), (OTHERS, hold("b"))],
            Hidden,
        ),
        (
            "held and released, or never held",
            held,
            [held, &[(OTHERS, release("a"))]].concat(),
            Hidden,
        ),
    ];
    let before = untouched();
    for (name, ours, story, want) in rows {
        let seen = story.last().map(|(last, _)| CouponRow::of(&after(&before, &story), *last));
        let found = resolved(seen.as_ref(), OURS, &before, &after(&before, ours));
        assert_eq!(found, want, "{name}");
    }
}

#[test]
fn finished_by_another_at_another_time_or_for_another_caller() {
    let (before, terms) = (untouched(), terms());
    let by = |at: Millis, actor: &str| {
        let actor = Actor::new(actor);
        let (asker, operation, if_version) = (Asker::Shop, OURS, None);
        let change = Change { action: issue(), asker, actor, operation, at, if_version };
        match apply(&before, &change, &terms) {
            Outcome::Accepted(after) => *after,
            other => panic!("{other:?}"),
        }
    };
    let ours = by(NOW, "shop:till");
    let (anns, erased) = (by(NOW, "user:ann"), by(NOW, "user:erased:0000000000000abc"));
    let seen = CouponRow::of(&erased, OURS);
    assert_eq!(resolved(Some(&seen), OURS, &before, &anns), WriteResolution::Applied);
    let rows = [
        ("ours", NOW, "shop:till", WriteResolution::Applied),
        ("a moment later", NOW.plus_ms(1), "shop:till", WriteResolution::Refused),
        ("by another actor", NOW, "user:ann", WriteResolution::Refused),
    ];
    for (name, at, actor, want) in rows {
        let seen = CouponRow::of(&by(at, actor), OURS);
        assert_eq!(resolved(Some(&seen), OURS, &before, &ours), want, "{name}");
    }
}
