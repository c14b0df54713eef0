//! Names and orders that have a coupon.

use coupon::ids::IssueRef;

use super::*;

fn replacement(to: &str, text: &str) -> EventKind {
    let reference: IssueRef = format!("replaces:{text}").parse().unwrap();
    EventKind::Issued { to: user(to), reference: Some(reference), expires_at: None }
}

fn replace(operation: u128, to: &str, text: &str) -> RecordedRequest {
    let reference = Some(format!("replaces:{text}").parse().unwrap());
    let action = Action::Issue { to: user(to), reference, expires_at: None };
    RecordedRequest::Issue { campaign: campaign().id, change: change(operation, action) }
}

#[test]
fn a_name_that_has_a_coupon() {
    let had = || (issue(1, "ann"), accepted(coupon("CODE1", &anns())));
    let again = |why| (issue(2, "ann"), refused(why, None));
    let gone = || [anns(), vec![(3, revoked("ann"))]].concat();
    let taken = || (revoke(3, "CODE1", "ann"), accepted(coupon("CODE1", &gone())));
    let both = |first: &[(u128, EventKind)]| {
        let bobs = [(7, issued("bob"))];
        vec![coupon("CODE1", first), coupon("CODE2", &bobs)]
    };
    let bob = || (issue(7, "bob"), accepted(coupon("CODE2", &[(7, issued("bob"))])));
    try_rows(vec![
        (
            "is not sold out for it",
            vec![had(), bob(), again(Refusal::SoldOut)],
            both(&anns()),
            "CODE1 answers for this request already, which got SOLD_OUT",
        ),
        (
            "is spent when it was taken back",
            vec![had(), bob(), taken(), again(Refusal::NameTaken)],
            both(&gone()),
            "",
        ),
    ]);
}

#[test]
fn a_cancellation_finds_the_coupon_of_its_order() {
    let shared = |operation, action, asker| {
        let change = Change { asker, ..change(operation, action) };
        RecordedRequest::Shared { campaign: campaign().id, change }
    };
    let pays = Action::Redeem { by: user("ann"), order: order("a"), money: Default::default() };
    let cancels = Action::CancelRedemption { order: order("a"), reason: None };
    let reference = Some(IssueRef::of_order(&order("a")));
    let first = EventKind::Issued { to: user("ann"), reference, expires_at: None };
    let used = || coupon("CODE1", &[(1, first.clone()), (1, redeemed("ann", "a"))]);
    let known = || KnownCampaign::of(&campaign(), 2);
    let rows = [("ann", "CODE1 answers for this request already"), ("bob", "")];
    for (by, want) in rows {
        let calls = vec![
            (shared(1, pays.clone(), Asker::Shop), accepted(used())),
            (shared(2, cancels.clone(), Asker::User(user(by))), refused(Refusal::NotFound, None)),
        ];
        must_find(by, &found_in(known(), calls, vec![used()]), want);
    }
}

#[test]
fn a_coupon_is_replaced_once() {
    let voided = || {
        let gone = EventKind::Voided { reason: None };
        coupon("CODE3", &[(1, issued("ann")), (2, gone)])
    };
    let give = |operation, code: &str, text: &str| {
        let given = coupon(code, &[(operation, replacement("ann", text))]);
        ((replace(operation, "ann", text), accepted(given.clone())), given)
    };
    let rows = [
        ("two spellings", "CODE3", "code-3", "CODE3 was replaced more than once"),
        ("two coupons", "CODE3", "CODE4", ""),
    ];
    for (name, one, other, want) in rows {
        let void = asked(2, "CODE3", Action::Void { reason: None });
        let ((first, one), (second, other)) = (give(3, "CODE1", one), give(4, "CODE2", other));
        let known = KnownCampaign { per_user_limit: 3, ..KnownCampaign::of(&campaign(), 3) };
        let calls = vec![
            (issue(1, "ann"), accepted(coupon("CODE3", &anns()))),
            (void, accepted(voided())),
            first,
            second,
        ];
        must_find(name, &found_in(known, calls, vec![one, other, voided()]), want);
    }
}
