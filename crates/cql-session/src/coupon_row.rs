//! The row of a coupon as it is read: only this module knows its columns.

use std::collections::BTreeMap;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis};
use coupon::ids::{BatchId, CampaignId, OperationId, UserId};
use coupon::time::Day;
use hot::HotError;
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

use crate::Result;
use crate::coupon_values::{EventValue, HoldValue};
use crate::values::{day, millis, parsed, uuid};

/// Rows of coupons: those that `$which` says.
#[macro_export]
macro_rules! coupon_rows {
    ($which:literal) => {
        concat!(
            "SELECT expiry_day, bucket, code, sealed, version, state, campaign_id, batch_id, \
             holder, valid_from, expires_at, made_expires_at, hold, events, operation, forward_to, \
             archived_version, created_at, modified_at FROM coupon ",
            $which
        )
    };
}
pub use coupon_rows;

/// From [`coupon_rows`].
#[derive(Debug, DeserializeRow)]
pub struct CouponRow {
    pub expiry_day: CqlDate,
    pub bucket: i32,
    /// None if the bucket is sealed and has no rows.
    pub code: Option<String>,
    sealed: Option<bool>,
    version: Option<i64>,
    pub state: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    pub holder: Option<String>,
    valid_from: Option<CqlTimestamp>,
    pub expires_at: Option<CqlTimestamp>,
    made_expires_at: Option<CqlTimestamp>,
    pub hold: Option<HoldValue>,
    events: Option<BTreeMap<i32, EventValue>>,
    operation: Option<Uuid>,
    forward_to: Option<CqlDate>,
    archived_version: Option<i64>,
    created_at: Option<CqlTimestamp>,
    modified_at: Option<CqlTimestamp>,
}

#[cfg(test)]
impl CouponRow {
    pub(crate) fn of(coupon: &Coupon, operation: OperationId) -> CouponRow {
        use crate::coupon_values::changed_events;
        use crate::values::{date, instant, signed};

        let genesis = coupon.genesis();
        CouponRow {
            expiry_day: date(Day::expiry_day_of(coupon.expires_at())),
            bucket: 0,
            code: Some(coupon.code().to_string()),
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
            events: Some(changed_events(coupon, None)),
            operation: Some(uuid(operation)),
            forward_to: None,
            archived_version: None,
            created_at: Some(instant(genesis.created_at)),
            modified_at: Some(instant(coupon.modified_at())),
        }
    }
}

impl CouponRow {
    pub fn code(&self) -> Result<Code> {
        parsed("code", self.code.as_deref().unwrap_or_default())
    }

    pub fn day(&self) -> Day {
        day(self.expiry_day)
    }

    pub fn version(&self) -> u64 {
        self.version.unwrap_or(0).unsigned_abs()
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed == Some(true)
    }

    pub fn is_archived_marker(&self) -> bool {
        self.state.as_deref() == Some("archived")
    }

    /// Whether it is a coupon, and not what is left of one.
    pub fn is_coupon(&self) -> bool {
        !self.is_archived_marker() && self.forward_to().is_none()
    }

    pub fn forward_to(&self) -> Option<Day> {
        (self.state.as_deref() == Some("forwarding")).then_some(self.forward_to).flatten().map(day)
    }

    /// Of an archived marker, the version that is in cold.
    pub fn archived_version(&self) -> u64 {
        self.archived_version.unwrap_or(0).unsigned_abs()
    }

    /// What may name somebody.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let events = self.events.iter().flat_map(BTreeMap::values).flat_map(EventValue::names);
        let hold = self.hold.iter().map(|hold| hold.user_id.as_str());
        self.holder.as_deref().into_iter().chain(hold).chain(events)
    }

    /// Who has or had the coupon.
    pub fn users(&self) -> Vec<String> {
        let events = self.events.iter().flat_map(BTreeMap::values).filter_map(EventValue::user);
        let hold = self.hold.iter().map(|hold| hold.user_id.as_str());
        events.chain(hold).map(str::to_owned).collect()
    }

    /// The change that wrote this version.
    pub fn operation(&self) -> Option<OperationId> {
        self.operation.map(|id| OperationId(id.as_u128()))
    }

    /// `number` begins at 1. The event must have the time and the actor of `wanted`, too.
    pub fn has_event(&self, number: usize, id: OperationId, wanted: &Event) -> bool {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let event = self.events.as_ref().and_then(|events| events.get(&number));
        event.is_some_and(|event| {
            event.operation == uuid(id) && event.is_at_and_by(wanted.at, &wanted.actor)
        })
    }

    pub fn campaign_id(&self) -> Result<CampaignId> {
        parsed("campaign_id", self.campaign_id.as_deref().unwrap_or_default())
    }

    pub fn batch_id(&self) -> Result<BatchId> {
        parsed("batch_id", self.batch_id.as_deref().unwrap_or_default())
    }

    /// The coupon of a row that is no archived marker.
    pub fn coupon(&self, terms: &Campaign) -> Result<Coupon> {
        let code = self.code()?;
        let missing = |column: &str| HotError::Damaged(format!("{code}: no {column}"));
        let at = |column: &str, value: Option<CqlTimestamp>| {
            value.map(millis).ok_or_else(|| missing(column))
        };
        let genesis = Genesis {
            code: code.clone(),
            campaign: terms.id.clone(),
            batch: self.batch_id()?,
            valid_from: at("valid_from", self.valid_from)?,
            expires_at: at("made_expires_at", self.made_expires_at)?,
            zone: terms.zone.clone(),
            created_at: at("created_at", self.created_at)?,
        };
        let events = self.events.iter().flat_map(BTreeMap::values);
        let events = events.map(EventValue::event).collect::<Result<Vec<_>>>()?;
        let hold = self.hold.as_ref().map(HoldValue::hold).transpose()?;
        let modified_at = at("modified_at", self.modified_at)?;
        Ok(Coupon::of(genesis, events, hold, self.version(), modified_at))
    }
}

/// The first column that repeats what the events say and contradicts them. Allocates nothing while they
/// agree: it is called for every row that is read.
pub fn disagreement(row: &CouponRow, coupon: &Coupon) -> Option<String> {
    let texts = [
        ("state", row.state.as_deref(), Some(coupon.state().as_str())),
        ("holder", row.holder.as_deref(), coupon.holder().map(UserId::as_str)),
    ];
    for (column, stored, folded) in texts {
        if stored != folded {
            return Some(format!("{column} is {stored:?}, its events say {folded:?}"));
        }
    }
    let (stored, folded) = (row.expires_at.map(millis), Some(coupon.expires_at()));
    (stored != folded).then(|| {
        let [stored, folded] = [stored, folded].map(|at| at.map(|at| at.0.to_string()));
        format!("expires_at is {stored:?}, its events say {folded:?}")
    })
}
