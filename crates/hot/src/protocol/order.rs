//! An order of several coupons in a store that changes one coupon at a time: it holds all of them, and then redeems all.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::ids::{OperationId, OrderRef, UserId};

use crate::Applied;

/// How long coupons are held to redeem them: twenty take less, also while nodes hang.
const HELD_MS: i64 = 15 * 60 * 1_000;

/// Of a redemption or a hold.
pub fn user_of(change: &Change) -> Option<&UserId> {
    match &change.action {
        Action::Redeem { by, .. } | Action::Hold { by, .. } => Some(by),
        _ => None,
    }
}

/// Whether a coupon can be redeemed though its hold was refused: the order holds it, and cannot hold it for longer; or
/// the same request has redeemed it meanwhile.
pub fn may_redeem(applied: &Applied, change: &Change) -> bool {
    let (Some(_), Some(snapshot), Action::Redeem { by, order, .. }) =
        (applied.refusal(), &applied.snapshot, &change.action)
    else {
        return false;
    };
    let hold = snapshot.coupon.running_hold(change.at);
    hold.is_some_and(|it| it.by == *by && it.order == *order)
        || snapshot.coupon.redemption().is_some_and(|it| it.order == *order)
}

/// Whether the order did not hold the coupon before.
pub fn is_new_hold(applied: &Applied, hold: &Change) -> bool {
    match &applied.outcome {
        Outcome::Accepted(coupon) => coupon.hold().is_some_and(|it| it.since == hold.at),
        Outcome::Replayed | Outcome::Refused(_) => false,
    }
}

/// Another change of the same coupon by the same call, with a name of its own: `number` is 1 to 3.
fn another(change: &Change, number: u128, action: Action) -> Change {
    Change { action, operation: OperationId(change.operation.0 ^ number), ..change.clone() }
}

/// The hold before a redemption; any other change as it is.
pub fn hold_for(change: &Change) -> Change {
    let Action::Redeem { by, order, money } = &change.action else { return change.clone() };
    let (by, order, money) = (by.clone(), order.clone(), *money);
    another(change, 1, Action::Hold { by, order, until: change.at.plus_ms(HELD_MS), money })
}

/// The release of a hold. For the user: a shared code needs one.
pub fn release_for(order: &OrderRef, change: &Change) -> Change {
    let user = user_of(change).cloned();
    let asker = user.map_or_else(|| change.asker.clone(), Asker::User);
    Change { asker, ..another(change, 2, Action::Release { order: order.clone() }) }
}

/// The cancellation of what was redeemed before it could be released.
pub fn cancel_for(order: &OrderRef, release: &Change) -> Change {
    another(release, 3, Action::CancelRedemption { order: order.clone(), reason: None })
}
