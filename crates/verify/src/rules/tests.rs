use std::sync::Arc;

use cold::ColdCopy;
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, CampaignWorth, Handout};
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::time::Millis;
use hot::PartitionPlan;
use hot::inventory::{Atomicity, EntryIs, EntryItem, IndexRowKind, RowIs, RowItem};
use router::Owner;

use super::*;

/// 2031-12-31.
const DAY: Day = Day(22_644);

const LATER: Day = Day(DAY.0 + 9);

fn owner() -> Owner {
    Owner { campaign: "c".parse().unwrap(), batch: "first".parse().unwrap() }
}

fn terms() -> Campaign {
    Campaign {
        id: owner().campaign,
        name: "C".to_owned(),
        handout: Handout::Shop,
        shared_code: None,
        code_prefix: None,
        valid_from: Millis(5),
        expires_at: DAY.end(),
        earlier_ends: Vec::new(),
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 0,
        extend_days: 0,
        paused: false,
        metadata: None,
        worth: CampaignWorth::default(),
        created_at: Millis(4),
    }
}

fn issued(to: &str) -> EventKind {
    EventKind::Issued { to: to.parse().unwrap(), reference: None, expires_at: None }
}

fn redeemed(by: &str) -> EventKind {
    EventKind::Redeemed { by: Some(by.parse().unwrap()), order: "o1".parse().unwrap(), worth: None }
}

fn extended(until: Day) -> EventKind {
    EventKind::Extended { expires_at: until.end(), zone: Zone::utc(), reason: None }
}

fn coupon(kinds: Vec<EventKind>, version: u64) -> Coupon {
    let genesis = Genesis {
        code: "CODE01".parse().unwrap(),
        campaign: owner().campaign,
        batch: owner().batch,
        valid_from: Millis(5),
        expires_at: DAY.end(),
        zone: Zone::utc(),
        created_at: Millis(4),
    };
    let event =
        |kind| Event { at: Millis(9), actor: Actor::new("a"), operation: OperationId(1), kind };
    Coupon::of(genesis, kinds.into_iter().map(event).collect(), None, version, Millis(9))
}

/// Issued to ann, who redeemed it.
fn spent() -> Coupon {
    coupon(vec![issued("ann"), redeemed("ann")], 2)
}

fn row(is: RowIs) -> RowItem {
    RowItem { day: DAY, code: "CODE01".to_owned(), is, astray: None }
}

fn live(coupon: Coupon) -> RowIs {
    RowIs::Coupon { coupon: Box::new(coupon), differs: None }
}

fn marker(version: u64) -> RowItem {
    row(RowIs::ArchivedMarker { version })
}

fn archived(coupon: Coupon) -> ColdCopy {
    ColdCopy { file: "a.parquet".into(), coupon: Ok(Box::new(coupon)), differs: None }
}

fn entry(day: Day) -> TableAnswer<Option<EntryItem>> {
    let line = Some((Millis(5), DAY.end(), "available".to_owned()));
    let is = EntryIs::Coupon { owner: owner(), day, line };
    TableAnswer::Is(Some(EntryItem { code: "CODE01".to_owned(), is }))
}

fn view(rows: Vec<RowItem>, copies: Vec<ColdCopy>) -> CodeView {
    let plan = PartitionPlan {
        day: DAY,
        seal_after: DAY.end(),
        sealed: false,
        archive_commit: 3,
        emptied: false,
    };
    CodeView {
        day: DAY,
        code: "CODE01".to_owned(),
        plan: Some(plan),
        rows,
        copies,
        cold_archive_commit: 3,
        cold_whole: true,
        home: CodeHome::Minted {
            owner: owner(),
            day: DAY,
            dates: [Millis(5), DAY.end(), Millis(4)],
            earlier_ends: Vec::new(),
        },
        terms: Some(Arc::new(terms())),
        entry: TableAnswer::Not,
        claimed: TableAnswer::Is(true),
        unindexed: Vec::new(),
        atomicity: Atomicity::OneTransaction,
    }
}

