//! When a partition ends, and what its end means for a coupon.

use coupon::apply::{Action, HOLD_PAST_EXPIRY_MS};
use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, State};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};

use crate::CLOSED_BOUND_MS;

/// The answer to a change that the rules admit and the seal of the partition does not.
pub fn refused_by_seal(action: &Action) -> Refusal {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => Refusal::Expired,
        Action::CancelRedemption { .. } => Refusal::CancelClosed,
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Refusal::ExpiryDayClosed,
    }
}

/// A coupon moves only when its new expiry lies past its partition's day, and never back.
pub fn partition_after(day: Day, after: &Coupon) -> Day {
    match after.expires_at() > day.end() {
        true => Day::expiry_day_of(after.expires_at()),
        false => day,
    }
}

/// The instant until which a partition stays open for a campaign with coupons in it: as long as its
/// cancelling and extending need it, and a hold that runs past the expiry.
pub fn seal_after(day: Day, campaign: &Campaign) -> Millis {
    let open_days = campaign.cancel_days.max(campaign.extend_days);
    day.end().plus_days(open_days).plus_ms(HOLD_PAST_EXPIRY_MS)
}

/// When nothing can change a coupon any more, on an open day: the instant from which it can be
/// moved to cold, and the one since which it is final.
pub fn closed_at(coupon: &Coupon, cancel_days: u16) -> Option<(Millis, Millis)> {
    match coupon.state() {
        State::Void { .. } => Some((coupon.modified_at(), coupon.modified_at())),
        State::Redeemed { redemption, .. } => {
            let since = redemption.at.plus_days(cancel_days);
            // Where nothing can be cancelled no clock can admit it.
            let bound = if cancel_days > 0 { CLOSED_BOUND_MS } else { 0 };
            Some((since.plus_ms(bound), since))
        }
        State::Available | State::Issued { .. } => None,
    }
}
