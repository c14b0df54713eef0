use coupon::apply::{Action, Asker};

use super::*;
use crate::protocol::testing::{
    TestClaim, TestLocated, claim, code, coupon, held, issued, located, order, redeem, redeemed,
    request, said as decision_said, user, voided,
};

fn chosen(by: &str, text: &str, version: u64) -> Choice {
    Choice { order: order(by), code: code(text), version }
}

fn choices(all: Vec<Choice>) -> Choices {
    (0..).zip(all).collect()
}

/// A coupon that ann has redeemed for an order, in version 2.
fn spent(text: &str, by_order: &str) -> TestLocated {
    located(coupon(text, vec![issued("ann"), redeemed("ann", by_order)]))
}

/// A coupon that ann has, and that works no more.
fn void(text: &str) -> TestLocated {
    located(coupon(text, vec![issued("ann"), voided()]))
}

/// A step in words.
fn said(change: &Change, claim: &TestClaim, choices: &Choices) -> String {
    let ask = SharedAsk::of(change).unwrap();
    match shared_step(&ask, change, claim, choices, 0) {
        SharedStep::Decided(decision) => decision_said(&decision),
        SharedStep::Choose(slot, Choice { order, code, version }, decision) => {
            format!("{slot}: {order} {code} {version}, {}", decision_said(&decision))
        }
        SharedStep::Fence(located, after) => {
            assert_eq!(after.version(), located.coupon.version() + 1);
            assert_eq!(after.events(), located.coupon.events());
            format!("fence {}", after.code())
        }
        SharedStep::HandOut => "hand out".to_owned(),
    }
}

/// A name, the limit, the claim with the newest coupon first, its choices; the step for a redemption by
/// order 991. Held coupons have version 1.
type Row = (&'static str, u16, Vec<TestLocated>, Vec<Choice>, &'static str);

#[test]
fn steps() {
    let two = || vec![held("ANN2"), held("ANN1")];
    let rows: Vec<Row> = vec![
        ("the first try", 3, two(), vec![], "0: 991 ANN1 1, accepted ANN1"),
        // The limit may be raised, or a second coupon imported, before another try.
        ("with a limit of one", 1, vec![held("ANN1")], vec![], "0: 991 ANN1 1, accepted ANN1"),
        ("two with a limit of one", 1, two(), vec![], "0: 991 ANN1 1, accepted ANN1"),
        ("an open choice", 3, two(), vec![chosen("991", "ANN2", 1)], "accepted ANN2"),
        (
            "an open choice of another order",
            3,
            two(),
            vec![chosen("5", "ANN1", 1)],
            "1: 991 ANN1 1, accepted ANN1",
        ),
        (
            "a choice that is over",
            3,
            vec![held("ANN2"), spent("ANN1", "5")],
            vec![chosen("5", "ANN1", 1), chosen("991", "ANN1", 1)],
            "1: 991 ANN2 1, accepted ANN2",
        ),
        (
            "the slot of a choice that is over",
            3,
            vec![held("ANN2"), spent("ANN1", "5")],
            vec![chosen("6", "ANN2", 1), chosen("5", "ANN1", 1)],
            "1: 991 ANN2 1, accepted ANN2",
        ),
        (
            "the first try was applied",
            3,
            vec![held("ANN2"), spent("ANN1", "991")],
            vec![chosen("991", "ANN1", 1)],
            "replayed ANN1",
        ),
        (
            "the chosen one works no more",
            3,
            vec![void("ANN2"), held("ANN1")],
            vec![chosen("991", "ANN2", 2)],
            "fence ANN2",
        ),
        (
            "and nothing else is left",
            3,
            vec![void("ANN2")],
            vec![chosen("991", "ANN2", 2)],
            "fence ANN2",
        ),
        (
            "redeemed by its code beside the choice",
            3,
            vec![spent("ANN2", "991"), held("ANN1")],
            vec![chosen("991", "ANN1", 1)],
            "fence ANN1",
        ),
        ("none works", 3, vec![void("ANN2")], vec![], "hand out"),
        (
            "too many are open",
            3,
            two(),
            (0..CHOICES_MAX).map(|by| chosen(&format!("o{by}"), "ANN2", 1)).collect(),
            "fence ANN2",
        ),
    ];
    for (name, limit, coupons, all, want) in rows {
        let claim = claim(Some(limit), coupons);
        assert_eq!(said(&redeem("ann", "991"), &claim, &choices(all)), want, "{name}");
    }
}

#[test]
fn a_sealed_coupon_ends_its_choice() {
    let sealed = TestLocated { frozen: true, ..held("ANN2") };
    let claim = claim(Some(3), vec![sealed, held("ANN1")]);
    let all = choices(vec![chosen("991", "ANN2", 1)]);
    assert_eq!(said(&redeem("ann", "991"), &claim, &all), "0: 991 ANN1 1, accepted ANN1");
}

#[test]
fn a_cancellation_picks_nothing() {
    let action = Action::CancelRedemption { order: order("991"), reason: None };
    let cancel = Change { asker: Asker::User(user("ann")), ..request(action) };
    let claim = claim(Some(3), vec![spent("ANN2", "991"), held("ANN1")]);
    assert_eq!(said(&cancel, &claim, &Choices::new()), "accepted ANN2");
}
