//! The cost of one decision of the rules. A commit has thousands of them.

use std::hint::black_box;

use coupon::apply::{Action, Asker, Change, Outcome, apply};
use coupon::calendar::Zone;
use coupon::campaign::{Handout, Terms};
use coupon::coupon::{Coupon, EVENTS_OPEN_MAX, Genesis};
use coupon::ids::{Actor, OperationId, OrderRef, UserId};
use coupon::time::{DAY_MS, Millis};
use criterion::{Criterion, criterion_group, criterion_main};

const NOW: Millis = Millis(1_800_000_000_000);

const TERMS: Terms = Terms {
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

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a literal of this file")
}

fn change(action: Action) -> Change {
    Change {
        action,
        asker: Asker::Shop,
        actor: Actor::new("shop:checkout-7"),
        operation: OperationId(7),
        at: NOW,
        if_version: None,
    }
}

fn redeem(user: &str, order: &str) -> Change {
    change(Action::Redeem {
        by: parsed::<UserId>(user),
        order: parsed::<OrderRef>(order),
        money: Default::default(),
    })
}

fn after(coupon: &Coupon, change: &Change) -> Coupon {
    match apply(coupon, change, &TERMS) {
        Outcome::Accepted(coupon) => *coupon,
        other => unreachable!("{other:?}"),
    }
}

fn issued() -> Coupon {
    let untouched = Coupon::untouched(Genesis {
        code: parsed("7K2M9QXD4TRBH0VE"),
        campaign: parsed("spring"),
        batch: parsed("first"),
        valid_from: NOW.plus_ms(-DAY_MS),
        expires_at: NOW.plus_ms(DAY_MS),
        zone: Zone::utc(),
        created_at: NOW.plus_ms(-DAY_MS),
    });
    let issue =
        Action::Issue { to: parsed("ann"), reference: Some(parsed("r1")), expires_at: None };
    after(&untouched, &change(issue))
}

/// Redeemed and cancelled until only a cancel, a revoke and a void are accepted.
fn history_full() -> Coupon {
    let mut coupon = issued();
    for order in 0.. {
        if coupon.events().len() + 3 > EVENTS_OPEN_MAX {
            break;
        }
        let order = order.to_string();
        coupon = after(&coupon, &redeem("ann", &order));
        let cancel = Action::CancelRedemption { order: parsed(&order), reason: None };
        coupon = after(&coupon, &change(cancel));
    }
    coupon
}

fn rules(c: &mut Criterion) {
    let (fresh, history_full) = (issued(), history_full());
    let redeemed = after(&fresh, &redeem("ann", "991"));
    let cases = [
        ("redeem accepted", &fresh, redeem("ann", "991")),
        ("redeem accepted, long history", &history_full, redeem("ann", "991")),
        ("redeem replayed", &redeemed, redeem("ann", "991")),
        ("redeem refused", &redeemed, redeem("ann", "992")),
        ("a stranger refused", &fresh, redeem("bob", "992")),
    ];
    let mut group = c.benchmark_group("apply");
    for (name, coupon, change) in cases {
        group.bench_function(name, |b| {
            b.iter(|| apply(black_box(coupon), black_box(&change), &TERMS));
        });
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
