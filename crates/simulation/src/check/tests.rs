//! Little histories, each legal or with one thing wrong.
//!
//! The campaign has two minted coupons, of which one user may have one. Each call takes four
//! milliseconds, and the next begins ten after it began.

use std::sync::Arc;

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::calendar::Zone;
use coupon::campaign::CampaignWorth;
use coupon::coupon::{Coupon, Event, EventKind, Genesis, Hold};
use coupon::ids::{Actor, OperationId, OrderRef, UserId};
use coupon::imported::ImportedState;
use coupon::refusal::Refusal;
use hot::{Applied, ImportLine, ImportOutcome, Tier};

use super::history::{RecordedAnswer, RecordedRequest};
use super::*;

mod erasures;
mod feed;
mod limits;
mod meanwhile;
mod orders;
mod standing;

const NOW: Millis = Millis(1_795_176_000_000);
const EXPIRES: Millis = Millis(1_795_176_000_000 + 30 * coupon::time::DAY_MS);

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn order(name: &str) -> OrderRef {
    name.parse().unwrap()
}

fn code(name: &str) -> Code {
    name.parse().unwrap()
}

fn campaign() -> Campaign {
    Campaign {
        id: "summer".parse().unwrap(),
        name: "Summer".to_owned(),
        handout: Handout::Shop,
        shared_code: None,
        code_prefix: None,
        valid_from: NOW.plus_days(0),
        expires_at: EXPIRES,
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 30,
        extend_days: 30,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: NOW,
    }
}

fn issued(to: &str) -> EventKind {
    let reference = Some(format!("for-{to}").parse().unwrap());
    EventKind::Issued { to: user(to), reference, expires_at: None }
}

fn redeemed(by: &str, of: &str) -> EventKind {
    EventKind::Redeemed { by: Some(user(by)), order: order(of), worth: None }
}

fn revoked(from: &str) -> EventKind {
    EventKind::Revoked { from: user(from), reference: None, reason: None }
}

/// The coupon after these events by these operations, each with a version of its own.
fn coupon(name: &str, events: &[(u128, EventKind)]) -> Coupon {
    let Campaign { id, valid_from, expires_at, zone, created_at, .. } = campaign();
    let (code, batch) = (code(name), "first".parse().unwrap());
    let genesis = Genesis { code, campaign: id, batch, valid_from, expires_at, zone, created_at };
    let event = |(operation, kind): &(u128, EventKind)| Event {
        at: NOW.plus_ms(1),
        actor: Actor::new("shop:till"),
        operation: OperationId(*operation),
        kind: kind.clone(),
    };
    let events: Vec<Event> = events.iter().map(event).collect();
    let version = events.len() as u64;
    Coupon::of(genesis, events, None, version, NOW)
}

fn snapshot(coupon: Coupon) -> CouponSnapshot {
    let campaign = Arc::new(campaign());
    CouponSnapshot { coupon, campaign, batch_paused: false, tier: Tier::Hot }
}

fn change(operation: u128, action: Action) -> Change {
    Change {
        action,
        asker: Asker::Shop,
        actor: Actor::new("shop:till"),
        operation: OperationId(operation),
        at: NOW.plus_ms(1),
        if_version: None,
    }
}

fn issue(operation: u128, to: &str) -> RecordedRequest {
    let reference = Some(format!("for-{to}").parse().unwrap());
    let action = Action::Issue { to: user(to), reference, expires_at: None };
    RecordedRequest::Issue { campaign: campaign().id, change: change(operation, action) }
}

fn asked(operation: u128, name: &str, action: Action) -> RecordedRequest {
    RecordedRequest::Change { code: code(name), change: change(operation, action) }
}

fn redeem(operation: u128, name: &str, by: &str, of: &str) -> RecordedRequest {
    asked(
        operation,
        name,
        Action::Redeem { by: user(by), order: order(of), money: Default::default() },
    )
}

fn revoke(operation: u128, name: &str, from: &str) -> RecordedRequest {
    let action = Action::Revoke { user: user(from), reference: None, reason: None };
    asked(operation, name, action)
}

fn read(name: &str) -> RecordedRequest {
    RecordedRequest::Read { code: code(name) }
}

fn shows(coupon: Coupon) -> RecordedAnswer {
    RecordedAnswer::Read(Some(Box::new(snapshot(coupon))))
}

