//! What readers of the event feed have read.

use hot::feed::{CouponEventKind, CouponHappened, FeedEvent, Happened};
use router::Owner;
use uuid::Uuid;

use super::*;

/// An event of a version of CODE1, as a feed tells it.
fn told(version: u64, kind: CouponEventKind, to: &str) -> FeedEvent {
    let happened = CouponHappened {
        code: code("CODE1"),
        owner: Owner { campaign: campaign().id, batch: "first".parse().unwrap() },
        version,
        kind,
        user: Some(user(to)),
        reference: None,
        reason: None,
        until: None,
        worth: None,
    };
    FeedEvent {
        id: Uuid::from_u128(u128::from(version)),
        cursor: format!("after-{version}"),
        at: NOW.plus_ms(1),
        actor: Actor::new("shop:till"),
        happened: Happened::Coupon(happened),
        is_repeat: false,
    }
}

#[test]
fn each_change_once_and_in_order() {
    use CouponEventKind::{Held, Issued, Redeemed};
    let calls = || {
        vec![
            (issue(1, "ann"), accepted(c(&anns()))),
            (redeem(2, "CODE1", "ann", "a"), accepted(c(&paid()))),
        ]
    };
    let (one, two) = (told(1, Issued, "ann"), told(2, Redeemed, "ann"));
    let other = FeedEvent { actor: Actor::new("shop:another"), ..two.clone() };
    let rows = [
        ("both", vec![one.clone(), two.clone()], ""),
        ("one of them twice", vec![one.clone(), two.clone(), one.clone()], ""),
        ("none", vec![], "has the events"),
        ("the last is lost", vec![one.clone()], "has the events"),
        ("the first is lost", vec![two.clone()], "has the events"),
        ("in another order", vec![two.clone(), one.clone()], "has the events"),
        ("by somebody else", vec![one.clone(), other], "has the events"),
        ("of another user", vec![one.clone(), told(2, Redeemed, "bob")], "has the events"),
        ("of another version", vec![one.clone(), told(3, Redeemed, "ann")], "made the version"),
        ("a hold of nobody", vec![one.clone(), two, told(3, Held, "ann")], "has not happened"),
    ];
    for (name, events, want) in rows {
        let coupons = vec![c(&paid()), coupon("CODE2", &[])];
        let coupons: BTreeMap<Code, CouponSnapshot> =
            coupons.into_iter().map(|it| (it.code().clone(), snapshot(it))).collect();
        let known = KnownCampaign::of(&campaign(), 2);
        let known =
            KnownWorld { campaigns: [(campaign().id, known)].into(), ..KnownWorld::default() };
        let end = SeedEnd { coupons, feeds: vec![events], ..SeedEnd::default() };
        must_find(name, &check(&known, &made(calls()), &end), want);
    }
}

#[test]
fn an_import_tells_nothing_of_a_new_coupon() {
    let to_ann = ImportedState::Issued { holder: user("ann"), at: None };
    let line = ImportLine { imported_state: to_ann, ..line("CODE1") };
    let brought =
        c(&[(9, EventKind::Issued { to: user("ann"), reference: None, expires_at: None })]);
    let calls = vec![(import_of(line), imported(ImportOutcome::Imported))];
    let event = told(1, CouponEventKind::Issued, "ann");
    for (name, events) in [("nothing", vec![]), ("if it is a later line", vec![event])] {
        let coupons = [(code("CODE1"), snapshot(brought.clone()))].into();
        let known = KnownCampaign::of(&campaign(), 2);
        let known =
            KnownWorld { campaigns: [(campaign().id, known)].into(), ..KnownWorld::default() };
        let end = SeedEnd { coupons, feeds: vec![events], ..SeedEnd::default() };
        must_find(name, &check(&known, &made(calls.clone()), &end), "");
    }
}
