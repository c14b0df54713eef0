//! The place of a coupon: its partition, and what the directory says of it.

use cold::ColdStore;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{Atomicity, EntryIs, EntryItem};

use super::view::cold_place;
use super::{CodeHome, CodeView, RuleResults, TableAnswer};
use crate::finding::{Finding, FindingKind, Note, PlaceStatement};

/// The directory names the new partition of a coupon that was moved, unless the move is unfinished:
/// whoever meets the forwarding row finishes it.
pub(super) fn moved(view: &CodeView, to: Day, judged: &mut RuleResults) {
    let TableAnswer::Is(entry) = &view.entry else { return };
    let arrived = entry
        .as_ref()
        .is_some_and(|entry| matches!(&entry.is, EntryIs::Coupon { day, .. } if *day >= to));
    match (arrived, view.is_sealed()) {
        (true, _) => {}
        (false, false) => judged.notes.push(Note::MoveUnfinished),
        (false, true) => {
            let one = PlaceStatement::new(view.hot_place(), format!("moved to {to}"));
            let other = PlaceStatement::new("the directory", entry_says(entry.as_ref()));
            judged.find(FindingKind::MoveLost, &view.code, one, other);
        }
    }
}

fn entry_says(entry: Option<&EntryItem>) -> String {
    match entry.map(|entry| &entry.is) {
        None => "nothing".to_owned(),
        Some(EntryIs::Gone) => "gone, with a campaign that is not known here".to_owned(),
        Some(EntryIs::Shared { campaign }) => format!("the word of campaign {campaign}"),
        Some(EntryIs::Coupon { day, owner, .. }) => {
            format!("a coupon of {}, {} in partition {day}", owner.campaign, owner.batch)
        }
        Some(EntryIs::Unreadable(why)) => format!("unreadable: {why}"),
    }
}

/// The finding if the partition of a day can never be archived.
pub(crate) fn folder(day: Day) -> Option<Finding> {
    let error = ColdStore::check_day(day).err()?;
    let one = PlaceStatement::new("hot", "it has this partition");
    let (about, other) = (day.to_string(), PlaceStatement::new("cold", error.to_string()));
    Some(Finding { kind: FindingKind::CannotBeArchived, about, one, other })
}

pub(super) fn place(view: &CodeView, coupon: &Coupon, judged: &mut RuleResults) {
    let lies = match (view.hot_coupon(), view.copies.first()) {
        (Some(_), _) | (None, None) => view.hot_place(),
        (None, Some(copy)) => cold_place(copy),
    };
    let lies = PlaceStatement::new(lies, format!("a row in partition {}", view.day));
    let partition = Day::expiry_day_of(coupon.lasts_until());
    if partition != view.day {
        let other = PlaceStatement::new("its expiry", format!("partition {partition}"));
        return judged.find(FindingKind::WrongPartition, &view.code, lies, other);
    }
    let TableAnswer::Is(entry) = &view.entry else { return };
    let entered = match entry.as_ref().map(|entry| &entry.is) {
        Some(EntryIs::Coupon { day, .. }) => Some(*day),
        _ => None,
    };
    let other = PlaceStatement::new("the directory", entry_says(entry.as_ref()));
    match (&view.home, entered) {
        (_, Some(day)) if day == view.day => {}
        (CodeHome::Minted { day, .. }, None) if *day == view.day => {}
        (home, entered) if is_on_its_way(view, home, entered) => {
            judged.notes.push(Note::MoveUnfinished);
        }
        (_, None) => judged.find(FindingKind::EntryMissing, &view.code, lies, other),
        (_, Some(_)) => judged.find(FindingKind::WrongPartition, &view.code, lies, other),
    }
}

/// Whether the coupon is here and the directory does not say so yet. On a cluster this lasts for a moment,
/// and after a killed process until somebody meets the forwarding row.
fn is_on_its_way(view: &CodeView, home: &CodeHome, entered: Option<Day>) -> bool {
    let from = match home {
        CodeHome::Minted { day, .. } => entered.or(Some(*day)),
        CodeHome::Foreign => entered,
    };
    view.atomicity == Atomicity::StepByStep
        && !view.is_sealed()
        && from.is_some_and(|day| day < view.day)
}
