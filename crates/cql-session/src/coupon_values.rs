//! The CQL types `event` and `hold`: parts of a coupon's row.

use std::collections::BTreeMap;

use coupon::coupon::{Coupon, Event, Hold};
use coupon::erasure::{ERASED_PREFIX, acting_user};
use coupon::flat::Flat;
use coupon::ids::{Actor, OperationId};
use coupon::time::Millis;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

use crate::values::{instant, millis, parsed, uuid};
use crate::{Result, damaged};

/// The type `event`. No field is `allow_missing`: the store does not open while the type lacks one, and
/// with it a field that was added too late would be lost in silence. Rows that are older than a field
/// read as null, so a new field is an `Option`.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub struct EventValue {
    kind: String,
    at: CqlTimestamp,
    actor: String,
    /// The change that made it.
    pub operation: Uuid,
    user_id: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
    expires_at: Option<CqlTimestamp>,
    time_zone: Option<String>,
    worth: Option<String>,
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
            worth: flat.worth.map(|worth| worth.to_string()),
        }
    }

    /// An erasure may have replaced the name of a person who acted themselves, in one of the two.
    pub fn is_at_and_by(&self, at: Millis, actor: &Actor) -> bool {
        millis(self.at) == at && is_same_actor(&self.actor, actor.as_str())
    }

    /// What may name somebody.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.user_id.as_deref().into_iter().chain([self.actor.as_str()])
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// What happened, as [`EventKind::as_str`](coupon::coupon::EventKind::as_str) says it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    pub fn event(&self) -> Result<Event> {
        let worth = self.worth.as_deref().map(|text| parsed("event.worth", text)).transpose()?;
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
            worth,
        };
        flat.into_event().map_err(damaged)
    }
}

/// The events of `coupon` that differ from those of `before`, by number: new ones, or those without a name.
pub fn changed_events(coupon: &Coupon, before: Option<&Coupon>) -> BTreeMap<i32, EventValue> {
    let mut known = before.map_or(&[][..], Coupon::events).iter();
    let numbered = (1..).zip(coupon.events());
    let changed = numbered.filter(|(_, event)| known.next() != Some(*event));
    changed.map(|(number, event)| (number, EventValue::of(event))).collect()
}

#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub struct HoldValue {
    pub(crate) user_id: String,
    order_ref: String,
    /// The change that made it.
    pub operation: Uuid,
    since: CqlTimestamp,
    until: CqlTimestamp,
}

impl HoldValue {
    pub fn of(hold: &Hold) -> HoldValue {
        HoldValue {
            user_id: hold.by.to_string(),
            order_ref: hold.order.to_string(),
            operation: uuid(hold.operation),
            since: instant(hold.since),
            until: instant(hold.until),
        }
    }

    pub fn hold(&self) -> Result<Hold> {
        Ok(Hold {
            by: parsed("hold.user_id", &self.user_id)?,
            order: parsed("hold.order_ref", &self.order_ref)?,
            operation: OperationId(self.operation.as_u128()),
            since: millis(self.since),
            until: millis(self.until),
        })
    }
}

fn is_same_actor(one: &str, other: &str) -> bool {
    let is_erased = |user: &str| user.starts_with(ERASED_PREFIX);
    match (acting_user(one), acting_user(other)) {
        (Some(one), Some(other)) => one == other || is_erased(one) || is_erased(other),
        _ => one == other,
    }
}
