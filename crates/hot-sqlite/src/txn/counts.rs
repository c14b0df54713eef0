//! Counts of campaigns and batches, added up in memory: a transaction writes each once, before its
//! commit.

use std::cell::RefCell;
use std::collections::BTreeMap;

use coupon::coupon::{Coupon, State};
use coupon::time::Millis;
use coupon::worth::WorthSums;
use hot::protocol::StateCounts;

#[derive(Default)]
pub(crate) struct CountShifts {
    /// By the number of the campaign.
    pub(super) shifts: RefCell<BTreeMap<i64, CampaignShift>>,
    /// By the number of the batch.
    pub(super) arrivals: RefCell<BTreeMap<i64, i64>>,
    /// By the number of the campaign.
    pub(super) untold: RefCell<BTreeMap<i64, WorthSums>>,
}

/// What is added to the counts of a campaign.
#[derive(Clone, Copy, Default)]
pub(super) struct CampaignShift {
    pub(super) stock: i64,
    pub(super) states: StateCounts,
    /// What its redemptions cost.
    pub(super) spent: i64,
    /// When the last change of state was.
    pub(super) at: Option<Millis>,
}

impl CountShifts {
    pub(crate) fn change(&self, campaign: i64, from: &State, after: &Coupon) {
        let mut shifts = self.shifts.borrow_mut();
        let shift = shifts.entry(campaign).or_default();
        shift.states.change(from, after.state());
        shift.spent += after.state().discount().cast_signed() - from.discount().cast_signed();
        shift.at = shift.at.max(Some(after.modified_at()));
    }

    pub(crate) fn archive(&self, campaign: i64, state: &str) {
        self.shifts.borrow_mut().entry(campaign).or_default().states.archive(state);
    }

    pub(crate) fn arrive(&self, campaign: i64, batch: i64) {
        self.shifts.borrow_mut().entry(campaign).or_default().stock += 1;
        *self.arrivals.borrow_mut().entry(batch).or_default() += 1;
    }

    /// Amounts of redemptions of which the feed does not tell.
    pub(crate) fn redeemed_untold(&self, campaign: i64, worth: &WorthSums) {
        if !worth.is_empty() {
            self.untold.borrow_mut().entry(campaign).or_default().add(worth);
        }
    }

    /// What redemptions of a campaign cost that is not written yet.
    pub(crate) fn spent(&self, campaign: i64) -> i64 {
        self.shifts.borrow().get(&campaign).map_or(0, |shift| shift.spent)
    }
}
