use coupon::coupon::Hold;
use coupon::ids::OperationId;

use super::*;
use crate::protocol::ClaimEnd;
use crate::protocol::testing::{
    NOW, TestClaim, TestLocated, claim, claim_end, claim_ending, coupon, held, issued, located,
    order, redeem, redeemed, request, said, user, voided,
};

/// A coupon that ann has redeemed for an order.
fn spent(text: &str, by_order: &str) -> TestLocated {
    located(coupon(text, vec![issued("ann"), redeemed("ann", by_order)]))
}

/// A coupon that ann holds for order 991.
fn reserved(text: &str) -> TestLocated {
    let before = coupon(text, vec![issued("ann")]);
    let hold = Hold {
        by: user("ann"),
        order: order("991"),
        operation: OperationId(1),
        since: NOW,
        until: NOW.plus_ms(60_000),
    };
    let (version, at) = (before.version(), before.modified_at());
    let (genesis, events) = (before.genesis().clone(), before.events().to_vec());
    located(Coupon::of(genesis, events, Some(hold), version, at))
}

/// Ann cancels what order 991 has redeemed.
fn cancel() -> Change {
    let action = Action::CancelRedemption { order: order("991"), reason: None };
    Change { asker: Asker::User(user("ann")), ..request(action) }
}

#[test]
fn answers() {
    let pay = || redeem("ann", "991");
    let void = || located(coupon("VOID", vec![issued("ann"), voided()]));
    let unfinished = ClaimEnd { unfinished: Some(Refusal::Paused), ..claim_end(Some(1)) };
    let three = || vec![spent("ANN3", "3"), spent("ANN2", "2"), spent("ANN1", "1")];
    // A name, the change, the claim with the newest coupon first, and the answer.
    let rows: Vec<(&str, Change, TestClaim, Option<&str>)> = vec![
        (
            "the order has redeemed one",
            pay(),
            claim(Some(3), vec![held("ANN2"), spent("ANN1", "991")]),
            Some("replayed ANN1"),
        ),
        (
            "the order holds one",
            pay(),
            claim(Some(3), vec![reserved("ANN2"), held("ANN1")]),
            Some("accepted ANN2"),
        ),
        (
            "the oldest that works",
            pay(),
            claim(Some(3), vec![held("ANN2"), held("ANN1"), void()]),
            Some("accepted ANN1"),
        ),
        ("none yet", pay(), claim(Some(1), vec![]), None),
        ("none works, and there is room", pay(), claim(Some(2), vec![spent("ANN1", "1")]), None),
        (
            "full of one",
            pay(),
            claim(Some(1), vec![spent("ANN1", "1")]),
            Some("refused ALREADY_REDEEMED ANN1"),
        ),
        ("full of three", pay(), claim(Some(3), three()), Some("refused LIMIT_PER_USER")),
        (
            "an entry that cannot be finished",
            pay(),
            claim_ending(unfinished, vec![]),
            Some("refused PAUSED"),
        ),
        (
            "the redemption of the order is cancelled",
            cancel(),
            claim(Some(3), vec![held("ANN2"), spent("ANN1", "991")]),
            Some("accepted ANN1"),
        ),
        (
            "the order has none: the newest",
            cancel(),
            claim(Some(3), vec![held("ANN2"), held("ANN1")]),
            Some("refused NOT_REDEEMED ANN2"),
        ),
        ("nothing to cancel", cancel(), claim(Some(3), vec![]), Some("refused NOT_FOUND")),
    ];
    for (name, change, claim, want) in rows {
        let ask = SharedAsk::of(&change).unwrap();
        let decision = shared(&ask, &change, &claim, 0);
        assert_eq!(decision.as_ref().map(said).as_deref(), want, "{name}");
    }
}

#[test]
fn whose_coupon() {
    let release = request(Action::Release { order: order("991") });
    let by_ann = Change { asker: Asker::User(user("ann")), ..release.clone() };
    let cases = [
        ("a redeem takes a new one", redeem("ann", "991"), Some(true)),
        ("a user's release does not", by_ann, Some(false)),
        ("a shop's release names no user", release, None),
        ("a void names no order", request(Action::Void { reason: None }), None),
    ];
    for (name, change, want) in cases {
        let takes_new = SharedAsk::of(&change).map(|ask| ask.issue.is_some());
        assert_eq!(takes_new, want, "{name}");
    }
}
