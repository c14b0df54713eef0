//! Who may be named, beside an erasure: bob is erased:0000000000000abc from instant 100 on.

use coupon::erasure::Erasure;

use super::super::erasures::{KnownErasure, violations};
use super::*;

const NAME: &str = "erased:0000000000000abc";

fn erasure() -> KnownErasure {
    KnownErasure {
        erasure: Erasure { number: 1, user: user("bob"), name: user(NAME) },
        began_ms: 100,
        found_ms: Some(200),
        admitting_ms: Some(300),
        admitted_ms: Some(400),
    }
}

/// A call from one instant to another, or to one that nobody knows.
fn call(
    (began_ms, ended_ms): (u64, u64),
    asked: RecordedRequest,
    told: RecordedAnswer,
) -> RecordedCall {
    RecordedCall { process: 0, began_ms, ended_ms: Some(ended_ms), clock: NOW, asked, told }
}

#[test]
fn names_beside_an_erasure() {
    let of = |name: &str| coupon("CODE1", &[(1, issued(name))]);
    let given = |span, told: &str| call(span, issue(1, "bob"), accepted(of(told)));
    let lost = |span| call(span, issue(1, "bob"), unknown());
    let refused = |nth: u64, asked| {
        call((10 * nth, 10 * nth + 5), asked, RecordedAnswer::NotDone("away".into()))
    };
    let used = |by: &str| coupon("CODE1", &[(1, issued(NAME)), (2, redeemed(by, "A-1"))]);
    let uses = |by: &str| call((20, 30), redeem(2, "CODE1", "bob", "A-1"), accepted(used(by)));
    let back = || coupon("CODE1", &[(1, issued(NAME)), (2, revoked(NAME))]);
    let backs = call((500, 510), revoke(2, "CODE1", NAME), accepted(back()));
    let anns = || coupon("CODE1", &[(1, issued("ann"))]);
    let cases = [
        ("erased", vec![given((10, 20), "bob")], of(NAME), ""),
        ("not erased", vec![given((10, 20), "bob")], of("bob"), "began after the call had ended"),
        ("the outcome is unknown", vec![lost((10, 20))], of("bob"), ""),
        ("at the same time, before", vec![given((90, 110), "bob")], of(NAME), ""),
        ("at the same time, after", vec![given((90, 410), "bob")], of("bob"), ""),
        ("the next person", vec![given((410, 420), "bob")], of("bob"), ""),
        ("taken along", vec![given((410, 420), "bob")], of(NAME), "was over before the call"),
        ("before the block", vec![given((199, 250), "bob")], of("bob"), ""),
        ("within the block", vec![given((210, 250), "bob")], of("bob"), "blocked the name"),
        ("behind the block", vec![given((210, 301), "bob")], of("bob"), ""),
        ("begun, and finished by another call", vec![refused(1, issue(1, "bob"))], of(NAME), ""),
        (
            "refused, and done",
            vec![lost((10, 20)), refused(3, redeem(2, "CODE1", "bob", "A-1"))],
            used(NAME),
            "redeemed is of a call that was told that it did nothing",
        ),
        ("of nobody", vec![], of("bob"), "no call and no line"),
        ("of another one", vec![given((10, 20), "bob")], of("ann"), "the call was of"),
        ("a history", vec![lost((10, 20)), uses("bob")], used(NAME), ""),
        ("half of it", vec![lost((10, 20)), uses("bob")], used("bob"), "redeemed names bob"),
        ("a shop's revoke", vec![lost((10, 20)), backs], back(), ""),
        ("a history that is gone", vec![given((10, 20), "bob")], coupon("CODE1", &[]), "and is"),
        ("somebody else", vec![call((10, 20), issue(1, "ann"), accepted(anns()))], anns(), ""),
    ];
    let known = KnownCampaign::of(&campaign(), 2);
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..Default::default() };
    for (name, calls, at_the_end, want) in cases {
        let coupons = [(code("CODE1"), snapshot(at_the_end))].into();
        let found = violations(&known, &[erasure()], &calls, &coupons);
        let is_found = found.iter().any(|what| what.contains(want));
        assert!(if want.is_empty() { found.is_empty() } else { is_found }, "{name}: {found:?}");
    }
}

#[test]
fn a_limit_is_of_each_name() {
    let known = KnownCampaign::of(&campaign(), 4);
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..Default::default() };
    for (name, first, second, want) in [
        ("the next person has one, too", NAME, "bob", 0),
        ("an erased person has two", NAME, NAME, 1),
        ("the next person has two", "bob", "bob", 1),
    ] {
        let calls = [1, 2].map(|it| call((10, 20), issue(it, "bob"), unknown()));
        let coupons = [("CODE1", 1, first), ("CODE2", 2, second)]
            .map(|(name, by, to)| (code(name), snapshot(coupon(name, &[(by, issued(to))]))));
        let found = violations(&known, &[erasure()], &calls, &coupons.into());
        assert_eq!(found.len(), want, "{name}: {found:?}");
    }
}

#[test]
fn what_was_replaced_counts_no_more() {
    let known = KnownCampaign::of(&campaign(), 4);
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..Default::default() };
    for (name, reference, want) in
        [("replaced", "replaces:code1", 0), ("another name", "for-bob", 1)]
    {
        let reference = reference.parse().ok();
        let instead = EventKind::Issued { to: user("bob"), reference, expires_at: None };
        let calls = [1, 2, 4].map(|it| call((500, 510), issue(it, "bob"), unknown()));
        // A shop takes the other one back, and gives it to bob under another name.
        let later = [(2, instead), (3, revoked("bob")), (4, issued("bob"))];
        let back = call((500, 510), revoke(3, "CODE2", "bob"), unknown());
        let calls: Vec<RecordedCall> = calls.into_iter().chain([back]).collect();
        let coupons =
            [("CODE1", coupon("CODE1", &[(1, issued("bob"))])), ("CODE2", coupon("CODE2", &later))];
        let coupons = coupons.map(|(name, it)| (code(name), snapshot(it))).into();
        let found = violations(&known, &[erasure()], &calls, &coupons);
        assert_eq!(found.len(), want, "{name}: {found:?}");
    }
}

#[test]
fn a_line_after_a_change_of_a_shop_may_bring_one_more() {
    let known = KnownCampaign::of(&campaign(), 4);
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..Default::default() };
    let extended = EventKind::Extended { expires_at: EXPIRES, zone: Zone::utc(), reason: None };
    for (name, actor, want) in [("a line", "admin:import", 0), ("a shop", "shop:till", 1)] {
        let first = coupon("CODE1", &[(7, extended.clone()), (9, issued("bob"))]);
        let mut events = first.events().to_vec();
        events[1].actor = Actor::new(actor);
        let first = Coupon::of(first.genesis().clone(), events, None, first.version(), NOW);
        let state = ImportedState::Issued { holder: user("bob"), at: None };
        let line = ImportLine { imported_state: state, ..line("CODE1") };
        let asked = [import_of(line), issue(2, "bob")];
        let calls = asked.map(|asked| call((500, 510), asked, unknown()));
        let second = coupon("CODE2", &[(2, issued("bob"))]);
        let coupons = [("CODE1", first), ("CODE2", second)];
        let coupons = coupons.map(|(name, it)| (code(name), snapshot(it))).into();
        let found = violations(&known, &[erasure()], &calls, &coupons);
        assert_eq!(found.len(), want, "{name}: {found:?}");
    }
}
