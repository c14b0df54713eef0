//! The copies of a coupon in cold.

use coupon::coupon::Coupon;

use super::CodeJudge;
use super::rows::said_of_coupon;
use super::view::cold_place;
use crate::finding::{FindingKind, UNWRITTEN};

impl CodeJudge<'_> {
    pub(super) fn copies(&mut self) {
        let copies = &self.view.copies;
        for copy in copies {
            match &copy.coupon {
                Ok(coupon) => self.one_coupon(&cold_place(copy), coupon, copy.differs.as_deref()),
                Err(why) => {
                    self.find(FindingKind::RowUnreadable, (cold_place(copy), why), UNWRITTEN);
                }
            }
        }
        for (at, copy) in copies.iter().enumerate() {
            for other in &copies[..at] {
                let (Ok(one), Ok(two)) = (&copy.coupon, &other.coupon) else { continue };
                let first = (cold_place(other), said_of_coupon(two));
                let second = (cold_place(copy), said_of_coupon(one));
                if one.version() == two.version() {
                    self.find(FindingKind::ColdTwice, first, second);
                } else if !is_earlier(one, two) && !is_earlier(two, one) {
                    self.find(FindingKind::CopiesDiffer, first, second);
                }
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
