use super::*;
use crate::protocol::testing::{
    DAY, InTest, NOW, TestClaim, TestLocated, bearer, campaign, claim_end, code, coupon, held,
    issue_to, issued, located, located_in, redeem, redeemed, revoked, user, voided,
};

/// A coupon of a claim, and who was given another one for it.
type Entry = (TestLocated, Option<Replacement>);

fn counts(text: &str) -> Entry {
    (held(text), None)
}

fn taken_back() -> Entry {
    (located(coupon("BACK", vec![issued("ann"), revoked("ann")])), None)
}

fn replaced(text: &str, issue: Option<i32>) -> Entry {
    let by = Replacement { user: "ann".to_owned(), issue };
    (located(coupon(text, vec![issued("ann"), voided()])), Some(by))
}

/// How many coupons a store reads each time, of these, the newest first; and the claim.
fn count(
    limit: Option<u16>,
    beside: Option<&str>,
    newest_first: Vec<Entry>,
) -> (Vec<usize>, TestClaim) {
    let (ann, beside) = (user("ann"), beside.map(code));
    let mut counting: Counting<'_, InTest> = Counting::begin(&ann, limit, beside.as_ref());
    let mut left = newest_first.into_iter();
    let mut reads = Vec::new();
    loop {
        let next = counting.next(left.len());
        if next == 0 {
            return (reads, counting.end(claim_end(limit)));
        }
        reads.push(next);
        for (located, by) in left.by_ref().take(next) {
            counting.take(located, by.as_ref());
        }
    }
}

/// A name, the limit, the coupons with the newest first; the reads, and how many count.
type Row = (&'static str, Option<u16>, Vec<Entry>, &'static [usize], usize);

#[test]
fn reads_as_much_as_the_limit_needs() {
    let back = |count| (0..count).map(|_| taken_back());
    let held = |count| (0..count).map(|_| counts("ANN1"));
    let rows: Vec<Row> = vec![
        ("none", Some(1), vec![], &[], 0),
        ("one of one", Some(1), held(5).collect(), &[1], 1),
        ("one of one, behind two", Some(1), back(2).chain(held(5)).collect(), &[1, 2], 1),
        ("three of three", Some(3), held(9).collect(), &[3], 3),
        ("two of three", Some(3), held(2).collect(), &[2], 2),
        ("three of three, behind three", Some(3), back(3).chain(held(9)).collect(), &[3, 6], 6),
        ("a replaced one", Some(1), vec![replaced("VOID", Some(1)), counts("ANN1")], &[1, 1], 1),
        ("without a limit", None, held(9).collect(), &[9], 9),
        (
            "a thousand that do not count",
            Some(1),
            back(ENTRIES_MAX).collect(),
            &[1, 2, 4, 8, 16, 32, 64, 128, 256, 489],
            0,
        ),
        (
            "the same, at the largest limit",
            Some(PER_USER_LIMIT_MAX),
            back(ENTRIES_MAX).collect(),
            &[100, 200, 400, 300],
            0,
        ),
        ("a thousand without a limit", None, held(ENTRIES_MAX).collect(), &[1_000], 1_000),
    ];
    for (name, limit, entries, reads, counted) in rows {
        let (read, claim) = count(limit, None, entries);
        assert_eq!(read, reads, "{name}");
        assert_eq!(claim.counted().count(), counted, "{name}");
    }
}

#[test]
fn one_beside_is_read_and_does_not_count() {
    let both = || vec![counts("VOID"), counts("ANN1")];
    let (read, claim) = count(Some(1), Some("VOID"), both());
    assert_eq!(read, [1, 1]);
    assert!(claim.is_full() && claim.is_full_beside(Some(&code("VOID"))));
    let (read, claim) = count(Some(2), Some("VOID"), both());
    assert_eq!(read, [2]);
    assert!(claim.is_full() && !claim.is_full_beside(Some(&code("VOID"))));
}

#[test]
fn oldest_first() {
    let newest_first = vec![counts("ANN3"), taken_back(), counts("ANN1")];
    let (_, claim) = count(None, None, newest_first);
    let codes = |located: &TestLocated| located.coupon.code().to_string();
    assert_eq!(claim.counted().map(codes).collect::<Vec<_>>(), ["ANN1", "ANN3"]);
    assert_eq!(claim.looked().map(codes).collect::<Vec<_>>(), ["ANN1", "BACK", "ANN3"]);
    assert!(claim.only_one().is_none());
    let (_, claim) = count(Some(1), None, vec![counts("ANN2"), counts("ANN1")]);
    assert_eq!(claim.only_one().map(codes).as_deref(), Some("ANN2"));
}

#[test]
fn replacements() {
    let twice = vec![issued("ann"), revoked("ann"), issued("ann"), voided()];
    let (once, twice) = (replaced("VOID", None).0, located(coupon("VOID", twice)));
    let by = |name: &str, issue| Replacement { user: name.to_owned(), issue };
    let cases = [
        ("of this issue", &once, by("ann", Some(1)), true),
        ("of an earlier issue", &twice, by("ann", Some(1)), false),
        ("of the later issue", &twice, by("ann", Some(3)), true),
        ("of whichever issue", &twice, by("ann", Some(ANY_ISSUE)), true),
        ("of an issue that is not known", &once, by("ann", None), false),
        ("of somebody else", &once, by("bob", Some(1)), false),
    ];
    for (name, located, by, want) in cases {
        assert_eq!(by.is_of(&located.coupon, &user("ann")), want, "{name}");
    }
    let ann = user("ann");
    let counting: Counting<'_, InTest> = Counting::begin(&ann, None, None);
    assert!(!counting.may_be_replaced(&held("ANN1"), NOW), "it works");
    assert!(counting.may_be_replaced(&once, NOW), "nothing brings it back");
}

