//! The rows of hot, each by itself.

use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use hot::PartitionPlan;
use hot::inventory::{RowIs, RowItem};

use super::CodeJudge;
use crate::finding::{FindingKind, UNWRITTEN};

impl CodeJudge<'_> {
    pub(super) fn rows(&mut self) {
        let view = self.view;
        let says = |row: &RowItem| (view.hot_place(), said_of(&row.is));
        for row in &view.rows {
            if let Some(astray) = &row.astray {
                let code = ("its code", "leads elsewhere");
                self.find(FindingKind::WrongPartition, (view.hot_place(), astray), code);
            }
            match &row.is {
                RowIs::Coupon { coupon, differs } => {
                    self.one_coupon(&view.hot_place(), coupon, differs.as_deref());
                }
                RowIs::Unreadable(why) => {
                    self.find(FindingKind::RowUnreadable, (view.hot_place(), why), UNWRITTEN);
                }
                RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => {}
            }
        }
        if let [one, other, ..] = view.rows.as_slice() {
            self.find(FindingKind::Twice, says(one), says(other));
        }
        match (view.plan, view.rows.first()) {
            (None, Some(row)) => {
                let plan = ("the plan of the day", "there is none");
                self.find(FindingKind::WrongPartition, says(row), plan);
            }
            (Some(PartitionPlan { emptied: true, .. }), Some(row)) => {
                let plan = ("the plan of the day", "the partition was emptied");
                self.find(FindingKind::LeftBehind, says(row), plan);
            }
            (_, _) => {}
        }
    }

    /// Checks that a coupon is what its events say, and that the rules allow the events.
    pub(super) fn one_coupon(&mut self, place: &str, coupon: &Coupon, differs: Option<&str>) {
        if let Some(differs) = differs {
            let events = ("its events", said_of_coupon(coupon));
            self.find(FindingKind::RowNotItsEvents, (place, differs), events);
        }
        if let Some(why) = invalid_history(coupon) {
            let rules = ("the rules", "admit no such change");
            self.find(FindingKind::EventsInvalid, (place, why), rules);
        }
    }
}

fn said_of(is: &RowIs) -> String {
    match is {
        RowIs::Coupon { coupon, .. } => said_of_coupon(coupon),
        RowIs::ArchivedMarker { version } => format!("an archived marker for version {version}"),
        RowIs::Forwarding { to } => format!("moved to partition {to}"),
        RowIs::Unreadable(why) => format!("unreadable: {why}"),
    }
}

pub(super) fn said_of_coupon(coupon: &Coupon) -> String {
    let (state, version) = (coupon.state().as_str(), coupon.version());
    format!("{state}, version {version}, {} events", coupon.events().len())
}
