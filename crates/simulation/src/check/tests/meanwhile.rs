//! What operators and other processes do while a call runs.

use coupon::ids::IssueRef;

use super::*;

/// A call with its own times.
fn timed(
    began_ms: u64,
    ended_ms: u64,
    (asked, told): (RecordedRequest, RecordedAnswer),
) -> RecordedCall {
    RecordedCall { process: 0, began_ms, ended_ms: Some(ended_ms), clock: NOW, asked, told }
}

fn end(coupons: Vec<Coupon>) -> SeedEnd {
    let coupons = coupons.into_iter().map(|it| (it.code().clone(), snapshot(it))).collect();
    SeedEnd { coupons, ..SeedEnd::default() }
}

#[test]
fn a_batch_that_is_minted_later() {
    let sold_out = || (issue(4, "cid"), refused(Refusal::SoldOut, None));
    let rows = [
        ("told before the call", Some(5), "while CODE2 was"),
        ("told during the call", Some(12), ""),
        ("told after the call", Some(20), ""),
        ("never told", None, ""),
    ];
    for (name, told, want) in rows {
        let known = KnownWorld {
            campaigns: [(campaign().id, KnownCampaign::of(&campaign(), 2))].into(),
            minted_later: [((campaign().id, "first".parse().unwrap()), told)].into(),
        };
        let calls = [timed(0, 4, give()), timed(10, 14, sold_out())];
        must_find(name, &check(&known, &calls, &end(vec![c(&anns()), coupon("CODE2", &[])])), want);
    }
}

#[test]
fn an_issue_that_another_process_finishes() {
    let pays = |operation, of: &str| {
        let action =
            Action::Redeem { by: user("ann"), order: order(of), money: Default::default() };
        RecordedRequest::Shared { campaign: campaign().id, change: change(operation, action) }
    };
    let for_a = || {
        let reference = Some(IssueRef::of_order(&order("a")));
        EventKind::Issued { to: user("ann"), reference, expires_at: None }
    };
    // Issued for the order `a`, and taken by the order `b`.
    let first = || c(&[(1, for_a()), (2, redeemed("ann", "b"))]);
    let second = || coupon("CODE2", &[(1, for_a()), (1, redeemed("ann", "a"))]);
    let known = KnownCampaign { per_user_limit: 3, ..KnownCampaign::of(&campaign(), 2) };
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..KnownWorld::default() };
    let rows = [
        ("meanwhile", (5, 8), first(), ""),
        ("after it", (30, 34), first(), "a request was done twice"),
        ("nobody took the first", (5, 8), c(&[(1, for_a())]), "a request was done twice"),
    ];
    for (name, (began, ended), first, want) in rows {
        let took = match first.events().len() {
            1 => refused(Refusal::LimitPerUser, None),
            _ => accepted(first.clone()),
        };
        let calls = [
            timed(1, 20, (pays(1, "a"), accepted(second()))),
            timed(began, ended, (pays(2, "b"), took)),
        ];
        let found = check(&known, &calls, &end(vec![first, second()]));
        let found: Vec<Violation> =
            found.into_iter().filter(|it| it.what.contains("done twice")).collect();
        must_find(name, &found, want);
    }
}

#[test]
fn an_import_after_one_that_was_cut_short() {
    let said = |imported_state: ImportedState| {
        let lines = vec![ImportLine { imported_state, ..line("CODE1") }];
        RecordedRequest::Import { campaign: campaign().id, batch: "first".parse().unwrap(), lines }
    };
    let rows = [
        ("cut short", unknown(), ""),
        ("finished", imported(ImportOutcome::Imported), "which its history lacks"),
    ];
    for (name, told, want) in rows {
        let issued = ImportedState::Issued { holder: user("ann"), at: None };
        let first = timed(0, 4, (said(ImportedState::VOID), told));
        let later = timed(10, 14, (said(issued), imported(ImportOutcome::Imported)));
        let known = KnownWorld {
            campaigns: [(campaign().id, KnownCampaign::of(&campaign(), 2))].into(),
            ..KnownWorld::default()
        };
        let voided = c(&[(9, EventKind::Voided { reason: None })]);
        must_find(name, &check(&known, &[first, later], &end(vec![voided])), want);
    }
}
