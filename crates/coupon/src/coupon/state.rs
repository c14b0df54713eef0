//! The state of a coupon, its redemption and its hold.

use crate::ids::{OperationId, OrderRef, UserId};
use crate::time::Millis;
use crate::worth::RedemptionWorth;

/// What the events of a coupon add up to; the module [`crate::coupon`] says what is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Available,
    Issued {
        holder: UserId,
    },
    Redeemed {
        redemption: Redemption,
        /// Who held it before. It returns to them when the redemption is cancelled.
        holder_before: Option<UserId>,
    },
    /// It was voided before it was redeemed.
    Void {
        /// Who held it then: it still counts towards this user's limit.
        holder: Option<UserId>,
    },
}

impl State {
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Available => "available",
            State::Issued { .. } => "issued",
            State::Redeemed { .. } => "redeemed",
            State::Void { .. } => "void",
        }
    }

    /// What its live redemption costs the shop, as far as that is known.
    pub fn discount(&self) -> u64 {
        let State::Redeemed { redemption, .. } = self else { return 0 };
        redemption.worth.and_then(|worth| worth.discount).unwrap_or(0)
    }
}

/// One redemption, live or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// The user who redeemed; `None` only where an import did not name one.
    pub by: Option<UserId>,
    pub order: OrderRef,
    pub at: Millis,
    pub worth: Option<RedemptionWorth>,
    pub cancelled_at: Option<Millis>,
}

/// Reserves a coupon for one order until a moment. It lapses by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub by: UserId,
    pub order: OrderRef,
    /// The attempt that wrote it last.
    pub operation: OperationId,
    /// When this order took it first: the seven days count from here.
    pub since: Millis,
    /// First instant at which it has lapsed.
    pub until: Millis,
}
