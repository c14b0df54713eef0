//! What leads to a coupon: the claim of its holder, and its index rows.

use coupon::coupon::Coupon;

use super::rows::said_of_coupon;
use super::{Asked, Judged, View};
use crate::finding::{Kind, Said};

pub(super) fn lists(view: &View, coupon: &Coupon, judged: &mut Judged) {
    let lies = || {
        let tier = if view.hot_coupon().is_some() { "hot" } else { "cold" };
        let place = format!("{tier}, partition {}", view.day);
        let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
        Said::new(place, format!("{}, held by {holder}", said_of_coupon(coupon)))
    };
    if view.claimed == Asked::Is(false) {
        let holder = coupon.holder().map_or("", |holder| holder.as_str());
        let other = Said::new(format!("the claim of {holder}"), "does not name it");
        judged.find(Kind::ClaimMissing, &view.code, lies(), other);
    }
    for index_row in &view.unindexed {
        let other = Said::new(format!("the table {}", index_row.as_str()), "does not have it");
        judged.find(Kind::IndexRowMissing, &view.code, lies(), other);
    }
}
