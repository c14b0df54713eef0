//! What holds after any sequence of changes.

use proptest::prelude::*;

use super::*;

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const ORDERS: [&str; 3] = ["991", "992", "993"];

/// One change, and how long after the one before it.
#[derive(Clone, Debug)]
struct Step {
    asks: Asks,
    asker: Option<&'static str>,
    waits: i64,
    paused: bool,
}

fn asks() -> impl Strategy<Value = (Asks, Option<&'static str>)> {
    let user = || prop::sample::select(&USERS[..]);
    let order = || prop::sample::select(&ORDERS[..]);
    let named = prop_oneof![
        3 => user().prop_map(|to| (Asks::Issue(to), to)),
        4 => (user(), order()).prop_map(|(by, order)| (Asks::Redeem(by, order), by)),
        3 => (user(), order(), 1..8 * DAY_MS)
            .prop_map(|(by, order, ms)| (Asks::Hold(by, order, ms), by)),
        2 => (user(), order()).prop_map(|(by, order)| (Asks::Release(order), by)),
        3 => (user(), order()).prop_map(|(by, order)| (Asks::Cancel(order), by)),
    ];
    let admins = prop_oneof![
        30 => user().prop_map(Asks::Revoke),
        1 => Just(Asks::Void),
        30 => (-1..4i64).prop_map(|days| Asks::Extend(days * DAY_MS)),
    ];
    prop_oneof![
        3 => (named, any::<bool>()).prop_map(|((asks, user), shop)| match shop {
            true => (asks, None),
            false => (asks, Some(user)),
        }),
        1 => admins.prop_map(|asks| (asks, None)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let waits = prop_oneof![Just(0), 1..2 * BOUND, 1..30 * MINUTE, 1..3 * DAY_MS,];
    (asks(), waits, prop::bool::weighted(0.1)).prop_map(|((asks, asker), waits, paused)| Step {
        asks,
        asker,
        waits,
        paused,
    })
}

/// `Hold` and `Extend` are generated relative to the moment and to the present expiry.
fn change(step: &Step, coupon: &Coupon, number: usize, at: i64) -> Change {
    let asks = match step.asks {
        Asks::Hold(by, order, ms) => Asks::Hold(by, order, at + ms),
        Asks::Extend(ms) => Asks::Extend(coupon.expires_at().0 + ms),
        asks => asks,
    };
    Change { at: Millis(at), operation: OperationId(number as u128), ..asks.by(step.asker) }
}

fn live_redemptions(coupon: &Coupon) -> i32 {
    coupon
        .events()
        .iter()
        .scan(0, |live, event| {
            *live += match event.kind {
                EventKind::Redeemed { .. } => 1,
                EventKind::RedemptionCancelled { .. } => -1,
                _ => 0,
            };
            Some(*live)
        })
        .inspect(|live| assert!((0..=1).contains(live), "{live} live redemptions"))
        .last()
        .unwrap_or(0)
}

fn folded(coupon: &Coupon) -> Coupon {
    Coupon::of(
        coupon.genesis().clone(),
        coupon.events().to_vec(),
        coupon.hold().cloned(),
        coupon.version(),
        coupon.modified_at(),
    )
}

/// What must be true of an accepted change.
fn accepted(before: &Coupon, after: &Coupon, change: &Change, terms: &Terms) {
    let changes_hold_only = matches!(change.action, Action::Hold { .. } | Action::Release { .. });
    let may_be_late = matches!(
        change.action,
        Action::CancelRedemption { .. } | Action::Revoke { .. } | Action::Void { .. }
    );
    assert_eq!(after.version(), before.version() + 1);
    assert!(is_appended(before, after, change, if changes_hold_only { 0 } else { 1 }));
    assert!(after.events().len() <= 32);
    assert!(after.events().len() <= 29 || may_be_late || changes_hold_only);
    assert_eq!(*after, folded(after));
    let live = live_redemptions(after);
    assert_eq!(live == 1, matches!(after.state(), State::Redeemed { .. }));
    if let Some(hold) = after.hold() {
        assert_eq!(live, 0);
        assert!(hold.until <= hold.since.plus_ms(7 * DAY_MS));
        assert!(hold.until <= after.expires_at().plus_ms(15 * MINUTE));
        assert!(after.events().len() < 29, "no place for the redeem that it promises");
    }
    let again = Change { operation: OperationId(u128::MAX), ..change.clone() };
    let is_replay = match change.action {
        // The user who gave it back has nothing to do with it any more.
        Action::CancelRedemption { .. } => after.holder().is_some() || change.asker == Asker::Shop,
        // Available again: there is nothing to revoke twice, and the second one hears so.
        Action::Revoke { .. } => false,
        _ => true,
    };
    if is_replay {
        assert_eq!(apply(after, &again, terms), Outcome::Replayed, "{:?}", change.action);
    }
}

fn run(start: usize, handout: Handout, steps: &[Step]) -> Coupon {
    let mut at = NOW;
    let expires_at = NOW + 5 * DAY_MS;
    let padding = (0..start).map(|_| event(NOW - 1, extended(expires_at))).collect();
    let mut coupon = coupon(genesis(NOW - DAY_MS, expires_at), padding, None);
    for (number, step) in steps.iter().enumerate() {
        at += step.waits;
        let terms =
            Terms { handout, paused: step.paused, cancel_days: 2, extend_days: 3, ..terms() };
        let change = change(step, &coupon, number, at);
        let before = coupon.clone();
        match apply(&coupon, &change, &terms) {
            Outcome::Accepted(after) => {
                accepted(&before, &after, &change, &terms);
                coupon = *after;
            }
            Outcome::Replayed | Outcome::Refused(_) => {}
        }
        assert_eq!(folded(&before), before, "what was handed in is as it was");
    }
    coupon
}

fn handout() -> impl Strategy<Value = Handout> {
    prop_oneof![Just(Handout::Bearer), Just(Handout::Shop)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_after_any_sequence(
        start in prop_oneof![2 => Just(0usize), 1 => 20..=29usize],
        handout in handout(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let coupon = run(start, handout, &steps);
        prop_assert!(live_redemptions(&coupon) <= 1);
    }

    /// Whoever took a hold in time redeems until it lapses, whatever others do meanwhile.
    #[test]
    fn a_hold_keeps_its_promise(
        steps in prop::collection::vec(step(), 0..12),
        start in 0..=29usize,
        later in 0..15 * MINUTE,
    ) {
        let terms = Terms { handout: Handout::Bearer, ..terms() };
        let padding = (0..start).map(|_| event(NOW - 1, extended(NOW + 1))).collect();
        let fresh = coupon(genesis(NOW - DAY_MS, NOW + 1), padding, None);
        let hold = Asks::Hold("ann", "gift", NOW + DAY_MS).by(None);
        let Outcome::Accepted(held) = apply(&fresh, &hold, &terms) else {
            prop_assert_eq!(start, 29);
            return Ok(());
        };
        let mut coupon = *held;
        for (number, step) in steps.iter().enumerate() {
            let change = change(step, &coupon, number, NOW);
            if let Outcome::Accepted(after) = apply(&coupon, &change, &terms) {
                coupon = *after;
            }
        }
        let redeem = Change { at: Millis(NOW + later), ..Asks::Redeem("ann", "gift").by(None) };
        let redeemed = apply(&coupon, &redeem, &Terms { paused: true, ..terms });
        prop_assert!(matches!(redeemed, Outcome::Accepted(_)), "{redeemed:?}");
    }
}

/// Sequences are only worth something if they get far.
#[test]
fn sequences_reach_every_state() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    let mut longest = 0;
    for start in [0, 27] {
        for handout in [Handout::Bearer, Handout::Shop] {
            for _ in 0..200 {
                let steps = prop::collection::vec(step(), 60).new_tree(&mut runner).unwrap();
                let coupon = run(start, handout, &steps.current());
                reached.insert(coupon.state().as_str());
                longest = longest.max(coupon.events().len());
            }
        }
    }
    assert_eq!(reached.len(), 4, "{reached:?}");
    assert!(longest >= 31, "{longest} events at most");
}
