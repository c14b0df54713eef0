use super::*;
use crate::protocol::testing::{
    DAY, InTest, SLOT, TestClaim, TestLocated, bearer, campaign, claim, claim_end, claim_ending,
    code, coupon, held, issue_to, issued, located, order, redeem, redeemed, request, revoked, said,
    user, voided,
};
use crate::protocol::{ClaimEnd, Writes};

type Facts = IssueFacts<InTest, u32>;

/// A name, who asks and how, what was read, and what comes next.
type Row = (&'static str, IssueAsk, Change, Facts, &'static str);

fn ask(reference: Option<&str>, replaces: Option<&str>) -> IssueAsk {
    IssueAsk {
        to: user("ann"),
        reference: reference.map(IssueRef::stored),
        replaces: replaces.map(code),
    }
}

fn plain() -> IssueAsk {
    ask(None, None)
}

fn named() -> IssueAsk {
    ask(Some("welcome"), None)
}

fn replacing() -> IssueAsk {
    ask(Some("replaces:VOID"), Some("VOID"))
}

fn by_shop() -> Change {
    issue_to("ann", None)
}

fn by_ann() -> Change {
    Change { asker: Asker::User(user("ann")), ..by_shop() }
}

/// Nothing was given under the name of the request.
fn free() -> Facts {
    IssueFacts { named: Some(None), ..Facts::default() }
}

/// The name of the request stands at the event `issue` of a coupon.
fn given(issue: usize, located: TestLocated) -> Facts {
    let entry = NamedEntry { issue: Some(issue), located };
    IssueFacts { named: Some(Some(entry)), ..Facts::default() }
}

fn replacement(by: ReplacedBy, coupon: Option<TestLocated>) -> Facts {
    IssueFacts { replaced: Some(Replaced { by, coupon }), ..free() }
}

/// A coupon of ann's that nothing brings back.
fn void() -> TestLocated {
    located(coupon("VOID", vec![issued("ann"), voided()]))
}

fn with(claim: TestClaim, facts: Facts) -> Facts {
    IssueFacts { claim: Some(claim), ..facts }
}

fn step(step: IssueStep<InTest, u32>) -> String {
    match step {
        IssueStep::Read(read) => format!("read {read:?}"),
        IssueStep::Decided(decision) => said(&decision),
        IssueStep::Name(located, entry) => {
            assert_eq!((entry.user, entry.slot), (user("ann"), SLOT));
            let name = entry.reference.unwrap();
            format!("name {} {name}", located.coupon.code())
        }
        IssueStep::HandOut => "hand out".to_owned(),
    }
}

fn check(rows: Vec<Row>) {
    for (name, ask, change, facts, want) in rows {
        assert_eq!(step(issue(&ask, &change, &facts)), want, "{name}");
    }
}

#[test]
fn asks_for_nothing_more_than_it_needs() {
    let nobody = ReplacedBy::Nobody;
    let again = || vec![issued("ann"), revoked("ann"), issued("ann")];
    check(vec![
        ("without a name, the claim", plain(), by_shop(), Facts::default(), "read Claim"),
        ("with a name, the name", named(), by_shop(), Facts::default(), "read Named"),
        ("a free name, then the claim", named(), by_shop(), free(), "read Claim"),
        ("a replay, the name alone", named(), by_shop(), given(1, held("ANN1")), "replayed ANN1"),
        (
            "a spent name, the name alone",
            named(),
            by_shop(),
            given(1, located(coupon("ANN1", vec![issued("ann"), revoked("ann")]))),
            "refused NAME_TAKEN",
        ),
        (
            "taken back and given again under another name",
            named(),
            by_shop(),
            given(1, located(coupon("ANN1", again()))),
            "refused NAME_TAKEN",
        ),
        (
            "that other name",
            named(),
            by_shop(),
            given(3, located(coupon("ANN1", again()))),
            "replayed ANN1",
        ),
        ("a replacement, first the name", replacing(), by_shop(), Facts::default(), "read Named"),
        ("then the replaced coupon", replacing(), by_shop(), free(), "read Replaced"),
        ("then the claim", replacing(), by_shop(), replacement(nobody, Some(void())), "read Claim"),
        (
            "the same, sent before",
            replacing(),
            by_shop(),
            replacement(ReplacedBy::ThisRequest, Some(void())),
            "read Claim",
        ),
    ]);
}

