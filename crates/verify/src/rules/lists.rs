//! What leads to a coupon: the claim of its holder, and its index rows.

use coupon::coupon::Coupon;

use super::rows::said_of_coupon;
use super::{CodeJudge, TableAnswer};
use crate::finding::FindingKind;

impl CodeJudge<'_> {
    pub(super) fn lists(&mut self, coupon: &Coupon) {
        let view = self.view;
        let lies = || {
            let holder = coupon.holder().map_or("nobody", |holder| holder.as_str());
            (view.tier_place(), format!("{}, held by {holder}", said_of_coupon(coupon)))
        };
        if view.claimed == TableAnswer::Is(false) {
            let holder = coupon.holder().map_or("", |holder| holder.as_str());
            let claim = (format!("the claim of {holder}"), "does not name it");
            self.find(FindingKind::ClaimMissing, lies(), claim);
        }
        for index_row in &view.unindexed {
            let table = (format!("the table {}", index_row.as_str()), "does not have it");
            self.find(FindingKind::IndexRowMissing, lies(), table);
        }
    }
}
