use std::sync::Arc;

use cold::ColdCopy;
use coupon::calendar::Zone;
use coupon::campaign::{Campaign, Handout};
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, OperationId};
use coupon::time::Millis;
use hot::PartitionPlan;
use hot::inventory::{Atomicity, EntryIs, EntryItem, IndexRowKind, RowIs, RowItem};
use router::Owner;

use super::*;

/// 2031-12-31.
const DAY: Day = Day(22_644);

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
        zone: Zone::utc(),
        valid_days: None,
        issue_from: None,
        issue_until: None,
        per_user_limit: Some(1),
        cancel_days: 0,
        extend_days: 0,
        paused: false,
        metadata: None,
        created_at: Millis(4),
    }
}

fn issued(to: &str) -> EventKind {
    EventKind::Issued { to: to.parse().unwrap(), reference: None, expires_at: None }
}

fn redeemed(by: &str) -> EventKind {
    EventKind::Redeemed { by: Some(by.parse().unwrap()), order: "o1".parse().unwrap() }
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

fn here(coupon: Coupon) -> RowItem {
    row(RowIs::Coupon { coupon: Box::new(coupon), differs: None })
}

fn archived_marker(version: u64) -> RowItem {
    row(RowIs::ArchivedMarker { version })
}

fn archived(coupon: Coupon) -> ColdCopy {
    ColdCopy { file: "a.parquet".into(), coupon: Ok(Box::new(coupon)), differs: None }
}

fn entry(day: Day) -> Asked<Option<EntryItem>> {
    let line = Some((Millis(5), DAY.end(), "available".to_owned()));
    let is = EntryIs::Coupon { owner: owner(), day, line };
    Asked::Is(Some(EntryItem { code: "CODE01".to_owned(), is }))
}

fn view(rows: Vec<RowItem>, copies: Vec<ColdCopy>) -> View {
    let plan = PartitionPlan {
        day: DAY,
        seal_after: DAY.end(),
        sealed: false,
        archive_commit: 3,
        emptied: false,
    };
    View {
        day: DAY,
        code: "CODE01".to_owned(),
        plan: Some(plan),
        rows,
        copies,
        cold_archive_commit: 3,
        cold_whole: true,
        home: Home::Minted { owner: owner(), day: DAY, dates: [Millis(5), DAY.end(), Millis(4)] },
        terms: Some(Arc::new(terms())),
        entry: Asked::Not,
        claimed: Asked::Is(true),
        unindexed: Vec::new(),
        atomicity: Atomicity::OneTransaction,
    }
}

type Change = fn(&mut View);

/// A name, a view with a change, the findings and the notes.
type Row = (&'static str, View, Change, &'static [Kind], &'static [Note]);

fn as_it_is(_: &mut View) {}

fn sealed(view: &mut View) {
    view.plan = view.plan.map(|plan| PartitionPlan { sealed: true, ..plan });
}

fn emptied(view: &mut View) {
    view.plan = view.plan.map(|plan| PartitionPlan { sealed: true, emptied: true, ..plan });
}

fn foreign(view: &mut View) {
    view.home = Home::Foreign;
    view.entry = entry(DAY);
}

#[test]
fn views() {
    use Kind::{
        ArchivedMarkerAlone, ClaimMissing, ColdTwice, CopiesDiffer, EntryMissing, EventsInvalid,
        HotAndCold, HotOlder, IndexRowMissing, LeftBehind, MoveLost, OriginDiffers, RowMissing,
        RowNotItsEvents, RowUnreadable, Twice, WrongPartition,
    };
    let later = Day(DAY.0 + 9);
    let moved = || coupon(vec![issued("ann"), extended(Day(DAY.0 + 9))], 2);
    let rows: Vec<Row> = vec![
        ("a row", view(vec![here(spent())], vec![]), as_it_is, &[], &[]),
        (
            "an archived marker and its coupon",
            view(vec![archived_marker(2)], vec![archived(spent())]),
            as_it_is,
            &[],
            &[],
        ),
        ("only in cold, sealed", view(vec![], vec![archived(spent())]), sealed, &[], &[]),
        ("only in cold, emptied", view(vec![], vec![archived(spent())]), emptied, &[], &[]),
        ("only in cold, open", view(vec![], vec![archived(spent())]), as_it_is, &[RowMissing], &[]),
        (
            "only in cold, of an unknown campaign",
            view(vec![], vec![archived(spent())]),
            |view| view.terms = None,
            &[],
            &[Note::Stranger],
        ),
        (
            "a row of an unknown batch",
            view(vec![here(spent())], vec![]),
            |view| view.terms = None,
            &[OriginDiffers],
            &[],
        ),
        (
            "in both, unfinished",
            view(vec![here(spent())], vec![archived(spent())]),
            |view| view.cold_archive_commit = 4,
            &[],
            &[Note::ArchiveCommitUnfinished],
        ),
        (
            "in both, finished",
            view(vec![here(spent())], vec![archived(spent())]),
            as_it_is,
            &[HotAndCold],
            &[],
        ),
        (
            "in both, with another history",
            view(
                vec![here(coupon(vec![issued("bob"), redeemed("bob")], 2))],
                vec![archived(spent())],
            ),
            |view| view.cold_archive_commit = 4,
            &[CopiesDiffer],
            &[],
        ),
        (
            "hot is newer",
            view(vec![here(spent())], vec![archived(coupon(vec![issued("ann")], 1))]),
            as_it_is,
            &[],
            &[Note::HotNewer],
        ),
        (
            "hot has another history",
            view(vec![here(spent())], vec![archived(coupon(vec![issued("bob")], 1))]),
            as_it_is,
            &[CopiesDiffer],
            &[],
        ),
        (
            "hot is older",
            view(vec![here(coupon(vec![issued("ann")], 1))], vec![archived(spent())]),
            as_it_is,
            &[HotOlder],
            &[],
        ),
        (
            "an archived marker alone",
            view(vec![archived_marker(2)], vec![]),
            as_it_is,
            &[ArchivedMarkerAlone],
            &[],
        ),
        (
            "an archived marker behind a damaged file",
            view(vec![archived_marker(2)], vec![]),
            |view| view.cold_whole = false,
            &[],
            &[Note::BehindDamage],
        ),
        (
            "an archived marker of a later version",
            view(vec![archived_marker(3)], vec![archived(spent())]),
            as_it_is,
            &[ArchivedMarkerAlone],
            &[],
        ),
        (
            "twice in cold",
            view(vec![archived_marker(2)], vec![archived(spent()), archived(spent())]),
            as_it_is,
            &[ColdTwice],
            &[],
        ),
        (
            "in cold in two versions",
            view(
                vec![archived_marker(2)],
                vec![archived(coupon(vec![issued("ann")], 1)), archived(spent())],
            ),
            as_it_is,
            &[],
            &[],
        ),
        (
            "in cold in two versions that do not follow",
            view(
                vec![archived_marker(2)],
                vec![archived(coupon(vec![issued("bob")], 1)), archived(spent())],
            ),
            as_it_is,
            &[CopiesDiffer],
            &[],
        ),
        (
            "a row and an archived marker",
            view(vec![here(spent()), archived_marker(2)], vec![archived(spent())]),
            |view| view.cold_archive_commit = 4,
            &[Twice],
            &[Note::ArchiveCommitUnfinished],
        ),
        ("in an emptied partition", view(vec![here(spent())], vec![]), emptied, &[LeftBehind], &[]),
        (
            "on a day without a plan",
            view(vec![here(spent())], vec![]),
            |view| view.plan = None,
            &[WrongPartition],
            &[],
        ),
        (
            "in the wrong place",
            view(vec![here(spent())], vec![]),
            |view| view.rows[0].astray = Some("there".to_owned()),
            &[WrongPartition],
            &[],
        ),
        (
            "with another partition's expiry",
            view(vec![here(moved())], vec![]),
            as_it_is,
            &[WrongPartition],
            &[],
        ),
        (
            "unreadable",
            view(vec![row(RowIs::Unreadable("why".to_owned()))], vec![]),
            as_it_is,
            &[RowUnreadable],
            &[],
        ),
        (
            "a column differs from the events",
            view(
                vec![row(RowIs::Coupon {
                    coupon: Box::new(spent()),
                    differs: Some("state is void".to_owned()),
                })],
                vec![],
            ),
            as_it_is,
            &[RowNotItsEvents],
            &[],
        ),
        (
            "no rule admits its events",
            view(vec![here(coupon(vec![issued("ann"), redeemed("bob")], 2))], vec![]),
            as_it_is,
            &[EventsInvalid],
            &[],
        ),
        (
            "with other dates than its batch",
            view(vec![here(spent())], vec![]),
            |view| {
                view.home = Home::Minted {
                    owner: owner(),
                    day: DAY,
                    dates: [Millis(6), DAY.end(), Millis(4)],
                };
            },
            &[OriginDiffers],
            &[],
        ),
        ("foreign", view(vec![here(spent())], vec![]), foreign, &[], &[]),
        (
            "foreign and not in the directory",
            view(vec![here(spent())], vec![]),
            |view| {
                foreign(view);
                view.entry = Asked::Is(None);
            },
            &[EntryMissing],
            &[],
        ),
        (
            "foreign, and in another partition in the directory",
            view(vec![here(spent())], vec![]),
            |view| {
                foreign(view);
                view.entry = entry(Day(DAY.0 + 1));
            },
            &[WrongPartition],
            &[],
        ),
        (
            "extended to here",
            view(vec![here(moved())], vec![]),
            |view| (view.day, view.entry) = (Day(DAY.0 + 9), entry(Day(DAY.0 + 9))),
            &[],
            &[],
        ),
        (
            "extended to here and not in the directory",
            view(vec![here(moved())], vec![]),
            |view| (view.day, view.entry) = (Day(DAY.0 + 9), Asked::Is(None)),
            &[EntryMissing],
            &[],
        ),
        (
            "the same, step by step",
            view(vec![here(moved())], vec![]),
            |view| {
                (view.day, view.entry) = (Day(DAY.0 + 9), Asked::Is(None));
                view.atomicity = Atomicity::StepByStep;
            },
            &[],
            &[Note::MoveUnfinished],
        ),
        (
            "extended to a later partition",
            view(vec![row(RowIs::Forwarding { to: later })], vec![]),
            |view| view.entry = entry(Day(DAY.0 + 9)),
            &[],
            &[],
        ),
        (
            "extended and not arrived",
            view(vec![row(RowIs::Forwarding { to: later })], vec![]),
            |view| view.entry = Asked::Is(None),
            &[],
            &[Note::MoveUnfinished],
        ),
        (
            "extended, not arrived, and the partition is sealed",
            view(vec![row(RowIs::Forwarding { to: later })], vec![]),
            |view| {
                sealed(view);
                view.entry = Asked::Is(None);
            },
            &[MoveLost],
            &[],
        ),
        (
            "a holder without a claim",
            view(vec![here(spent())], vec![]),
            |view| view.claimed = Asked::Is(false),
            &[ClaimMissing],
            &[],
        ),
        (
            "without two index rows",
            view(vec![here(spent())], vec![]),
            |view| view.unindexed = vec![IndexRowKind::Wallet, IndexRowKind::Expiring],
            &[IndexRowMissing, IndexRowMissing],
            &[],
        ),
    ];
    for (name, mut view, change, findings, notes) in rows {
        change(&mut view);
        let judged = judge(&view);
        let found: Vec<Kind> = judged.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(found, findings, "{name}: {:#?}", judged.findings);
        assert_eq!(judged.notes, notes, "{name}");
    }
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
        assert_eq!(about, want.map(|about| (Kind::CannotBeArchived, about)), "{name}: {found:?}");
    }
}

#[test]
fn texts_that_are_codes() {
    for (text, is) in [("CODE01", true), ("code01", false), ("CO", false), ("CODE-01", false)] {
        assert_eq!(code_of(text).is_some(), is, "{text}");
    }
}
