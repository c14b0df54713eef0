//! Hot against cold.

use std::cmp::Ordering;

use cold::ColdCopy;
use coupon::coupon::Coupon;
use coupon::time::Day;

use super::CodeJudge;
use super::copies::is_earlier;
use super::rows::said_of_coupon;
use super::view::cold_place;
use crate::finding::{FindingKind, Note, PlaceStatement};

impl CodeJudge<'_> {
    pub(super) fn tiers(&mut self) {
        let view = self.view;
        let copies = view.copies.iter();
        let readable = copies.filter_map(|copy| Some((copy, copy.coupon.as_deref().ok()?)));
        let newest = readable.max_by_key(|(_, coupon)| coupon.version());
        if let Some(version) = view.archived_marker() {
            self.archived_marker(version, newest);
        }
        if let Some(to) = view.forward_to() {
            self.moved(to);
        }
        let Some((copy, archived)) = newest else { return };
        let other = (cold_place(copy), said_of_coupon(archived));
        let Some(here) = view.hot_coupon() else {
            // A copy in a partition that is not its own has a finding of its own.
            let is_here = Day::expiry_day_of(archived.lasts_until()) == view.day;
            if view.rows.is_empty() && !view.is_sealed() && view.terms.is_some() && is_here {
                let one = (view.hot_place(), "neither a row nor an archived marker");
                self.find(FindingKind::RowMissing, one, other);
            }
            return;
        };
        let one = (view.hot_place(), said_of_coupon(here));
        let unfinished = view.plan.is_none_or(|it| it.archive_commit < view.cold_archive_commit);
        match here.version().cmp(&archived.version()) {
            Ordering::Less => self.find(FindingKind::HotOlder, one, other),
            Ordering::Greater if is_earlier(archived, here) => self.note(Note::HotNewer),
            Ordering::Greater => self.find(FindingKind::CopiesDiffer, one, other),
            Ordering::Equal if !is_same(here, archived) => {
                self.find(FindingKind::CopiesDiffer, one, other);
            }
            Ordering::Equal if unfinished => self.note(Note::ArchiveCommitUnfinished),
            Ordering::Equal => self.find(FindingKind::HotAndCold, one, other),
        }
    }

    /// An archived marker has a copy in cold of its version or a later one.
    fn archived_marker(&mut self, version: u64, newest: Option<(&ColdCopy, &Coupon)>) {
        let view = self.view;
        let unreadable = view.copies.iter().any(|copy| copy.coupon.is_err());
        if unreadable || newest.is_some_and(|(_, coupon)| coupon.version() >= version) {
            return;
        }
        let other: PlaceStatement = match (newest, view.cold_whole) {
            (None, false) => return self.note(Note::BehindDamage),
            (None, true) => {
                (format!("cold, partition {}", view.day), "there is no such coupon").into()
            }
            (Some((copy, coupon)), _) => (cold_place(copy), said_of_coupon(coupon)).into(),
        };
        let one = (view.hot_place(), format!("an archived marker for version {version}"));
        self.find(FindingKind::ArchivedMarkerAlone, one, other);
    }
}

/// Without the hold: an archived coupon has none.
fn is_same(hot: &Coupon, cold: &Coupon) -> bool {
    hot.genesis() == cold.genesis()
        && hot.events() == cold.events()
        && hot.modified_at() == cold.modified_at()
}
