//! Whose coupon it is: the rules that refuse a change because of another holder or another hold.

use super::{Action, Asker, Change};
use crate::campaign::{Handout, Terms};
use crate::coupon::{Coupon, Hold, State};
use crate::refusal::Refusal;

/// Refuses a user whose coupon this is not. Users learn nothing about a coupon that is not theirs;
/// a shop learns only that nobody holds it.
pub(super) fn not_somebody_elses(
    coupon: &Coupon,
    change: &Change,
    terms: &Terms,
) -> Result<(), Refusal> {
    let user = match (&change.action, &change.asker) {
        (Action::Redeem { by, .. } | Action::Hold { by, .. }, _) => by,
        (Action::Release { .. } | Action::CancelRedemption { .. }, Asker::User(user)) => user,
        _ => return Ok(()),
    };
    let others_coupon = coupon.holder().is_some_and(|holder| holder != user);
    if terms.handout != Handout::Bearer {
        return match (coupon.holder(), coupon.state(), &change.asker) {
            (Some(_), _, _) if !others_coupon => Ok(()),
            (_, State::Available, Asker::Shop) => Err(Refusal::NotIssued),
            _ => Err(Refusal::NotFound),
        };
    }
    let gives_back =
        matches!(change.action, Action::Release { .. } | Action::CancelRedemption { .. });
    let others_hold = coupon.running_hold(change.at).is_some_and(|hold| hold.by != *user);
    // An import may leave out who redeemed. Then knowing the code is not enough to cancel.
    let nobodys = coupon.redemption().is_some_and(|redemption| redemption.by.is_none());
    if gives_back && (others_coupon || nobodys || others_hold) {
        return Err(Refusal::NotFound);
    }
    Ok(())
}

/// The running hold of the order that asks; refuses if another order holds the coupon. A coupon
/// that has a holder is refused to other users before its hold is looked at.
pub(super) fn not_held_by_another<'a>(
    coupon: &'a Coupon,
    change: &Change,
    terms: &Terms,
) -> Result<Option<&'a Hold>, Refusal> {
    if let (State::Issued { holder }, Action::Redeem { by, .. } | Action::Hold { by, .. }) =
        (coupon.state(), &change.action)
        && holder != by
    {
        return Err(Refusal::AlreadyIssued);
    }
    let Some(hold) = coupon.hold() else {
        return Ok(None);
    };
    let own = match &change.action {
        Action::Redeem { by, order, .. } | Action::Hold { by, order, .. } => {
            hold.by == *by && hold.order == *order
        }
        Action::Issue { to, .. } => hold.by == *to,
        Action::Release { .. } | Action::CancelRedemption { .. } => return Ok(None),
        Action::Revoke { .. } | Action::Void { .. } | Action::Extend { .. } => false,
    };
    // Others wait a little longer: the clock of the node that granted the hold may be ahead.
    let over_for_others = hold.until.plus_ms(terms.clock_bound_ms);
    match own {
        true => Ok(Some(hold).filter(|hold| change.at < hold.until)),
        false if change.at < over_for_others => Err(Refusal::Held { until: over_for_others }),
        false => Ok(None),
    }
}
