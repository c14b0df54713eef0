//! Problem codes: what went wrong, for programs. What each means is in one table.

mod row;
mod table;

pub use self::row::Retry;
pub use self::table::ApiErrorCode;
pub(crate) use self::table::problems_of;

use coupon::refusal::Refusal;

/// How much more the order must cost; `None` if that is not why it was refused.
pub(crate) fn missing_amount(refusal: Refusal) -> Option<u64> {
    match refusal {
        Refusal::OrderTooSmall { missing, .. } => Some(missing),
        _ => None,
    }
}
