//! Which coupons a user may get another one for.

use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::refusal::Refusal;
use coupon::time::Millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Irreplaceable {
    /// Another user holds it: the answer tells nothing about it.
    NotFound,
    /// It still works and is given again as it is.
    Works,
    /// Something can still bring it back to its holder.
    Refused(Refusal),
}

/// Only what nothing can bring back to its holder is replaced: neither an extension nor the
/// cancellation of its redemption.
pub(super) fn irreplaceable(
    coupon: &Coupon,
    campaign: &Campaign,
    to: &UserId,
    at: Millis,
) -> Option<Irreplaceable> {
    if coupon.holder() != Some(to) {
        return Some(Irreplaceable::NotFound);
    }
    match coupon.state() {
        State::Issued { .. } if !coupon.is_expired(at) => Some(Irreplaceable::Works),
        State::Issued { .. } if at < coupon.expires_at().plus_days(campaign.extend_days) => {
            Some(Irreplaceable::Refused(Refusal::Expired))
        }
        State::Redeemed { redemption, .. }
            if at < redemption.at.plus_days(campaign.cancel_days) =>
        {
            Some(Irreplaceable::Refused(Refusal::AlreadyRedeemed))
        }
        _ => None,
    }
}
