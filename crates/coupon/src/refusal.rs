//! Refusals: the closed list of reasons why a rule refuses a change, each with its problem code.

use crate::time::Millis;

/// The refusals, each with the code on the wire and the sentence for people.
macro_rules! refusals {
    ($(
        $(#[$doc:meta])*
        $name:ident $({ $(#[$about:meta])* $field:ident: $type:ty })? $word:literal $says:literal;
    )*) => {
        /// A rule refused the change. Nothing was written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $(
                $(#[$doc])*
                #[error($says)]
                $name $({ $(#[$about])* $field: $type })?,
            )*
        }

        impl Refusal {
            /// The problem code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Refusal::$name { .. } => $word,)* }
            }
        }
    };
}

refusals! {
    /// There is no such coupon, or this caller may not know about it.
    NotFound "NOT_FOUND" "there is no such coupon";
    /// The coupon has no holder.
    NotIssued "NOT_ISSUED" "the coupon has not been issued to anybody";
    /// The coupon has another holder.
    AlreadyIssued "ALREADY_ISSUED" "the coupon has been issued to somebody else";
    /// The coupon's one live redemption belongs to another order.
    AlreadyRedeemed "ALREADY_REDEEMED" "the coupon has been redeemed";
    /// The order's redemption of this coupon was cancelled; the order cannot redeem it again.
    RedemptionCancelled "REDEMPTION_CANCELLED" "this order's redemption was cancelled";
    /// That order has not redeemed this coupon.
    NotRedeemed "NOT_REDEEMED" "the coupon is not redeemed by this order";
    /// The redemption is older than the campaign's `cancel_days`.
    CancelClosed "CANCEL_CLOSED" "the redemption can no longer be cancelled";
    /// The coupon is void.
    Voided "VOIDED" "the coupon is void";
    /// The coupon is held for another order.
    Held {
        /// When that hold lapses.
        until: Millis
    } "HELD" "the coupon is held for another order";
    /// The coupon is not valid yet.
    NotStarted {
        /// When it will be.
        valid_from: Millis
    } "NOT_STARTED" "the coupon is not valid yet";
    /// The coupon's last millisecond has passed.
    Expired "EXPIRED" "the coupon has expired";
    /// Its campaign or its batch is paused.
    Paused "PAUSED" "the campaign or the batch is paused";
    /// Outside the campaign's issue window.
    IssueClosed {
        /// When the window opens, if it lies ahead.
        opens_at: Option<Millis>
    } "ISSUE_CLOSED" "the campaign issues no coupons now";
    /// The new `expires_at` is earlier than the present one.
    NotLater "NOT_LATER" "the new expiry is not later than the present one";
    /// It is too late for a change: the partition may be archived at any moment.
    ExpiryDayClosed "EXPIRY_DAY_CLOSED" "the coupon's expiry day is closed";
    /// The coupon no longer has the version that the caller named.
    VersionConflict "VERSION_CONFLICT" "the coupon has another version than the request names";
    /// The coupon has the most events that it may have.
    HistoryFull "HISTORY_FULL" "the coupon's history is full";
    /// The campaign has no coupon left.
    SoldOut "SOLD_OUT" "the campaign is sold out";
    /// The user holds as many coupons of the campaign as it allows.
    LimitPerUser "LIMIT_PER_USER" "the user has reached the campaign's limit";
    /// This call does not issue coupons of this campaign.
    NotIssuable "NOT_ISSUABLE" "this campaign's coupons are not issued by this call";
    /// The name is already used for something else.
    NameTaken "NAME_TAKEN" "the name is taken by something else";
}

impl Refusal {
    /// When the same request may succeed, if that is known.
    pub fn retry_at(self) -> Option<Millis> {
        match self {
            Refusal::Held { until } => Some(until),
            Refusal::NotStarted { valid_from } => Some(valid_from),
            Refusal::IssueClosed { opens_at } => opens_at,
            _ => None,
        }
    }
}
