//! Orders of two coupons, which belong to whoever shows them.

use super::*;

fn pays() -> Action {
    Action::Redeem { by: user("ann"), order: order("a"), money: Default::default() }
}

fn cancels() -> Action {
    Action::CancelRedemption { order: order("a"), reason: None }
}

fn releases() -> Action {
    Action::Release { order: order("a") }
}

/// The order of both coupons: the operations are `first` and the fourth after it.
fn both(
    first: u128,
    actions: [Action; 2],
    told: RecordedAnswer,
) -> (RecordedRequest, RecordedAnswer) {
    let [one, two] = actions;
    let changes =
        vec![(code("CODE1"), change(first, one)), (code("CODE2"), change(first + 4, two))];
    (RecordedRequest::Order { order: order("a"), changes }, told)
}

fn all(told: [RecordedAnswer; 2]) -> RecordedAnswer {
    let applied = told.into_iter().filter_map(|it| match it {
        RecordedAnswer::Applied(applied) => Some(*applied),
        _ => None,
    });
    RecordedAnswer::Order(applied.collect())
}

fn replayed(coupon: Coupon) -> RecordedAnswer {
    let snapshot = Some(snapshot(coupon));
    RecordedAnswer::Applied(Box::new(Applied { outcome: Outcome::Replayed, snapshot }))
}

fn held(name: &str, operation: u128) -> Coupon {
    let (at, operation) = (NOW.plus_ms(1), OperationId(operation));
    let hold =
        Hold { by: user("ann"), order: order("a"), operation, since: at, until: at.plus_ms(9) };
    Coupon::of(coupon(name, &[]).genesis().clone(), Vec::new(), Some(hold), 1, NOW)
}

#[test]
fn orders_of_several_coupons() {
    let one = || coupon("CODE1", &[(4, redeemed("ann", "a"))]);
    let two = || coupon("CODE2", &[(8, redeemed("ann", "a"))]);
    let bobs = || coupon("CODE2", &[(12, redeemed("bob", "b"))]);
    let back = || EventKind::RedemptionCancelled { order: order("a"), reason: None };
    let given = || coupon("CODE1", &[(4, redeemed("ann", "a")), (16, back())]);
    let (no_1, no_2) = (|| coupon("CODE1", &[]), || coupon("CODE2", &[]));
    let whole = || both(4, [pays(), pays()], all([accepted(one()), accepted(two())]));
    let bob = || (redeem(12, "CODE2", "bob", "b"), accepted(bobs()));
    let late = || {
        let told = all([accepted(one()), refused(Refusal::AlreadyRedeemed, Some(bobs()))]);
        both(4, [pays(), pays()], told)
    };
    let no_reason = || {
        let told = all([accepted(one()), refused(Refusal::Voided, Some(no_2()))]);
        both(4, [pays(), pays()], told)
    };
    let stopped = || both(4, [pays(), pays()], unknown());
    let gives_back =
        || both(16, [cancels(), releases()], all([accepted(given()), replayed(no_2())]));
    let rows: Vec<Row> = vec![
        ("whole", vec![whole()], vec![one(), two()], ""),
        ("accepted, and half", vec![whole()], vec![one(), no_2()], "CODE2: version 1 was there"),
        ("half of an unknown one", vec![stopped()], vec![one(), no_2()], ""),
        ("refused", vec![bob(), late()], vec![no_1(), bobs()], ""),
        (
            "refused, and half",
            vec![bob(), late()],
            vec![one(), bobs()],
            "told not to have happened",
        ),
        ("for no reason", vec![no_reason()], vec![no_1(), no_2()], "CODE2: refused with VOIDED"),
        ("refused, and held", vec![bob(), late()], vec![held("CODE1", 5), bobs()], "and holds it"),
        ("given back", vec![stopped(), gives_back()], vec![given(), no_2()], ""),
        (
            "and redeemed since",
            vec![stopped(), gives_back()],
            vec![given(), two()],
            "CODE2: a was given back",
        ),
    ];
    for (name, calls, coupons, want) in rows {
        let terms = KnownCampaign { bearer: true, ..KnownCampaign::of(&campaign(), 2) };
        must_find(
            name,
            &found_in(KnownCampaign { per_user_limit: 2, ..terms }, calls, coupons),
            want,
        );
    }
}
