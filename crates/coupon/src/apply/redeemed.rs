//! The rules for a redeemed coupon.

use super::{Action, Change, Verdict};
use crate::campaign::Terms;
use crate::coupon::EventKind;
use crate::ids::OrderRef;
use crate::refusal::Refusal;
use crate::time::Millis;

pub(super) fn redeemed(
    redeemed_at: Millis,
    by_order: &OrderRef,
    change: &Change,
    terms: &Terms,
) -> Result<Verdict, Refusal> {
    match &change.action {
        Action::Release { order } if order == by_order => Err(Refusal::AlreadyRedeemed),
        Action::Release { .. } => Ok(Verdict::Replay),
        Action::CancelRedemption { order, .. } if order != by_order => Err(Refusal::NotRedeemed),
        Action::CancelRedemption { .. }
            // 0 means never, also for a clock that is behind the clock that redeemed.
            if terms.cancel_days == 0
                || change.at >= redeemed_at.plus_days(terms.cancel_days) =>
        {
            Err(Refusal::CancelClosed)
        }
        Action::CancelRedemption { order, reason } => {
            Ok(Verdict::Append(EventKind::RedemptionCancelled {
                order: order.clone(),
                reason: reason.clone(),
            }))
        }
        Action::Redeem { .. }
        | Action::Hold { .. }
        | Action::Issue { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Err(Refusal::AlreadyRedeemed),
    }
}
