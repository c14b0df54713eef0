use coupon::calendar::Zone;

use super::*;
use crate::protocol::ClaimEnd;
use crate::protocol::testing::{
    DAY, InTest, NOW, TestClaim, TestLocated, bearer, campaign, claim, claim_end, claim_ending,
    coupon, held, issue_to, located, located_in, order, redeem, request, said, user,
};
use coupon::campaign::Campaign;

const LATER: Day = Day(DAY.0 + 9);

/// What the store reads besides: whether that partition is closing, and the claim of that user.
type Reads = (Option<Day>, Option<&'static str>);

/// A name, a coupon, the change, whether the later partition is closing, the claim; what is read, and
/// the answer.
type Row = (&'static str, TestLocated, Change, bool, Option<TestClaim>, Reads, &'static str);

fn extend() -> Change {
    request(Action::Extend { expires_at: LATER.end(), zone: Zone::utc(), reason: None })
}

fn hold() -> Change {
    let until = NOW.plus_ms(60_000);
    request(Action::Hold { by: user("ann"), order: order("991"), until, money: Default::default() })
}

fn admitted(admitted: Admitted<InTest, u32>) -> String {
    match admitted {
        Admitted::NoRoom(_, refusal) => format!("no room {}", refusal.as_str()),
        Admitted::Decided(decision) => {
            let has_entry = decision.writes.as_ref().is_some_and(|writes| writes.entry.is_some());
            format!("{}{}", said(&decision), if has_entry { " with an entry" } else { "" })
        }
    }
}

#[test]
fn changes() {
    const NOTHING: Reads = (None, None);
    const ANN: Reads = (None, Some("ann"));
    let stock = || located(coupon("CODE01", vec![]));
    let bearer_code = || located_in(bearer(), coupon("CODE01", vec![]));
    let unlimited =
        located_in(Campaign { per_user_limit: None, ..bearer() }, coupon("CODE01", vec![]));
    let long =
        located_in(Campaign { valid_days: Some(3_660), ..campaign() }, coupon("CODE01", vec![]));
    let room = || Some(claim(Some(1), vec![]));
    let full = || Some(claim(Some(1), vec![held("ANN1")]));
    let unfinished = ClaimEnd { unfinished: Some(Refusal::Paused), ..claim_end(Some(1)) };
    let unfinished = Some(claim_ending(unfinished, vec![]));
    let moved = TestLocated { day: LATER, ..held("CODE01") };
    let frozen = TestLocated { frozen: true, ..held("CODE01") };
    let issue = || issue_to("ann", None);
    let pay = || redeem("ann", "991");
    let later: Reads = (Some(LATER), None);
    let rows: Vec<Row> = vec![
        ("moves", held("CODE01"), extend(), false, None, later, "accepted CODE01"),
        (
            "moves to a partition that is closing",
            held("CODE01"),
            extend(),
            true,
            None,
            later,
            "refused EXPIRY_DAY_CLOSED CODE01",
        ),
        ("was moved there before", moved, extend(), true, None, NOTHING, "accepted CODE01"),
        ("an issue", stock(), issue(), false, room(), ANN, "accepted CODE01 with an entry"),
        ("an issue past the limit", stock(), issue(), false, full(), ANN, "no room LIMIT_PER_USER"),
        ("an issue without a claim", stock(), issue(), false, None, ANN, "no room LIMIT_PER_USER"),
        ("an issue behind another", stock(), issue(), false, unfinished, ANN, "no room PAUSED"),
        ("an issue never moves", long, issue(), true, room(), ANN, "accepted CODE01 with an entry"),
        ("a hold of a bearer code", bearer_code(), hold(), false, room(), ANN, "accepted CODE01"),
        (
            "a hold past the limit",
            bearer_code(),
            hold(),
            false,
            full(),
            ANN,
            "no room LIMIT_PER_USER",
        ),
        (
            "a bearer code is redeemed",
            bearer_code(),
            pay(),
            false,
            room(),
            ANN,
            "accepted CODE01 with an entry",
        ),
        ("without a limit", unlimited, pay(), false, None, NOTHING, "accepted CODE01"),
        ("the holder redeems", held("CODE01"), pay(), false, None, NOTHING, "accepted CODE01"),
        ("the holder gets it", held("CODE01"), issue(), false, None, NOTHING, "replayed CODE01"),
        (
            "somebody else redeems",
            held("CODE01"),
            redeem("bob", "991"),
            false,
            None,
            NOTHING,
            "refused NOT_FOUND CODE01",
        ),
        (
            "behind a seal",
            frozen,
            extend(),
            false,
            None,
            NOTHING,
            "refused EXPIRY_DAY_CLOSED CODE01",
        ),
    ];
    for (name, located, asked, is_closing, claim, reads, want) in rows {
        let (read, answer) = match change::<_, u32>(located, &asked, 0) {
            ChangeStep::Decided(decision) => ((None, None), said(&decision)),
            ChangeStep::Accepted(accepted) => {
                let claimant = accepted.claimant().map(ToString::to_string);
                let read = (accepted.later_day, claimant);
                (read, admitted(accepted.decide(is_closing, claim.as_ref())))
            }
        };
        assert_eq!((read.0, read.1.as_deref()), reads, "{name}");
        assert_eq!(answer, want, "{name}");
    }
}

#[test]
fn an_issue_expires_by_valid_days() {
    let terms = Campaign { valid_days: Some(7), ..campaign() };
    let asked = issue_to("ann", None);
    // 2026-11-28T00:00Z: the end of the seventh day after the issue.
    let end = Some(Day(20_784).end());
    let want = Action::Issue { to: user("ann"), reference: None, expires_at: end };
    assert_eq!(with_issued_until(&asked, &terms).action, want);
    assert_eq!(with_issued_until(&extend(), &terms).action, extend().action);
}
