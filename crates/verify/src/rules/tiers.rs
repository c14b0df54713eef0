//! Hot against cold.

use std::cmp::Ordering;

use cold::ColdCopy;
use coupon::coupon::Coupon;
use coupon::time::Day;

use super::copies::is_earlier;
use super::place::moved;
use super::rows::said_of_coupon;
use super::view::cold_place;
use super::{CodeView, RuleResults};
use crate::finding::{FindingKind, Note, PlaceStatement};

pub(super) fn tiers(view: &CodeView, judged: &mut RuleResults) {
    let newest = view.copies.iter().filter_map(|copy| Some((copy, copy.coupon.as_deref().ok()?)));
    let newest = newest.max_by_key(|(_, coupon)| coupon.version());
    let code = &view.code;
    if let Some(version) = view.archived_marker() {
        archived_marker(view, version, newest, judged);
    }
    if let Some(to) = view.forward_to() {
        moved(view, to, judged);
    }
    let Some((copy, archived)) = newest else { return };
    let other = PlaceStatement::new(cold_place(copy), said_of_coupon(archived));
    let unfinished = view.plan.is_none_or(|plan| plan.archive_commit < view.cold_archive_commit);
    let Some(here) = view.hot_coupon() else {
        // A copy in a partition that is not its own has a finding of its own.
        let is_here = Day::expiry_day_of(archived.lasts_until()) == view.day;
        if view.rows.is_empty() && !view.is_sealed() && view.terms.is_some() && is_here {
            let one = PlaceStatement::new(view.hot_place(), "neither a row nor an archived marker");
            judged.find(FindingKind::RowMissing, code, one, other);
        }
        return;
    };
    let one = PlaceStatement::new(view.hot_place(), said_of_coupon(here));
    match here.version().cmp(&archived.version()) {
        Ordering::Less => judged.find(FindingKind::HotOlder, code, one, other),
        Ordering::Greater if is_earlier(archived, here) => {
            judged.notes.push(Note::HotNewer);
        }
        Ordering::Greater => judged.find(FindingKind::CopiesDiffer, code, one, other),
        Ordering::Equal if !is_same(here, archived) => {
            judged.find(FindingKind::CopiesDiffer, code, one, other);
        }
        Ordering::Equal if unfinished => judged.notes.push(Note::ArchiveCommitUnfinished),
        Ordering::Equal => judged.find(FindingKind::HotAndCold, code, one, other),
    }
}

/// Without the hold: an archived coupon has none.
fn is_same(hot: &Coupon, cold: &Coupon) -> bool {
    hot.genesis() == cold.genesis()
        && hot.events() == cold.events()
        && hot.modified_at() == cold.modified_at()
}

/// An archived marker has a copy in cold of its version or a later one.
fn archived_marker(
    view: &CodeView,
    version: u64,
    newest: Option<(&ColdCopy, &Coupon)>,
    judged: &mut RuleResults,
) {
    let unreadable = view.copies.iter().any(|copy| copy.coupon.is_err());
    if unreadable || newest.is_some_and(|(_, coupon)| coupon.version() >= version) {
        return;
    }
    let one =
        PlaceStatement::new(view.hot_place(), format!("an archived marker for version {version}"));
    let other = match (newest, view.cold_whole) {
        (None, false) => return judged.notes.push(Note::BehindDamage),
        (None, true) => {
            PlaceStatement::new(format!("cold, partition {}", view.day), "there is no such coupon")
        }
        (Some((copy, coupon)), _) => PlaceStatement::new(cold_place(copy), said_of_coupon(coupon)),
    };
    judged.find(FindingKind::ArchivedMarkerAlone, &view.code, one, other);
}
