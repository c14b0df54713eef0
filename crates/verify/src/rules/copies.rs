//! The copies of a coupon in cold.

use cold::ColdCopy;
use coupon::coupon::Coupon;

use super::rows::{one_coupon, said_of_coupon};
use super::view::cold_place;
use super::{CodeView, RuleResults};
use crate::finding::{FindingKind, PlaceStatement};

pub(super) fn copies(view: &CodeView, judged: &mut RuleResults) {
    for copy in &view.copies {
        match &copy.coupon {
            Ok(coupon) => {
                one_coupon(view, &cold_place(copy), coupon, copy.differs.as_deref(), judged);
            }
            Err(why) => {
                let other = PlaceStatement::new("this release", "cannot have written that");
                let one = PlaceStatement::new(cold_place(copy), why);
                judged.find(FindingKind::RowUnreadable, &view.code, one, other);
            }
        }
    }
    for (at, copy) in view.copies.iter().enumerate() {
        for other in &view.copies[..at] {
            let (Ok(one), Ok(two)) = (&copy.coupon, &other.coupon) else { continue };
            let says = |copy: &ColdCopy, it: &Coupon| {
                PlaceStatement::new(cold_place(copy), said_of_coupon(it))
            };
            let (first, second) = (says(other, two), says(copy, one));
            if one.version() == two.version() {
                judged.find(FindingKind::ColdTwice, &view.code, first, second);
            } else if !is_earlier(one, two) && !is_earlier(two, one) {
                judged.find(FindingKind::CopiesDiffer, &view.code, first, second);
            }
        }
    }
}

/// Whether `early` may have become `late`: both came with the same, and the events of `late` begin with
/// those of `early`.
pub(super) fn is_earlier(early: &Coupon, late: &Coupon) -> bool {
    early.version() < late.version()
        && early.genesis() == late.genesis()
        && late.events().starts_with(early.events())
}