/// A view with only this row in hot.
fn hot(is: RowIs) -> CodeView {
    view(vec![row(is)], vec![])
}

fn cold(coupon: Coupon) -> CodeView {
    view(vec![], vec![archived(coupon)])
}

fn both(hot: Coupon, cold: Coupon) -> CodeView {
    view(vec![row(live(hot))], vec![archived(cold)])
}

/// A view with an archived marker for this version, and these copies in cold.
fn marked<const N: usize>(version: u64, copies: [Coupon; N]) -> CodeView {
    view(vec![marker(version)], copies.map(archived).into())
}

type Change = fn(&mut CodeView);

/// A name, a view with a change, and the names of its findings and notes.
type Row = (&'static str, CodeView, Change, &'static str);

fn as_it_is(_: &mut CodeView) {}

fn sealed(view: &mut CodeView) {
    view.plan = view.plan.map(|plan| PartitionPlan { sealed: true, ..plan });
}

fn emptied(view: &mut CodeView) {
    view.plan = view.plan.map(|plan| PartitionPlan { sealed: true, emptied: true, ..plan });
}

fn unfinished(view: &mut CodeView) {
    view.cold_archive_commit = 4;
}

fn unknown(view: &mut CodeView) {
    view.terms = None;
}

fn foreign(view: &mut CodeView) {
    view.home = CodeHome::Foreign;
    view.entry = entry(DAY);
}

fn without_entry(view: &mut CodeView) {
    view.entry = TableAnswer::Is(None);
}

fn entered_later(view: &mut CodeView) {
    view.entry = entry(LATER);
}

fn on_a_later_day(view: &mut CodeView) {
    (view.day, view.entry) = (LATER, entry(LATER));
}

fn by_steps(view: &mut CodeView) {
    view.atomicity = Atomicity::StepByStep;
}

fn unindexed(view: &mut CodeView) {
    view.unindexed = vec![IndexRowKind::Wallet, IndexRowKind::Expiring];
}

/// Makes these changes one after the other.
macro_rules! all {
    ($($change:ident),+) => { |view| { $($change(view);)+ } };
}

fn judged(rows: Vec<Row>) {
    for (name, mut view, change, want) in rows {
        change(&mut view);
        let judged = judge(&view);
        let findings = judged.findings.iter().map(|finding| finding.kind.name());
        let notes = judged.notes.iter().map(|note| note.name());
        let found: Vec<&str> = findings.chain(notes).collect();
        assert_eq!(found.join(" "), want, "{name}: {:#?}", judged.findings);
    }
}

#[test]
fn one_tier_or_both() {
    let [ann, bob] = ["ann", "bob"].map(|user| coupon(vec![issued(user)], 1));
    let of_bob = coupon(vec![issued("bob"), redeemed("bob")], 2);
    let twice = || view(vec![row(live(spent())), marker(2)], vec![archived(spent())]);
    judged(vec![
        ("a row", hot(live(spent())), as_it_is, ""),
        ("an archived marker and its coupon", marked(2, [spent()]), as_it_is, ""),
        ("only in cold, sealed", cold(spent()), sealed, ""),
        ("only in cold, emptied", cold(spent()), emptied, ""),
        ("only in cold, open", cold(spent()), as_it_is, "row-missing"),
        ("only in cold, of an unknown campaign", cold(spent()), unknown, "stranger"),
        ("a row of an unknown batch", hot(live(spent())), unknown, "origin-differs"),
        ("in both, unfinished", both(spent(), spent()), unfinished, "archive-commit-unfinished"),
        ("in both, finished", both(spent(), spent()), as_it_is, "hot-and-cold"),
        ("in both, with another history", both(of_bob, spent()), unfinished, "copies-differ"),
        ("hot is newer", both(spent(), ann.clone()), as_it_is, "hot-newer"),
        ("hot has another history", both(spent(), bob.clone()), as_it_is, "copies-differ"),
        ("hot is older", both(ann.clone(), spent()), as_it_is, "hot-older"),
        ("an archived marker alone", marked(2, []), as_it_is, "archived-marker-alone"),
        ("behind a damaged file", marked(2, []), |view| view.cold_whole = false, "behind-damage"),
        ("of a later version", marked(3, [spent()]), as_it_is, "archived-marker-alone"),
        ("twice in cold", marked(2, [spent(), spent()]), as_it_is, "cold-twice"),
        ("in cold in two versions", marked(2, [ann, spent()]), as_it_is, ""),
        ("in two that do not follow", marked(2, [bob, spent()]), as_it_is, "copies-differ"),
        ("a row and a marker", twice(), unfinished, "twice archive-commit-unfinished"),
    ]);
}

