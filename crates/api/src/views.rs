//! Answers as JSON. Absent means null, never a missing key.
//!
//! What a name such as `user_id` looks like is not said here: `openapi::names` adds it to each
//! field.

mod attempt;
mod audit;
mod batch;
mod campaign;
mod counts;
mod coupon;
mod dry_run;
mod erasure;
mod feed;
mod order;
mod person;
mod redemption;
mod session;
mod webhook;

use serde::Serialize;
use utoipa::ToSchema;

pub use self::attempt::{AttemptBody, AttemptsBody};
pub use self::audit::{AuditBody, FieldChangeBody};
pub use self::batch::{BatchBody, BatchOrDryRun};
pub use self::campaign::CampaignBody;
pub use self::counts::{AmountSumsBody, CountsBody, CountsOfTimeBody, RefusedBody, sums};
pub use self::coupon::{CouponBody, CouponCampaign, CouponDetail, EventBody, ListedCoupon};
pub use self::dry_run::{DryRunBody, ParsedBody, RejectedBody};
pub use self::erasure::ErasureBody;
pub use self::feed::{FeedBody, FeedChangeBody, FeedCouponBody, FeedEventBody};
pub use self::order::{OrderAnswer, OrderCouponBody};
pub(crate) use self::person::PersonWriter;
pub use self::person::{PersonBody, PersonRecordBody};
pub use self::redemption::{CancelledBody, CheckBody, HoldBody, RedemptionBody};
pub use self::session::SessionBody;
pub use self::webhook::{DeliveryBody, SecretBody, SecretTimesBody, WebhookBody, WebhookTestBody};

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of the page. A page of coupons may have fewer than `limit`, even none, and still
    /// have a `next_cursor`.
    #[schema(max_items = 1000)]
    pub(crate) data: Vec<T>,
    /// Send it as `cursor` to get the next page; null if this is the last page.
    pub(crate) next_cursor: Option<String>,
}
