//! Requests as JSON, and the values they become. Unknown fields are refused by name; every field
//! that cannot be used is named at once.
//!
//! What a name such as `user_id` looks like is not said here: `openapi::names` adds it to each
//! field.

mod account;
mod batch;
mod benefit;
mod campaign;
mod coupon;
mod order;
mod person;
mod reading;
mod webhook;

pub use self::account::Credentials;
pub use self::batch::{BatchChanges, NewBatch};
pub use self::campaign::{CampaignChanges, NewCampaign};
pub use self::coupon::{
    CancelRedemptionRequest, ExtendRequest, HoldRequest, IssueCouponRequest, IssueRequest,
    RedeemRequest, ReleaseRequest, RevokeRequest, VoidRequest,
};

pub use self::order::{CancelOrderRequest, OrderBody, OrderHoldRequest};
pub use self::person::EraseRequest;
pub use self::webhook::{NewWebhook, NoFields, SecretRotation, WebhookChanges};

pub use crate::benefit_body::{BenefitBody, BenefitTitleBody};

pub(crate) use self::coupon::user_and_order;
pub(crate) use self::reading::{FieldReader, NUMBER_MAX, TRUE_OR_FALSE};
