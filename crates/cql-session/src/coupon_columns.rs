//! The columns of a coupon's row, as they are written.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::{OperationId, UserId};
use coupon::time::Day;
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use crate::announcement::MadeValue;
use crate::coupon_values::{EventValue, HoldValue, changed_events};
use crate::values::{date, instant, signed, uuid};

/// What a row adds to `made`; unset if the store keeps no events.
pub type MadeColumn = MaybeUnset<BTreeMap<i32, MadeValue>>;

#[derive(SerializeRow)]
pub struct NewRow<'a> {
    #[scylla(flatten)]
    pub change: ChangedColumns<'a>,
    pub made: MadeColumn,
    #[scylla(flatten)]
    pub genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    pub key: CouponKeyColumns<'a>,
}

#[derive(SerializeRow)]
pub struct LaterRow<'a> {
    #[scylla(flatten)]
    pub change: ChangedColumns<'a>,
    pub made: MadeColumn,
    #[scylla(flatten)]
    pub key: CouponKeyColumns<'a>,
    pub before: i64,
}

pub const NEW_ROW: &str = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, hold = ?, \
    events = events + ?, operation = ?, modified_at = ?, forward_to = ?, made = made + ?, \
    campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, created_at = ? \
    WHERE expiry_day = ? AND bucket = ? AND code = ? IF version = null AND sealed = null";

pub const LATER_ROW: &str = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, \
    hold = ?, events = events + ?, operation = ?, modified_at = ?, forward_to = ?, \
    made = made + ? WHERE expiry_day = ? AND bucket = ? AND code = ? IF version = :before \
    AND sealed = null";

/// What a plain write puts, over any row that is older than `written`.
#[derive(Clone, SerializeRow)]
pub struct PlainRow<'a> {
    pub written: i64,
    #[scylla(flatten)]
    pub change: ChangedColumns<'a>,
    #[scylla(flatten)]
    pub genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    pub key: CouponKeyColumns<'a>,
}

pub const PLAIN_ROW: &str = "UPDATE coupon USING TIMESTAMP :written SET version = ?, \
    state = ?, holder = ?, expires_at = ?, hold = ?, events = events + ?, operation = ?, \
    modified_at = ?, forward_to = ?, campaign_id = ?, batch_id = ?, valid_from = ?, \
    made_expires_at = ?, created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ?";

#[derive(Clone, SerializeRow)]
pub struct GenesisColumns<'a> {
    campaign_id: &'a str,
    batch_id: &'a str,
    valid_from: CqlTimestamp,
    made_expires_at: CqlTimestamp,
    created_at: CqlTimestamp,
}

impl<'a> GenesisColumns<'a> {
    pub fn of(genesis: &'a Genesis) -> GenesisColumns<'a> {
        GenesisColumns {
            campaign_id: genesis.campaign.as_str(),
            batch_id: genesis.batch.as_str(),
            valid_from: instant(genesis.valid_from),
            made_expires_at: instant(genesis.expires_at),
            created_at: instant(genesis.created_at),
        }
    }
}

#[derive(Clone, SerializeRow)]
pub struct CouponKeyColumns<'a> {
    expiry_day: CqlDate,
    bucket: i32,
    code: &'a str,
}

impl<'a> CouponKeyColumns<'a> {
    pub fn of(day: Day, bucket: i32, code: &'a Code) -> CouponKeyColumns<'a> {
        CouponKeyColumns { expiry_day: date(day), bucket, code: code.as_str() }
    }
}

/// The columns that every change writes. A null that stays null is left unset: writing it would
/// leave a tombstone.
#[derive(Clone, SerializeRow)]
pub struct ChangedColumns<'a> {
    pub version: i64,
    pub state: &'a str,
    pub holder: MaybeUnset<Option<&'a str>>,
    expires_at: CqlTimestamp,
    pub hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Option<Uuid>,
    modified_at: CqlTimestamp,
    pub forward_to: MaybeUnset<CqlDate>,
}

impl<'a> ChangedColumns<'a> {
    /// Of a coupon that replaces `before`, or nothing.
    pub fn of(
        coupon: &'a Coupon,
        before: Option<&Coupon>,
        operation: Option<OperationId>,
        forward_to: Option<Day>,
    ) -> ChangedColumns<'a> {
        let events = changed_events(coupon, before);
        let hold = coupon.hold().map(HoldValue::of);
        let had_hold = before.is_some_and(|before| before.hold().is_some());
        ChangedColumns {
            version: signed(coupon.version()),
            state: if forward_to.is_some() { "forwarding" } else { coupon.state().as_str() },
            holder: MaybeUnset::Set(coupon.holder().map(UserId::as_str)),
            expires_at: instant(coupon.expires_at()),
            hold: MaybeUnset::from_option((hold.is_some() || had_hold).then_some(hold)),
            events: MaybeUnset::from_option((!events.is_empty()).then_some(events)),
            operation: operation.map(uuid),
            modified_at: instant(coupon.modified_at()),
            forward_to: MaybeUnset::from_option(forward_to.map(date)),
        }
    }
}
