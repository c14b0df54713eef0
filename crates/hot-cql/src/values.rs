//! Between the values of CQL and ours: the only place that knows the columns of a coupon.

use std::collections::BTreeMap;
use std::str::FromStr;

use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis, Hold};
use coupon::flat::Flat;
use coupon::ids::{BatchId, CampaignId, OperationId, UserId};
use coupon::time::{Day, Millis};
use scylla::value::{CqlDate, CqlTimestamp};
use scylla::{DeserializeRow, DeserializeValue, SerializeValue};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::campaigns::CampaignHere;
use super::session::{Result, damaged};
use hot::HotError;

/// What CQL counts its days from: 1970-01-01 is the middle of the range.
const EPOCH: u32 = 1 << 31;

pub(super) fn date(day: Day) -> CqlDate {
    CqlDate(EPOCH.wrapping_add_signed(day.0))
}

pub(super) fn day(date: CqlDate) -> Day {
    Day(date.0.wrapping_sub(EPOCH).cast_signed())
}

pub(super) fn instant(at: Millis) -> CqlTimestamp {
    CqlTimestamp(at.0)
}

pub(super) fn millis(at: CqlTimestamp) -> Millis {
    Millis(at.0)
}

pub(super) fn uuid(operation: OperationId) -> Uuid {
    Uuid::from_u128(operation.0)
}

/// Tells coupons of one expiry apart; never negative, so that it is the same number as a `bigint`.
pub(super) fn tie(code: &Code) -> u64 {
    xxh3_64(code.as_str().as_bytes()) >> 1
}

pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A text column as the name, code or word that it is.
pub(super) fn parsed<T>(column: &str, text: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why| HotError::Damaged(format!("{column}: {why}")))
}

