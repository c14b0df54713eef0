//! From a request to its parts. Whatever cannot be read becomes a problem document: axum's own
//! refusals are plain text or empty.

mod body;
mod caller;
mod key;
mod missing;
mod parameters;
mod reading;
mod said;
mod session;

pub use self::body::{BODY_BYTES_MAX, BODY_TIMEOUT};

pub(crate) use self::body::{Json, accepts, is_type, json_of, not_encoded, whole_body};
pub(crate) use self::caller::{AuthenticatedCaller, WhereFrom, unauthenticated};
pub(crate) use self::key::{IdempotencyKey, KEYED, unread_header};
pub(crate) use self::missing::{
    BATCH, CAMPAIGN, ORDER, named, no_such, no_such_coupon, no_such_path,
};
pub(crate) use self::parameters::{
    BatchInPath, CampaignInPath, CodeInPath, DeliveryInPath, ErasureInPath, OrderInPath,
    QueryParams, UserInPath, WebhookInPath,
};
pub(crate) use self::reading::{ReadingCaller, read_turn};
pub(crate) use self::said::shown;
pub(crate) use self::session::StreamSession;
