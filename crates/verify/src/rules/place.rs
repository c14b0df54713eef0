//! The place of a coupon: its partition, and what the directory says of it.

use cold::ColdStore;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::inventory::{Atomicity, EntryIs, EntryItem};

use super::view::cold_place;
use super::{CodeHome, CodeJudge, CodeView, TableAnswer};
use crate::finding::{Finding, FindingKind, Note};

impl CodeJudge<'_> {
    /// The directory names the new partition of a coupon that was moved, unless the move is unfinished:
    /// whoever meets the forwarding row finishes it.
    pub(super) fn moved(&mut self, to: Day) {
        let view = self.view;
        let TableAnswer::Is(entry) = &view.entry else { return };
        match (entered(entry.as_ref()), view.is_sealed()) {
            (Some(day), _) if day >= to => {}
            (_, false) => self.note(Note::MoveUnfinished),
            (_, true) => {
                let one = (view.hot_place(), format!("moved to {to}"));
                let other = ("the directory", entry_says(entry.as_ref()));
                self.find(FindingKind::MoveLost, one, other);
            }
        }
    }

    pub(super) fn place(&mut self, coupon: &Coupon) {
        let view = self.view;
        let lies = || {
            let place = match (view.hot_coupon(), view.copies.first()) {
                (Some(_), _) | (None, None) => view.hot_place(),
                (None, Some(copy)) => cold_place(copy),
            };
            (place, format!("a row in partition {}", view.day))
        };
        let partition = Day::expiry_day_of(coupon.lasts_until());
        if partition != view.day {
            let expiry = ("its expiry", format!("partition {partition}"));
            return self.find(FindingKind::WrongPartition, lies(), expiry);
        }
        let TableAnswer::Is(entry) = &view.entry else { return };
        let directory = || ("the directory", entry_says(entry.as_ref()));
        match (&view.home, entered(entry.as_ref())) {
            (_, Some(day)) if day == view.day => {}
            (CodeHome::Minted { day, .. }, None) if *day == view.day => {}
            (home, entered) if is_on_its_way(view, home, entered) => {
                self.note(Note::MoveUnfinished);
            }
            (_, None) => self.find(FindingKind::EntryMissing, lies(), directory()),
            (_, Some(_)) => self.find(FindingKind::WrongPartition, lies(), directory()),
        }
    }
}

/// The partition that the entry names.
fn entered(entry: Option<&EntryItem>) -> Option<Day> {
    match entry.map(|entry| &entry.is) {
        Some(EntryIs::Coupon { day, .. }) => Some(*day),
        _ => None,
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
    let one = ("hot", "it has this partition");
    let other = ("cold", error.to_string());
    Some(Finding::new(FindingKind::CannotBeArchived, day.to_string(), one, other))
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