fn accepted(coupon: Coupon) -> RecordedAnswer {
    let outcome = Outcome::Accepted(Box::new(coupon.clone()));
    RecordedAnswer::Applied(Box::new(Applied { outcome, snapshot: Some(snapshot(coupon)) }))
}

fn refused(why: Refusal, coupon: Option<Coupon>) -> RecordedAnswer {
    let outcome = Outcome::Refused(why);
    RecordedAnswer::Applied(Box::new(Applied { outcome, snapshot: coupon.map(snapshot) }))
}

fn unknown() -> RecordedAnswer {
    RecordedAnswer::Unknown("no answer".to_owned())
}

fn line(name: &str) -> ImportLine {
    let Campaign { valid_from, expires_at, .. } = campaign();
    let imported_state = ImportedState::Available;
    ImportLine { code: code(name), valid_from, expires_at, imported_state }
}

fn import(name: &str) -> RecordedRequest {
    import_of(line(name))
}

fn import_of(line: ImportLine) -> RecordedRequest {
    RecordedRequest::Import {
        campaign: campaign().id,
        batch: "first".parse().unwrap(),
        lines: vec![line],
    }
}

fn imported(outcome: ImportOutcome) -> RecordedAnswer {
    RecordedAnswer::Imported(vec![outcome])
}

/// A name, the calls, the coupons at the end, and a part of the violation.
type Row = (&'static str, Vec<(RecordedRequest, RecordedAnswer)>, Vec<Coupon>, &'static str);

fn found(calls: Vec<(RecordedRequest, RecordedAnswer)>, coupons: Vec<Coupon>) -> Vec<Violation> {
    let known = KnownCampaign::of(&campaign(), 2);
    found_in(known, calls, coupons)
}

fn found_in(
    known: KnownCampaign,
    calls: Vec<(RecordedRequest, RecordedAnswer)>,
    coupons: Vec<Coupon>,
) -> Vec<Violation> {
    let calls = made(calls);
    let coupons = coupons.into_iter().map(|it| (it.code().clone(), snapshot(it))).collect();
    let known = KnownWorld { campaigns: [(campaign().id, known)].into(), ..KnownWorld::default() };
    check(&known, &calls, &SeedEnd { coupons, ..SeedEnd::default() })
}

/// Each call takes four milliseconds, and the next begins ten after it began.
fn made(calls: Vec<(RecordedRequest, RecordedAnswer)>) -> Vec<RecordedCall> {
    let call = |(began_ms, (asked, told))| RecordedCall {
        process: 0,
        began_ms,
        ended_ms: Some(began_ms + 4),
        clock: NOW.plus_ms(1),
        asked,
        told,
    };
    (0..).step_by(10).zip(calls).map(call).collect()
}

fn try_rows(rows: Vec<Row>) {
    for (name, calls, coupons, want) in rows {
        must_find(name, &found(calls, coupons), want);
    }
}

fn must_find(name: &str, found: &[Violation], want: &str) {
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    assert_eq!(found.is_empty(), want.is_empty(), "{name}: {text}");
    assert!(text.contains(want), "{name}: {text}");
}

fn anns() -> Vec<(u128, EventKind)> {
    vec![(1, issued("ann"))]
}

fn paid() -> Vec<(u128, EventKind)> {
    vec![(1, issued("ann")), (2, redeemed("ann", "a"))]
}

fn c(events: &[(u128, EventKind)]) -> Coupon {
    coupon("CODE1", events)
}

fn give() -> (RecordedRequest, RecordedAnswer) {
    (issue(1, "ann"), accepted(c(&anns())))
}

fn pay() -> (RecordedRequest, RecordedAnswer) {
    (redeem(2, "CODE1", "ann", "a"), accepted(c(&paid())))
}