/// The type `event`.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(super) struct EventValue {
    kind: String,
    at: CqlTimestamp,
    actor: String,
    operation: Uuid,
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

    fn event(&self) -> Result<Event> {
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

/// The events of `coupon` behind the first `known`, by number.
pub(super) fn events_behind(coupon: &Coupon, known: usize) -> BTreeMap<i32, EventValue> {
    let numbered = (1..).zip(coupon.events());
    numbered.skip(known).map(|(number, event)| (number, EventValue::of(event))).collect()
}

/// The type `hold`.
#[derive(Clone, Debug, SerializeValue, DeserializeValue)]
pub(super) struct HoldValue {
    user_id: String,
    order_ref: String,
    operation: Uuid,
    since: CqlTimestamp,
    until: CqlTimestamp,
}

impl HoldValue {
    pub(super) fn of(hold: &Hold) -> HoldValue {
        HoldValue {
            user_id: hold.by.to_string(),
            order_ref: hold.order.to_string(),
            operation: uuid(hold.operation),
            since: instant(hold.since),
            until: instant(hold.until),
        }
    }

    fn hold(&self) -> Result<Hold> {
        Ok(Hold {
            by: parsed("hold.user_id", &self.user_id)?,
            order: parsed("hold.order_ref", &self.order_ref)?,
            operation: OperationId(self.operation.as_u128()),
            since: millis(self.since),
            until: millis(self.until),
        })
    }
}

macro_rules! coupon_columns {
    () => {
        "expiry_day, code, sealed, version, state, campaign_id, batch_id, holder, valid_from, expires_at, \
         made_expires_at, hold, events, operation, forward_to, archived, created_at, modified_at"
    };
}
pub(super) use coupon_columns;

/// From [`coupon_columns`].
#[derive(Debug, DeserializeRow)]
pub(super) struct CouponRow {
    pub(super) expiry_day: CqlDate,
    code: String,
    sealed: Option<bool>,
    version: Option<i64>,
    pub(super) state: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    pub(super) holder: Option<String>,
    valid_from: Option<CqlTimestamp>,
    pub(super) expires_at: Option<CqlTimestamp>,
    made_expires_at: Option<CqlTimestamp>,
    hold: Option<HoldValue>,
    events: Option<BTreeMap<i32, EventValue>>,
    operation: Option<Uuid>,
    forward_to: Option<CqlDate>,
    archived: Option<i64>,
    created_at: Option<CqlTimestamp>,
    modified_at: Option<CqlTimestamp>,
}

#[cfg(test)]
impl CouponRow {
    /// The row of a coupon whose last change was `operation`.
    pub(super) fn of(coupon: &Coupon, operation: OperationId) -> CouponRow {
        let genesis = coupon.genesis();
        CouponRow {
            expiry_day: date(Day::expiry_day_of(coupon.expires_at())),
            code: coupon.code().to_string(),
            sealed: None,
            version: Some(signed(coupon.version())),
            state: Some(coupon.state().as_str().to_owned()),
            campaign_id: Some(genesis.campaign.to_string()),
            batch_id: Some(genesis.batch.to_string()),
            holder: coupon.holder().map(ToString::to_string),
            valid_from: Some(instant(genesis.valid_from)),
            expires_at: Some(instant(coupon.expires_at())),
            made_expires_at: Some(instant(genesis.expires_at)),
            hold: coupon.hold().map(HoldValue::of),
            events: Some(events_behind(coupon, 0)),
            operation: Some(uuid(operation)),
            forward_to: None,
            archived: None,
            created_at: Some(instant(genesis.created_at)),
            modified_at: Some(instant(coupon.modified_at())),
        }
    }
}

impl CouponRow {
    pub(super) fn code(&self) -> Result<Code> {
        parsed("code", &self.code)
    }

    pub(super) fn day(&self) -> Day {
        day(self.expiry_day)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.unwrap_or(0).unsigned_abs()
    }

    /// Whether nothing in its bucket can change any more.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed == Some(true)
    }

    pub(super) fn is_archived_marker(&self) -> bool {
        self.state.as_deref() == Some("archived")
    }

    /// The partition it was moved to.
    pub(super) fn forward_to(&self) -> Option<Day> {
        (self.state.as_deref() == Some("forwarding")).then_some(self.forward_to).flatten().map(day)
    }

    /// Of an archived marker, the version that lies in cold.
    pub(super) fn archived(&self) -> u64 {
        self.archived.unwrap_or(0).unsigned_abs()
    }

    /// Which change wrote this version.
    pub(super) fn operation(&self) -> Option<OperationId> {
        self.operation.map(|id| OperationId(id.as_u128()))
    }

    /// Whether the event of this number, from 1, is of the change `id`.
    pub(super) fn has_event(&self, number: usize, id: OperationId) -> bool {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let event = self.events.as_ref().and_then(|events| events.get(&number));
        event.is_some_and(|event| event.operation == uuid(id))
    }

    /// Whether it is held by the change `id`.
    pub(super) fn has_hold(&self, id: OperationId) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.operation == uuid(id))
    }

    pub(super) fn campaign_id(&self) -> Result<CampaignId> {
        parsed("campaign_id", self.campaign_id.as_deref().unwrap_or_default())
    }

    pub(super) fn batch_id(&self) -> Result<BatchId> {
        parsed("batch_id", self.batch_id.as_deref().unwrap_or_default())
    }

    /// Whether the columns that say once more what the events say do so. Allocates nothing: it is
    /// asked of every row that is read.
    pub(super) fn agrees(&self, coupon: &Coupon) -> bool {
        self.state.as_deref() == Some(coupon.state().as_str())
            && self.holder.as_deref() == coupon.holder().map(UserId::as_str)
            && self.expires_at.map(millis) == Some(coupon.expires_at())
    }

    /// The coupon of a row that is no archived marker.
    pub(super) fn coupon(&self, campaign: &CampaignHere) -> Result<Coupon> {
        let missing = |column: &str| HotError::Damaged(format!("{}: no {column}", self.code));
        let at = |column: &str, value: Option<CqlTimestamp>| {
            value.map(millis).ok_or_else(|| missing(column))
        };
        let genesis = Genesis {
            code: self.code()?,
            campaign: campaign.terms.id.clone(),
            batch: self.batch_id()?,
            valid_from: at("valid_from", self.valid_from)?,
            expires_at: at("made_expires_at", self.made_expires_at)?,
            zone: campaign.terms.zone.clone(),
            created_at: at("created_at", self.created_at)?,
        };
        let events = self.events.iter().flat_map(BTreeMap::values);
        let events = events.map(EventValue::event).collect::<Result<Vec<_>>>()?;
        let hold = self.hold.as_ref().map(HoldValue::hold).transpose()?;
        let modified_at = at("modified_at", self.modified_at)?;
        Ok(Coupon::of(genesis, events, hold, self.version(), modified_at))
    }
}