#[test]
fn rows_and_their_places() {
    let moved = || hot(live(coupon(vec![issued("ann"), extended(LATER)], 2)));
    let forwarding = || hot(RowIs::Forwarding { to: LATER });
    let differs = Some("state is void".to_owned());
    let differing = RowIs::Coupon { coupon: Box::new(spent()), differs };
    let not_allowed = live(coupon(vec![issued("ann"), redeemed("bob")], 2));
    let spent = || hot(live(spent()));
    let other_dates: Change = |view| {
        let dates = [Millis(6), DAY.end(), Millis(4)];
        let earlier_ends = Vec::new();
        view.home = CodeHome::Minted { owner: owner(), day: DAY, dates, earlier_ends };
    };
    judged(vec![
        ("in an emptied partition", spent(), emptied, "left-behind"),
        ("on a day without a plan", spent(), |view| view.plan = None, "wrong-partition"),
        ("astray", spent(), |view| view.rows[0].astray = Some("?".into()), "wrong-partition"),
        ("with another partition's expiry", moved(), as_it_is, "wrong-partition"),
        ("unreadable", hot(RowIs::Unreadable("why".to_owned())), as_it_is, "row-unreadable"),
        ("a column differs from the events", hot(differing), as_it_is, "row-not-its-events"),
        ("no rule admits its events", hot(not_allowed), as_it_is, "events-invalid"),
        ("with other dates than its batch", spent(), other_dates, "origin-differs"),
        ("foreign", spent(), foreign, ""),
        ("not in the directory", spent(), all![foreign, without_entry], "entry-missing"),
        ("in another partition there", spent(), all![foreign, entered_later], "wrong-partition"),
        ("extended to here", moved(), on_a_later_day, ""),
        ("and not there", moved(), all![on_a_later_day, without_entry], "entry-missing"),
        (
            "the same, step by step",
            moved(),
            all![on_a_later_day, without_entry, by_steps],
            "move-unfinished",
        ),
        ("extended to a later partition", forwarding(), entered_later, ""),
        ("extended and not arrived", forwarding(), without_entry, "move-unfinished"),
        ("its partition is sealed", forwarding(), all![sealed, without_entry], "move-lost"),
        ("without a claim", spent(), |view| view.claimed = TableAnswer::Is(false), "claim-missing"),
        ("without two", spent(), unindexed, "index-row-missing index-row-missing"),
    ]);
}

#[test]
fn days_that_can_be_archived() {
    let (first, last) = (Day(0), Day(2_932_896));
    let cases = [
        ("the first", first, None),
        ("the day before it", Day(-1), Some("1970-01-01")),
        ("the last", last, None),
        ("the day after it", Day(last.0 + 1), Some("9999-12-31")),
        ("the last number", Day(i32::MAX), Some("9999-12-31")),
    ];
    for (name, day, want) in cases {
        let found = folder(day);
        let about = found.as_ref().map(|it| (it.kind, it.about.as_str()));
        assert_eq!(
            about,
            want.map(|about| (FindingKind::CannotBeArchived, about)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn texts_that_are_codes() {
    for (text, is) in [("CODE01", true), ("code01", false), ("CO", false), ("CODE-01", false)] {
        assert_eq!(code_of(text).is_some(), is, "{text}");
    }
}