#[test]
fn histories_of_one_coupon() {
    let not_done = || RecordedAnswer::NotDone("away".to_owned());
    let swapped = || vec![(2, redeemed("ann", "a")), (1, issued("ann"))];
    try_rows(vec![
        ("issued and redeemed", vec![give(), pay()], vec![c(&paid())], ""),
        (
            "an accepted change is lost",
            vec![give(), pay()],
            vec![c(&anns())],
            "version 2 was there",
        ),
        (
            "a read is old",
            vec![give(), pay(), (read("CODE1"), shows(c(&anns())))],
            vec![c(&paid())],
            "event 2 was there by 14 ms",
        ),
        (
            "a read is new",
            vec![give(), pay(), (read("CODE1"), shows(c(&paid())))],
            vec![c(&paid())],
            "",
        ),
        ("it is gone", vec![give()], vec![], "CODE1: it is gone"),
        (
            "an unknown change happened",
            vec![give(), (redeem(2, "CODE1", "ann", "a"), unknown())],
            vec![c(&paid())],
            "",
        ),
        (
            "an unknown change did not happen",
            vec![give(), (redeem(2, "CODE1", "ann", "a"), unknown())],
            vec![c(&anns())],
            "",
        ),
        (
            "what was not done happened",
            vec![give(), (redeem(2, "CODE1", "ann", "a"), not_done())],
            vec![c(&paid())],
            "was told not to have happened",
        ),
        ("nobody asked", vec![give()], vec![c(&paid())], "nobody asked for event 2"),
        (
            "shown before it was asked for",
            vec![give(), (read("CODE1"), shows(c(&paid()))), pay()],
            vec![c(&paid())],
            "event 2 was there by 14 ms",
        ),
        (
            "two histories in one version",
            vec![give(), (read("CODE1"), shows(c(&[(3, issued("bob"))])))],
            vec![c(&anns())],
            "CODE1: version 1 lacks an event",
        ),
        (
            "redeemed before it was issued",
            vec![pay(), (issue(1, "ann"), unknown())],
            vec![c(&swapped())],
            "event 1, redeemed, of a coupon Available",
        ),
        (
            "a coupon is not found",
            vec![(read("CODE1"), RecordedAnswer::Read(None))],
            vec![c(&[])],
            "CODE1 is not found",
        ),
    ]);
}

#[test]
fn redeemed_once() {
    let twice = || {
        let mut events = paid();
        events.push((3, redeemed("ann", "b")));
        events
    };
    let again = |told| (redeem(3, "CODE1", "ann", "b"), told);
    try_rows(vec![
        (
            "a second order is refused",
            vec![give(), pay(), again(refused(Refusal::AlreadyRedeemed, Some(c(&paid()))))],
            vec![c(&paid())],
            "",
        ),
        (
            "a second order redeems",
            vec![give(), pay(), again(accepted(c(&twice())))],
            vec![c(&twice())],
            "event 3, redeemed, of a coupon Redeemed",
        ),
        (
            "refused before it was redeemed",
            vec![give(), again(refused(Refusal::AlreadyRedeemed, Some(c(&anns())))), pay()],
            vec![c(&paid())],
            "refused with ALREADY_REDEEMED, and the rules say",
        ),
        (
            "one request is done twice",
            vec![give(), pay()],
            vec![c(&paid()), coupon("CODE2", &paid())],
            "a request was done twice",
        ),
    ]);
}

#[test]
fn holds_of_others() {
    let held = |until: Millis| {
        let (by, order, operation) = (user("ann"), order("a"), OperationId(2));
        let hold = Hold { by, order, operation, since: NOW.plus_ms(1), until };
        let before = c(&anns());
        let (genesis, events) = (before.genesis().clone(), before.events().to_vec());
        Coupon::of(genesis, events, Some(hold), 2, NOW)
    };
    let redeemed = |before: Coupon| {
        let paid = coupon("CODE1", &[(1, issued("ann")), (3, redeemed("ann", "b"))]);
        let (genesis, events) = (before.genesis().clone(), paid.events().to_vec());
        Coupon::of(genesis, events, None, 3, NOW)
    };
    let rows = [
        ("it runs", NOW.plus_ms(1_000), "of a coupon Issued"),
        ("it has lapsed within the bound", NOW.plus_ms(1 - 4_999), "of a coupon Issued"),
        ("it has lapsed", NOW.plus_ms(1 - 5_000), ""),
    ];
    for (name, until, want) in rows {
        let after = redeemed(held(until));
        let hold =
            Action::Hold { by: user("ann"), order: order("a"), until, money: Default::default() };
        let calls = vec![
            give(),
            (asked(2, "CODE1", hold), accepted(held(until))),
            (redeem(3, "CODE1", "ann", "b"), accepted(after.clone())),
        ];
        must_find(name, &found(calls, vec![after]), want);
    }
    let until = NOW.plus_ms(1_000);
    let hold =
        Action::Hold { by: user("ann"), order: order("a"), until, money: Default::default() };
    let calls = vec![give(), (asked(2, "CODE1", hold), accepted(held(until)))];
    must_find("a hold is lost", &found(calls, vec![c(&anns())]), "version 2 was there by 14 ms");
}

