//! Replays: the rules for a change that the history already has.

use super::{Action, Asker, Verdict};
use crate::coupon::{Coupon, EventKind};
use crate::refusal::Refusal;

/// Replays of a redemption and of its cancellation; refuses what an order may not do again after
/// its redemption was cancelled.
pub(super) fn said_before(
    coupon: &Coupon,
    action: &Action,
    asker: &Asker,
) -> Result<Option<Verdict>, Refusal> {
    let (Action::Redeem { order, .. }
    | Action::Hold { order, .. }
    | Action::CancelRedemption { order, .. }) = action
    else {
        return Ok(None);
    };
    let Some(redemption) = coupon.redemption_of(order) else {
        return Ok(None);
    };
    let cancelled = redemption.cancelled_at.is_some();
    match action {
        Action::Redeem { by, .. } if !cancelled && redemption.by.as_ref() == Some(by) => {
            Ok(Some(Verdict::Replay))
        }
        Action::CancelRedemption { .. } if cancelled => match asker {
            Asker::User(user) if redemption.by.as_ref() != Some(user) => Err(Refusal::NotFound),
            Asker::User(_) | Asker::Shop => Ok(Some(Verdict::Replay)),
        },
        Action::Redeem { .. } | Action::Hold { .. } if cancelled => {
            Err(Refusal::RedemptionCancelled)
        }
        _ => Ok(None),
    }
}

/// The replay of a revoke that its caller named with a `revoke_ref`. A name stands for one user.
pub(super) fn revoked_before(coupon: &Coupon, action: &Action) -> Result<Option<Verdict>, Refusal> {
    let Action::Revoke { user, reference: Some(name), .. } = action else {
        return Ok(None);
    };
    let named = coupon.events().iter().find_map(|event| match &event.kind {
        EventKind::Revoked { from, reference: Some(reference), .. } if reference == name => {
            Some(from)
        }
        _ => None,
    });
    match named {
        None => Ok(None),
        Some(from) if from == user => Ok(Some(Verdict::Replay)),
        Some(_) => Err(Refusal::NameTaken),
    }
}