#[test]
fn replacements() {
    let nobody = ReplacedBy::Nobody;
    let late = || Change { at: DAY.end(), ..by_shop() };
    let too_late = || Change { at: DAY.end().plus_days(30), ..by_shop() };
    let bobs = || located(coupon("VOID", vec![issued("bob"), voided()]));
    let spent = || located(coupon("VOID", vec![issued("ann"), redeemed("ann", "991")]));
    check(vec![
        (
            "another request has replaced it",
            replacing(),
            by_shop(),
            replacement(ReplacedBy::Another, Some(void())),
            "refused NAME_TAKEN",
        ),
        (
            "there is no such coupon",
            replacing(),
            by_shop(),
            replacement(nobody, None),
            "refused NOT_FOUND",
        ),
        (
            "it is somebody else's",
            replacing(),
            by_shop(),
            replacement(nobody, Some(bobs())),
            "refused NOT_FOUND",
        ),
        (
            "it still works",
            replacing(),
            by_shop(),
            replacement(nobody, Some(held("VOID"))),
            "replayed VOID",
        ),
        (
            "it has expired and can be extended",
            replacing(),
            late(),
            replacement(nobody, Some(held("VOID"))),
            "refused EXPIRED VOID",
        ),
        (
            "it can no longer be extended",
            replacing(),
            too_late(),
            replacement(nobody, Some(held("VOID"))),
            "read Claim",
        ),
        (
            "its redemption can be cancelled",
            replacing(),
            by_shop(),
            replacement(nobody, Some(spent())),
            "refused ALREADY_REDEEMED VOID",
        ),
        (
            "its redemption can no longer be cancelled",
            replacing(),
            too_late(),
            replacement(nobody, Some(spent())),
            "read Claim",
        ),
        (
            "it does not count itself",
            replacing(),
            by_shop(),
            with(claim(Some(1), vec![void()]), replacement(nobody, Some(void()))),
            "hand out",
        ),
        (
            "full beside it",
            replacing(),
            by_shop(),
            with(claim(Some(1), vec![held("ANN1"), void()]), replacement(nobody, Some(void()))),
            "refused LIMIT_PER_USER",
        ),
    ]);
}

#[test]
fn limits() {
    let one = || claim(Some(1), vec![held("ANN1")]);
    let names = |names| claim_ending(ClaimEnd { names, ..claim_end(Some(1)) }, vec![held("ANN1")]);
    let unfinished = ClaimEnd { unfinished: Some(Refusal::Paused), ..claim_end(Some(1)) };
    let overflows = ClaimEnd { overflows: true, ..claim_end(Some(1)) };
    let three = |count: usize| {
        let held = ["ANN1", "ANN2", "ANN3"].into_iter().take(count).map(held);
        claim(Some(3), held.collect())
    };
    check(vec![
        (
            "an entry that cannot be finished",
            plain(),
            by_shop(),
            with(claim_ending(unfinished, vec![]), Facts::default()),
            "refused PAUSED",
        ),
        ("nothing yet", plain(), by_shop(), with(claim(Some(1), vec![]), free()), "hand out"),
        ("two of three", plain(), by_shop(), with(three(2), free()), "hand out"),
        ("three of three", plain(), by_shop(), with(three(3), free()), "refused LIMIT_PER_USER"),
        (
            "three of three, with a name",
            named(),
            by_shop(),
            with(three(3), free()),
            "refused LIMIT_PER_USER",
        ),
        ("no limit", plain(), by_shop(), with(claim(None, vec![held("ANN1")]), free()), "hand out"),
        ("one of one", plain(), by_shop(), with(one(), free()), "replayed ANN1"),
        ("one of one, with a name", named(), by_shop(), with(one(), free()), "name ANN1 welcome"),
        (
            "the sixteenth name of a user",
            named(),
            by_ann(),
            with(names(NAMES_OF_USER_MAX - 1), free()),
            "name ANN1 welcome",
        ),
        (
            "the seventeenth is answered and not kept",
            named(),
            by_ann(),
            with(names(NAMES_OF_USER_MAX), free()),
            "replayed ANN1",
        ),
        (
            "a shop's is kept",
            named(),
            by_shop(),
            with(names(NAMES_OF_USER_MAX), free()),
            "name ANN1 welcome",
        ),
        (
            "more entries than are read",
            named(),
            by_shop(),
            with(claim_ending(overflows, vec![held("ANN1")]), free()),
            "refused LIMIT_PER_USER",
        ),
    ]);
}