#[test]
fn shared_codes() {
    let shared = |operation, told| {
        let action =
            Action::Redeem { by: user("ann"), order: order("a"), money: Default::default() };
        (
            RecordedRequest::Shared { campaign: campaign().id, change: change(operation, action) },
            told,
        )
    };
    let both = |name: &str, operation| {
        let reference = Some("order:a".parse().unwrap());
        let issued = EventKind::Issued { to: user("ann"), reference, expires_at: None };
        coupon(name, &[(operation, issued), (operation, redeemed("ann", "a"))])
    };
    let known = || KnownCampaign::of(&campaign(), 2);
    let once = vec![shared(1, accepted(both("CODE1", 1))), shared(2, unknown())];
    must_find("one", &found_in(known(), once, vec![both("CODE1", 1)]), "");
    let twice = vec![shared(1, accepted(both("CODE1", 1))), shared(2, unknown())];
    let end = vec![both("CODE1", 1), both("CODE2", 2)];
    must_find("two", &found_in(known(), twice, end), "order_ref a has CODE1 and CODE2");
}

#[test]
fn imports_of_lines() {
    let new = || (import("CODE1"), imported(ImportOutcome::Imported));
    let known = || (import("CODE1"), imported(ImportOutcome::AlreadyThere));
    let taken = || (import("CODE1"), imported(ImportOutcome::CodeTaken));
    let (made, there) = (ImportOutcome::Imported, ImportOutcome::AlreadyThere);
    let refused = ImportOutcome::Refused(Refusal::ExpiryDayClosed);
    let closed = || (import("CODE1"), imported(refused));
    let late = |outcome| {
        let over =
            ImportLine { expires_at: NOW.plus_ms(-2 * coupon::time::DAY_MS), ..line("CODE1") };
        (import_of(over), imported(outcome))
    };
    let gone = || (read("CODE1"), RecordedAnswer::Read(None));
    let end = || vec![c(&[])];
    try_rows(vec![
        ("twice", vec![new(), known()], end(), ""),
        ("imported twice", vec![new(), new()], end(), "imported a second time"),
        ("lost", vec![new()], vec![], "it was imported, and it is not there"),
        ("there before", vec![known()], end(), "already there, and it was not"),
        ("taken", vec![new(), taken()], end(), "an equal line was imported before"),
        ("closed", vec![closed()], vec![], "its expiry day is not over"),
        ("its row came late", vec![late(refused), late(there), gone()], vec![], ""),
        ("and was acknowledged", vec![late(refused), late(made), gone()], vec![], "is not there"),
        ("not there yet", vec![gone(), new()], end(), ""),
        ("gone", vec![new(), gone()], end(), "CODE1 is not found"),
    ]);
}

#[test]
fn the_end() {
    let counts = |issued| CampaignCounts { stock: 2, issued, redeemed: 0, void: 0 };
    let calls = [give()].map(|(asked, told)| RecordedCall {
        process: 0,
        began_ms: 0,
        ended_ms: Some(4),
        clock: NOW,
        asked,
        told,
    });
    let id = campaign().id;
    let campaigns = [(id.clone(), KnownCampaign::of(&campaign(), 2))].into();
    let known = KnownWorld { campaigns, ..KnownWorld::default() };
    let batch: BatchId = "first".parse().unwrap();
    let rows = [
        ("as it is", counts(1), 1, vec![], ""),
        ("one more is counted", counts(2), 1, vec![], "[2, 0, 0] are counted"),
        ("a batch has lost one", counts(1), 0, vec![], "0 coupons counted, 1 there"),
        ("a finding", counts(1), 1, vec!["a lease is left".to_owned()], "a lease is left"),
    ];
    for (name, counts, size, findings, want) in rows {
        let coupons = [(code("CODE1"), snapshot(c(&anns())))].into();
        let (counts, batches) =
            ([(id.clone(), counts)].into(), [((id.clone(), batch.clone()), size)].into());
        let end = SeedEnd { coupons, counts, batches, findings, ..SeedEnd::default() };
        must_find(name, &check(&known, &calls, &end), want);
    }
}

#[test]
fn a_violation_names_its_calls() {
    let calls = vec![give(), pay()];
    let found = found(calls, vec![c(&anns())]);
    let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("\n  shown by the calls 1"), "{text}");
}
