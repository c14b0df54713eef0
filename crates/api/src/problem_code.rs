//! Problem codes: what went wrong, for programs. What each means is in one table.

mod row;
mod table;

pub use self::row::Retry;
pub use self::table::ApiErrorCode;
pub(crate) use self::table::problems_of;
