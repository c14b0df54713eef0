//! The rows of hot, each by itself.

use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use hot::PartitionPlan;
use hot::inventory::{RowIs, RowItem};

use super::{CodeView, RuleResults};
use crate::finding::{FindingKind, PlaceStatement};

pub(super) fn rows(view: &CodeView, judged: &mut RuleResults) {
    for row in &view.rows {
        if let Some(astray) = &row.astray {
            let other = PlaceStatement::new("its code", "leads elsewhere");
            let one = PlaceStatement::new(view.hot_place(), astray);
            judged.find(FindingKind::WrongPartition, &view.code, one, other);
        }
        match &row.is {
            RowIs::Coupon { coupon, differs } => {
                one_coupon(view, &view.hot_place(), coupon, differs.as_deref(), judged);
            }
            RowIs::Unreadable(why) => {
                let other = PlaceStatement::new("this release", "cannot have written that");
                let one = PlaceStatement::new(view.hot_place(), why);
                judged.find(FindingKind::RowUnreadable, &view.code, one, other);
            }
            RowIs::ArchivedMarker { .. } | RowIs::Forwarding { .. } => {}
        }
    }
    if let [one, other, ..] = view.rows.as_slice() {
        let says = |row: &RowItem| PlaceStatement::new(view.hot_place(), said_of(&row.is));
        judged.find(FindingKind::Twice, &view.code, says(one), says(other));
    }
    if let (None, Some(row)) = (view.plan, view.rows.first()) {
        let one = PlaceStatement::new(view.hot_place(), said_of(&row.is));
        let other = PlaceStatement::new("the plan of the day", "there is none");
        judged.find(FindingKind::WrongPartition, &view.code, one, other);
    }
    if let (Some(PartitionPlan { emptied: true, .. }), Some(row)) = (view.plan, view.rows.first()) {
        let one = PlaceStatement::new(view.hot_place(), said_of(&row.is));
        let other = PlaceStatement::new("the plan of the day", "the partition was emptied");
        judged.find(FindingKind::LeftBehind, &view.code, one, other);
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

/// Checks that a coupon is what its events say, and that the rules allow the events.
pub(super) fn one_coupon(
    view: &CodeView,
    place: &str,
    coupon: &Coupon,
    differs: Option<&str>,
    judged: &mut RuleResults,
) {
    if let Some(differs) = differs {
        let other = PlaceStatement::new("its events", said_of_coupon(coupon));
        judged.find(
            FindingKind::RowNotItsEvents,
            &view.code,
            PlaceStatement::new(place, differs),
            other,
        );
    }
    if let Some(why) = invalid_history(coupon) {
        let other = PlaceStatement::new("the rules", "admit no such change");
        judged.find(FindingKind::EventsInvalid, &view.code, PlaceStatement::new(place, why), other);
    }
}
