//! Conversions between CQL values and the types of `coupon` and `hot`.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Hold};
use coupon::flat::Flat;
use coupon::ids::{Actor, OperationId};
use coupon::time::Millis;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use cql_session::values::{date, day, instant, millis, parsed, signed};
use cql_session::{Result, damaged};

pub(crate) fn uuid(operation: OperationId) -> Uuid {
    Uuid::from_u128(operation.0)
}

/// Orders coupons of one expiry; never negative, so that it is the same number as a `bigint`.
pub(crate) fn tie(code: &Code) -> u64 {
    xxh3_64(code.as_str().as_bytes()) >> 1
}

/// The type `event`. No field is `allow_missing`: the store does not open while the type lacks one, and
/// with it a field that was added too late would be lost in silence. Rows that are older than a field
/// read as null, so a new field is an `Option`.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(crate) struct EventValue {
    kind: String,
    at: CqlTimestamp,
    actor: String,
    pub(crate) operation: Uuid,
    user_id: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
    expires_at: Option<CqlTimestamp>,
    time_zone: Option<String>,
}

impl EventValue {
    fn of(event: &Event) -> EventValue {
        let flat = Flat::of(event);
        let text = |text: Option<&str>| text.map(str::to_owned);
        EventValue {
            kind: flat.kind.to_owned(),
            at: instant(flat.at),
            actor: flat.actor.to_owned(),
            operation: uuid(flat.operation),
            user_id: text(flat.user),
            reference: text(flat.reference),
            reason: text(flat.reason),
            expires_at: flat.expires_at.map(instant),
            time_zone: text(flat.time_zone),
        }
    }

    /// Whether it happened at this time, and this actor did it.
    pub(crate) fn is_at_and_by(&self, at: Millis, actor: &Actor) -> bool {
        millis(self.at) == at && self.actor == actor.as_str()
    }

    /// What happened, as [`EventKind::as_str`](coupon::coupon::EventKind::as_str) says it.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn event(&self) -> Result<Event> {
        let flat = Flat {
            kind: &self.kind,
            at: millis(self.at),
            actor: &self.actor,
            operation: OperationId(self.operation.as_u128()),
            user: self.user_id.as_deref(),
            reference: self.reference.as_deref(),
            reason: self.reason.as_deref(),
            expires_at: self.expires_at.map(millis),
            time_zone: self.time_zone.as_deref(),
        };
        flat.into_event().map_err(damaged)
    }
}

/// The events of `coupon` after the first `known`, by number.
pub(crate) fn events_behind(coupon: &Coupon, known: usize) -> BTreeMap<i32, EventValue> {
    let numbered = (1..).zip(coupon.events());
    numbered.skip(known).map(|(number, event)| (number, EventValue::of(event))).collect()
}

/// The type `hold`.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(crate) struct HoldValue {
    user_id: String,
    order_ref: String,
    pub(crate) operation: Uuid,
    since: CqlTimestamp,
    until: CqlTimestamp,
}

impl HoldValue {
    pub(crate) fn of(hold: &Hold) -> HoldValue {
        HoldValue {
            user_id: hold.by.to_string(),
            order_ref: hold.order.to_string(),
            operation: uuid(hold.operation),
            since: instant(hold.since),
            until: instant(hold.until),
        }
    }

    pub(crate) fn hold(&self) -> Result<Hold> {
        Ok(Hold {
            by: parsed("hold.user_id", &self.user_id)?,
            order: parsed("hold.order_ref", &self.order_ref)?,
            operation: OperationId(self.operation.as_u128()),
            since: millis(self.since),
            until: millis(self.until),
        })
    }
}
