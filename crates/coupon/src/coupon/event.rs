//! Events: what happened to a coupon, when, and by whom.

use crate::calendar::Zone;
use crate::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};
use crate::time::Millis;
use crate::worth::RedemptionWorth;

/// What happened to a coupon, without when and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    Issued {
        to: UserId,
        reference: Option<IssueRef>,
        /// Earlier expiry that counts from the issue (`valid_days`).
        expires_at: Option<Millis>,
    },
    Redeemed {
        /// By whom; `None` only where an import did not name one.
        by: Option<UserId>,
        order: OrderRef,
        /// Its amounts, where the order said or the benefit made some.
        worth: Option<Box<RedemptionWorth>>,
    },
    RedemptionCancelled {
        order: OrderRef,
        reason: Option<Reason>,
    },
    Revoked {
        from: UserId,
        reference: Option<RevokeRef>,
        reason: Option<Reason>,
    },
    Voided {
        reason: Option<Reason>,
    },
    Extended {
        /// The new expiry, exclusive.
        expires_at: Millis,
        /// The zone of the new expiry's calendar day.
        zone: Zone,
        reason: Option<Reason>,
    },
}

impl EventKind {
    /// The name in answers, in exports and in both tiers; never changed.
    pub fn as_str(&self) -> &'static str {
        match self {
            EventKind::Issued { .. } => "issued",
            EventKind::Redeemed { .. } => "redeemed",
            EventKind::RedemptionCancelled { .. } => "redemption_cancelled",
            EventKind::Revoked { .. } => "revoked",
            EventKind::Voided { .. } => "voided",
            EventKind::Extended { .. } => "extended",
        }
    }
}

/// One entry of a coupon's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Millis,
    pub actor: Actor,
    /// The attempt that did it.
    pub operation: OperationId,
    pub kind: EventKind,
}

impl Event {
    /// The caller's name for it, or the reason where it has none.
    pub fn reference(&self) -> Option<&str> {
        match &self.kind {
            EventKind::Issued { reference, .. } => reference.as_ref().map(IssueRef::as_str),
            EventKind::Redeemed { order, .. } | EventKind::RedemptionCancelled { order, .. } => {
                Some(order.as_str())
            }
            EventKind::Revoked { reference: Some(reference), .. } => Some(reference.as_str()),
            EventKind::Revoked { reference: None, reason, .. }
            | EventKind::Voided { reason }
            | EventKind::Extended { reason, .. } => reason.as_ref().map(Reason::as_str),
        }
    }
}
