//! Decides from a row whether a timed-out conditional update of it was applied.

use std::cmp::Ordering;

use coupon::coupon::Coupon;
use coupon::ids::OperationId;

use crate::coupon_row::CouponRow;
use crate::values::uuid;

#[derive(Debug, PartialEq, Eq)]
pub enum WriteResolution {
    Applied,
    Refused,
    /// It was not applied, and may be applied later.
    Open,
    /// Later changes have overwritten the only columns that would show it.
    Hidden,
}

pub fn resolved(
    seen: Option<&CouponRow>,
    operation: OperationId,
    before: &Coupon,
    after: &Coupon,
) -> WriteResolution {
    let Some(row) = seen else { return WriteResolution::Open };
    if row.version() == before.version() {
        return WriteResolution::Open;
    }
    let leaves_an_event = after.events().len() > before.events().len();
    let holds = after.hold().is_some_and(|hold| hold.operation == operation);
    // Its last event, not any event with its id: a process that finishes an entry of a claim issues
    // under that id. Nor one of another time or actor: then that process wrote it, and the coupon is
    // not as `after` says. It is read again for the answer, and that process has counted it.
    let last = after.events().last();
    let is_there = |event| row.has_event(after.events().len(), operation, event);
    let has_event = !leaves_an_event || last.is_some_and(is_there);
    let applied = match row.version().cmp(&after.version()) {
        Ordering::Less => false,
        Ordering::Equal => has_event && row.operation() == Some(operation),
        Ordering::Greater if holds => row.hold.iter().any(|it| it.operation == uuid(operation)),
        Ordering::Greater => leaves_an_event && has_event,
    };
    if applied {
        return WriteResolution::Applied;
    }
    // The next hold overwrites a hold, and a release leaves nothing. One version later the row
    // itself names the change that wrote it.
    let could_hide = !leaves_an_event || holds || row.is_archived_marker();
    match could_hide && row.version() > after.version() {
        true => WriteResolution::Hidden,
        false => WriteResolution::Refused,
    }
}

#[cfg(test)]
mod tests;
