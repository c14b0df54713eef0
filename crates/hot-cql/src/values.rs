//! Conversions between CQL values and the types of `coupon` and `hot`.

pub(crate) use cql_session::coupon_values::EventValue;
pub(crate) use cql_session::values::{date, day, instant, millis, parsed, signed, uuid};
pub(crate) use hot::tie;
