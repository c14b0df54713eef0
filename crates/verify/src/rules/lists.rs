//! What leads to a coupon: the claim of its holder, and its index rows.

use coupon::coupon::Coupon;

use super::rows::said_of_coupon;
use super::{CodeView, RuleResults, TableAnswer};
use crate::finding::{FindingKind, PlaceStatement};

pub(super) fn lists(view: &CodeView, coupon: &Coupon, judged: &mut RuleResults) {
    let lies = || {
        let tier = if view.hot_coupon().is_some() { "hot" } else { "cold" };
        let place = format!("{tier}, partition {}", view.day);
        let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
        PlaceStatement::new(place, format!("{}, held by {holder}", said_of_coupon(coupon)))
    };
    if view.claimed == TableAnswer::Is(false) {
        let holder = coupon.holder().map_or("", |holder| holder.as_str());
        let other = PlaceStatement::new(format!("the claim of {holder}"), "does not name it");
        judged.find(FindingKind::ClaimMissing, &view.code, lies(), other);
    }
    for index_row in &view.unindexed {
        let other =
            PlaceStatement::new(format!("the table {}", index_row.as_str()), "does not have it");
        judged.find(FindingKind::IndexRowMissing, &view.code, lies(), other);
    }
}
