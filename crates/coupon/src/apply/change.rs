//! What a caller asks of a coupon.

use crate::calendar::Zone;
use crate::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};
use crate::time::Millis;
use crate::worth::OrderMoney;

/// For whom the change is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A user for themselves: they learn nothing about coupons that are not theirs.
    User(UserId),
    /// A shop's back end, or an admin.
    Shop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Issue {
        to: UserId,
        /// The caller's name for the request.
        reference: Option<IssueRef>,
        /// Expiry that counts from the issue, in campaigns with `valid_days`.
        expires_at: Option<Millis>,
    },
    Redeem {
        by: UserId,
        order: OrderRef,
        money: OrderMoney,
    },
    Hold {
        by: UserId,
        order: OrderRef,
        /// Until when. [`super::HOLD_MAX_MS`] and [`super::HOLD_PAST_EXPIRY_MS`] limit it.
        until: Millis,
        money: OrderMoney,
    },
    Release {
        order: OrderRef,
    },
    CancelRedemption {
        order: OrderRef,
        reason: Option<Reason>,
    },
    Revoke {
        /// The holder, named so that a late revoke cannot hit the next holder.
        user: UserId,
        /// The caller's name: a repeat is a replay, even after another issue to the same user.
        reference: Option<RevokeRef>,
        reason: Option<Reason>,
    },
    Void {
        reason: Option<Reason>,
    },
    Extend {
        /// The new expiry, exclusive.
        expires_at: Millis,
        /// The zone of its calendar day.
        zone: Zone,
        reason: Option<Reason>,
    },
}

/// One request to change a coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    pub asker: Asker,
    /// The name that the history shows.
    pub actor: Actor,
    /// This attempt.
    pub operation: OperationId,
    pub at: Millis,
    /// Revoke, void and extend only if the coupon has this version. So a request that is repeated
    /// late cannot undo what happened to the coupon since.
    pub if_version: Option<u64>,
}

impl Change {
    /// The same for an order that costs `discounts` less by the coupons before this one.
    pub fn behind(&self, discounts: u64) -> Change {
        let mut change = self.clone();
        if let Action::Redeem { money, .. } | Action::Hold { money, .. } = &mut change.action
            && let Some(amount) = &mut money.amount
        {
            amount.left = amount.left.saturating_sub(discounts);
        }
        change
    }
}
