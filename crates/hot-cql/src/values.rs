//! Conversions between CQL values and the types of `coupon` and `hot`.

use coupon::code::Code;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use cql_session::coupon_values::{EventValue, HoldValue, events_behind};
pub(crate) use cql_session::values::{date, day, instant, millis, parsed, signed, uuid};

/// Orders coupons of one expiry; never negative, so that it is the same number as a `bigint`.
pub(crate) fn tie(code: &Code) -> u64 {
    xxh3_64(code.as_str().as_bytes()) >> 1
}
