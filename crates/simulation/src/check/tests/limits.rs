//! Limits of users, and the stock.

use super::*;

#[test]
fn limits_and_stock() {
    let second = |to: &str| coupon("CODE2", &[(3, issued(to))]);
    let rest = || vec![c(&anns()), coupon("CODE2", &[])];
    let sold_out = || (issue(4, "cid"), refused(Refusal::SoldOut, None));
    // Under another name: the name of a coupon answers with that coupon.
    let limited = |to: &str| {
        let reference = Some("another".parse().unwrap());
        let action = Action::Issue { to: user(to), reference, expires_at: None };
        let asked = RecordedRequest::Issue { campaign: campaign().id, change: change(4, action) };
        (asked, refused(Refusal::LimitPerUser, None))
    };
    let back = || vec![(1, issued("ann")), (2, revoked("ann"))];
    let spent = || (issue(5, "ann"), refused(Refusal::NameTaken, None));
    let expired = || (issue(4, "cid"), refused(Refusal::Expired, None));
    let again = vec![(1, issued("ann")), (2, revoked("ann")), (4, issued("bob"))];
    try_rows(vec![
        (
            "each has one",
            vec![give(), (issue(3, "bob"), accepted(second("bob"))), sold_out()],
            vec![c(&anns()), second("bob")],
            "",
        ),
        ("sold out while one is left", vec![give(), sold_out()], rest(), "while CODE2 was"),
        (
            "ann has two",
            vec![give(), (issue(3, "ann"), accepted(second("ann")))],
            vec![c(&anns()), second("ann")],
            "ann has CODE1, CODE2 at a time",
        ),
        (
            "one name has two coupons",
            vec![give(), (issue(3, "ann"), accepted(second("ann")))],
            vec![c(&anns()), second("ann")],
            "issue_ref for-ann has CODE1 and CODE2",
        ),
        ("at the limit", vec![give(), limited("ann")], rest(), ""),
        ("below the limit", vec![give(), limited("bob")], rest(), "bob has 0 at most"),
        (
            "more than the stock",
            vec![],
            vec![c(&[]), coupon("CODE2", &[]), coupon("CODE3", &[])],
            "3 coupons, and its stock is 2",
        ),
        (
            "a name of a revoked coupon",
            vec![give(), (revoke(2, "CODE1", "ann"), accepted(c(&back()))), spent()],
            vec![c(&back()), coupon("CODE2", &[])],
            "",
        ),
        ("a name of nothing", vec![spent()], vec![c(&[])], "NAME_TAKEN for no reason"),
        (
            "given again after a revoke",
            vec![
                give(),
                (revoke(2, "CODE1", "ann"), accepted(c(&back()))),
                (issue(4, "bob"), accepted(c(&again))),
            ],
            vec![c(&again)],
            "",
        ),
        ("expired too soon", vec![expired()], vec![c(&[])], "EXPIRED for no reason"),
    ]);
    let over = KnownCampaign { expires_at: NOW, ..KnownCampaign::of(&campaign(), 0) };
    must_find("over, without a coupon", &found_in(over, vec![expired()], vec![]), "");
}