#[test]
fn fates() {
    let begun = ClaimIntent { sequence: 1, operation: OperationId(1), version: 0 };
    let certain = ClaimIntent { sequence: 0, ..begun };
    let untouched = || located(coupon("CODE01", vec![]));
    let frozen = TestLocated { frozen: true, ..untouched() };
    let (own, other) = (OperationId(1), OperationId(2));
    let cases = [
        ("no coupon", begun, None, own, Fate::Elsewhere),
        ("it has the event", begun, Some(held("CODE01")), other, Fate::Happened),
        ("it is certain", certain, Some(untouched()), other, Fate::Happened),
        ("frozen", begun, Some(frozen), own, Fate::Dead),
        ("this change's own", begun, Some(untouched()), own, Fate::Own),
        ("another change's", begun, Some(untouched()), other, Fate::Begun),
        (
            "somebody else was faster",
            begun,
            Some(located(coupon("CODE01", vec![issued("bob")]))),
            own,
            Fate::Dead,
        ),
        (
            "another change was faster",
            ClaimIntent { operation: OperationId(7), ..begun },
            Some(held("CODE01")),
            own,
            Fate::Dead,
        ),
    ];
    for (name, intent, located, own, want) in cases {
        assert_eq!(fate(&intent, located.as_ref(), &user("ann"), own), want, "{name}");
    }
}

#[test]
fn an_intent_is_the_event_that_makes_the_holder() {
    let before = coupon("CODE01", vec![issued("bob"), revoked("bob")]);
    let next = ClaimIntent::next(&before, OperationId(3));
    assert_eq!(next, ClaimIntent { sequence: 3, operation: OperationId(3), version: 2 });
    let after = coupon("CODE01", vec![issued("bob"), revoked("bob"), issued("ann")]);
    assert!(next.happened(&after, &user("ann")) && !next.happened(&after, &user("bob")));
    assert_eq!(ClaimIntent::past(&after), next);
    // A bearer code is its redeemer's without an issue.
    let shown = coupon("CODE01", vec![redeemed("ann", "991")]);
    let past = ClaimIntent::past(&shown);
    assert_eq!(past, ClaimIntent { sequence: 1, operation: OperationId(1), version: 0 });
    assert!(past.happened(&shown, &user("ann")));
}

#[test]
fn finishes() {
    let begun = ClaimIntent { sequence: 1, operation: OperationId(5), version: 0 };
    let untouched = || coupon("CODE01", vec![]);
    let closed = Campaign { issue_until: Some(NOW), ..campaign() };
    let paused = Campaign { paused: true, ..campaign() };
    let cases = [
        ("given", located(untouched()), NOW, "give"),
        ("a bearer code", located_in(bearer(), untouched()), NOW, "fence"),
        ("paused", located_in(paused, untouched()), NOW, "blocked PAUSED"),
        ("issues no more", located_in(closed, untouched()), NOW, "blocked ISSUE_CLOSED"),
        ("in its last millisecond", located(untouched()), DAY.end().plus_ms(-1), "give"),
        ("expired", located(untouched()), DAY.end(), "fence"),
        ("somebody else's by now", located(coupon("CODE01", vec![issued("bob")])), NOW, "fence"),
    ];
    for (name, located, at, want) in cases {
        let met_by = Change { at, ..issue_to("ann", None) };
        let before = &located.coupon;
        let said = match finish(&begun, None, &located, &user("ann"), &met_by, 0) {
            Finish::Give(after) => {
                let event = after.events().last().unwrap();
                assert_eq!(event.operation, begun.operation, "{name}");
                assert_eq!(after.holder(), Some(&user("ann")), "{name}");
                "give".to_owned()
            }
            Finish::Blocked(refusal) => format!("blocked {}", refusal.as_str()),
            Finish::Fence(after) => {
                assert_eq!(after.version(), before.version() + 1, "{name}");
                assert_eq!(after.events(), before.events(), "{name}");
                "fence".to_owned()
            }
        };
        assert_eq!(said, want, "{name}");
    }
}

#[test]
fn an_order_ends_what_it_began_itself() {
    let begun = ClaimIntent { sequence: 1, operation: OperationId(5), version: 0 };
    let paused = Campaign { paused: true, ..campaign() };
    let located = located_in(paused, coupon("CODE01", vec![]));
    for (name, met_by, fences) in [
        ("its own", redeem("ann", "991"), true),
        ("another order's", redeem("ann", "5"), false),
        ("an issue's", issue_to("ann", None), false),
    ] {
        let reference = Some(IssueRef::stored("order:991"));
        let said = finish(&begun, reference, &located, &user("ann"), &met_by, 0);
        assert_eq!(matches!(said, Finish::Fence(_)), fences, "{name}: {said:?}");
    }
}