#[test]
fn who_may_ask() {
    let reference = || Some("replaces:VOID");
    let by_user =
        |reference| Change { asker: Asker::User(user("ann")), ..issue_to("ann", reference) };
    let cases = [
        ("no issue", campaign(), redeem("ann", "991"), Err(Refusal::NotFound)),
        ("bearer stock", bearer(), by_shop(), Err(Refusal::NotIssuable)),
        ("a shop", campaign(), by_shop(), Ok(None)),
        ("a user", campaign(), by_user(None), Ok(None)),
        ("a shop replaces", campaign(), issue_to("ann", reference()), Ok(Some(code("VOID")))),
        ("a user does not", campaign(), by_user(reference()), Err(Refusal::NotIssuable)),
    ];
    for (name, terms, change, want) in cases {
        let asked = IssueAsk::of(&terms, &change, &[]);
        assert_eq!(asked.map(|ask| ask.replaces), want, "{name}");
    }
}

#[test]
fn a_minted_code_is_replaced_however_it_is_written() {
    let keys = [CodeKey::new([7; 16])];
    let minted = keys[0].mint(DAY, 1);
    for text in [minted.to_string(), minted.printed(None), minted.printed(Some("SPRING"))] {
        let reference = IssueRef::stored(&format!("replaces:{text}"));
        assert_eq!(replaced(&keys, Some(&reference)), Some(minted.clone()), "{text}");
    }
    let foreign = IssueRef::stored(&format!("replaces:{}", minted.printed(Some("SPRING"))));
    assert_eq!(replaced(&[], Some(&foreign)), Some(code(&format!("SPRING{minted}"))));
    assert_eq!(replaced(&keys, Some(&IssueRef::stored("welcome"))), None);
}

#[test]
fn gives() {
    let stock = || located(coupon("CODE01", vec![]));
    let paused = TestLocated { batch_paused: true, ..stock() };
    let cancel = request(Action::CancelRedemption { order: order("991"), reason: None });
    let cases = [
        ("a coupon of the stock", stock(), None, "accepted CODE01"),
        ("and redeems it", stock(), Some(redeem("ann", "991")), "accepted CODE01"),
        ("nothing, if the second change is refused", stock(), Some(cancel), "refused NOT_REDEEMED"),
        ("nothing of a paused batch", paused, None, "refused PAUSED"),
        ("what the user has", held("CODE01"), None, "replayed CODE01"),
    ];
    let room = claim(Some(1), vec![]);
    for (name, offered, then, want) in cases {
        let decision = give(&offered, &issue_to("ann", Some("welcome")), then.as_ref(), &room, 0);
        assert_eq!(said(&decision), want, "{name}");
        if let Some(Writes { entry, .. }) = decision.writes {
            let entry = entry.unwrap();
            assert_eq!(entry.reference, Some(IssueRef::stored("welcome")), "{name}");
        }
    }
}
