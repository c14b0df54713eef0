//! Counts of campaigns and batches, added up in memory: a transaction writes each once, before its
//! commit.

use std::cell::RefCell;
use std::collections::BTreeMap;

use coupon::coupon::State;

/// What a transaction has changed so far.
#[derive(Default)]
pub(super) struct Counts {
    shifts: RefCell<BTreeMap<i64, Shift>>,
    arrivals: RefCell<BTreeMap<i64, i64>>,
}

/// What is added to the counts of a campaign.
#[derive(Clone, Copy, Default)]
pub(super) struct Shift {
    pub(super) stock: i64,
    pub(super) issued: i64,
    pub(super) redeemed: i64,
    pub(super) void: i64,
    pub(super) cold_issued: i64,
    pub(super) cold_redeemed: i64,
    pub(super) cold_void: i64,
}

impl Counts {
    pub(super) fn change(&self, campaign: i64, from: &State, to: &State) {
        let mut shifts = self.shifts.borrow_mut();
        let shift = shifts.entry(campaign).or_default();
        for (state, by) in [(from, -1), (to, 1)] {
            match state {
                State::Available => {}
                State::Issued { .. } => shift.issued += by,
                State::Redeemed { .. } => shift.redeemed += by,
                State::Void { .. } => shift.void += by,
            }
        }
    }

    pub(super) fn archive(&self, campaign: i64, state: &str) {
        let mut shifts = self.shifts.borrow_mut();
        let shift = shifts.entry(campaign).or_default();
        match state {
            "issued" => shift.cold_issued += 1,
            "redeemed" => shift.cold_redeemed += 1,
            "void" => shift.cold_void += 1,
            // What is available is not counted: it is what is left of the stock.
            _ => {}
        }
    }

    pub(super) fn arrive(&self, campaign: i64, batch: i64, count: i64) {
        self.shifts.borrow_mut().entry(campaign).or_default().stock += count;
        *self.arrivals.borrow_mut().entry(batch).or_default() += count;
    }

    /// What is added to each campaign, by number. Begins again from nothing.
    pub(super) fn take_shifts(&self) -> BTreeMap<i64, Shift> {
        self.shifts.take()
    }

    /// How many coupons are added to each batch, by number. Begins again from nothing.
    pub(super) fn take_arrivals(&self) -> BTreeMap<i64, i64> {
        self.arrivals.take()
    }
}
