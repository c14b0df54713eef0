//! Refusals: the closed list of reasons why a rule refuses a change, each with its problem code.

use crate::time::Millis;

/// A rule refused the change. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such coupon, or this caller may not know about it.
    #[error("there is no such coupon")]
    NotFound,
    /// The coupon has no holder.
    #[error("the coupon has not been issued to anybody")]
    NotIssued,
    /// The coupon has another holder.
    #[error("the coupon has been issued to somebody else")]
    AlreadyIssued,
    /// The coupon's one live redemption belongs to another order.
    #[error("the coupon has been redeemed")]
    AlreadyRedeemed,
    /// The order's redemption of this coupon was cancelled; the order cannot redeem it again.
    #[error("this order's redemption was cancelled")]
    RedemptionCancelled,
    /// That order has not redeemed this coupon.
    #[error("the coupon is not redeemed by this order")]
    NotRedeemed,
    /// The redemption is older than the campaign's `cancel_days`.
    #[error("the redemption can no longer be cancelled")]
    CancelClosed,
    /// The coupon is void.
    #[error("the coupon is void")]
    Voided,
    /// The coupon is held for another order.
    #[error("the coupon is held for another order")]
    Held {
        /// When that hold lapses.
        until: Millis,
    },
    /// The coupon is not valid yet.
    #[error("the coupon is not valid yet")]
    NotStarted {
        /// When it will be.
        valid_from: Millis,
    },
    /// The coupon's last millisecond has passed.
    #[error("the coupon has expired")]
    Expired,
    /// Its campaign or its batch is paused.
    #[error("the campaign or the batch is paused")]
    Paused,
    /// Outside the campaign's issue window.
    #[error("the campaign issues no coupons now")]
    IssueClosed {
        /// When the window opens, if it lies ahead.
        opens_at: Option<Millis>,
    },
    /// The new `expires_at` is earlier than the present one.
    #[error("the new expiry is not later than the present one")]
    NotLater,
    /// It is too late for a change: the partition may be archived at any moment.
    #[error("the coupon's expiry day is closed")]
    ExpiryDayClosed,
    /// The coupon no longer has the version that the caller named.
    #[error("the coupon has another version than the request names")]
    VersionConflict,
    /// The coupon has the most events that it may have.
    #[error("the coupon's history is full")]
    HistoryFull,
    /// The campaign has no coupon left.
    #[error("the campaign is sold out")]
    SoldOut,
    /// The user holds as many coupons of the campaign as it allows.
    #[error("the user has reached the campaign's limit")]
    LimitPerUser,
    /// This call does not issue coupons of this campaign.
    #[error("this campaign's coupons are not issued by this call")]
    NotIssuable,
    /// The name is already used for something else.
    #[error("the name is taken by something else")]
    NameTaken,
}

impl Refusal {
    /// The problem code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NotFound => "NOT_FOUND",
            Refusal::NotIssued => "NOT_ISSUED",
            Refusal::AlreadyIssued => "ALREADY_ISSUED",
            Refusal::AlreadyRedeemed => "ALREADY_REDEEMED",
            Refusal::RedemptionCancelled => "REDEMPTION_CANCELLED",
            Refusal::NotRedeemed => "NOT_REDEEMED",
            Refusal::CancelClosed => "CANCEL_CLOSED",
            Refusal::Voided => "VOIDED",
            Refusal::Held { .. } => "HELD",
            Refusal::NotStarted { .. } => "NOT_STARTED",
            Refusal::Expired => "EXPIRED",
            Refusal::Paused => "PAUSED",
            Refusal::IssueClosed { .. } => "ISSUE_CLOSED",
            Refusal::NotLater => "NOT_LATER",
            Refusal::ExpiryDayClosed => "EXPIRY_DAY_CLOSED",
            Refusal::VersionConflict => "VERSION_CONFLICT",
            Refusal::HistoryFull => "HISTORY_FULL",
            Refusal::SoldOut => "SOLD_OUT",
            Refusal::LimitPerUser => "LIMIT_PER_USER",
            Refusal::NotIssuable => "NOT_ISSUABLE",
            Refusal::NameTaken => "NAME_TAKEN",
        }
    }

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
