//! The columns of a coupon's row, as they are written.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::{OperationId, UserId};
use coupon::time::Day;
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use crate::values::{EventValue, HoldValue, date, events_behind, instant, signed, uuid};
use cql_session::announcement::MadeValue;

/// What a row adds to `made`; unset if the store keeps no events.
pub(crate) type MadeColumn = MaybeUnset<BTreeMap<i32, MadeValue>>;

#[derive(SerializeRow)]
pub(super) struct NewRow<'a> {
    #[scylla(flatten)]
    pub(super) change: ChangedColumns<'a>,
    pub(super) made: MadeColumn,
    #[scylla(flatten)]
    pub(super) genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    pub(super) key: CouponKeyColumns<'a>,
}

#[derive(SerializeRow)]
pub(super) struct LaterRow<'a> {
    #[scylla(flatten)]
    pub(super) change: ChangedColumns<'a>,
    pub(super) made: MadeColumn,
    #[scylla(flatten)]
    pub(super) key: CouponKeyColumns<'a>,
    pub(super) before: i64,
}

/// What a plain write puts, over any row that is older than `written`.
#[derive(Clone, SerializeRow)]
pub(crate) struct PlainRow<'a> {
    pub(crate) written: i64,
    #[scylla(flatten)]
    pub(crate) change: ChangedColumns<'a>,
    #[scylla(flatten)]
    pub(crate) genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    pub(crate) key: CouponKeyColumns<'a>,
}

pub(crate) const PLAIN_ROW: &str = "UPDATE coupon USING TIMESTAMP :written SET version = ?, \
    state = ?, holder = ?, expires_at = ?, hold = ?, events = events + ?, operation = ?, \
    modified_at = ?, forward_to = ?, campaign_id = ?, batch_id = ?, valid_from = ?, \
    made_expires_at = ?, created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ?";

#[derive(Clone, SerializeRow)]
pub(crate) struct GenesisColumns<'a> {
    campaign_id: &'a str,
    batch_id: &'a str,
    valid_from: CqlTimestamp,
    made_expires_at: CqlTimestamp,
    created_at: CqlTimestamp,
}

impl<'a> GenesisColumns<'a> {
    pub(crate) fn of(genesis: &'a Genesis) -> GenesisColumns<'a> {
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
pub(crate) struct CouponKeyColumns<'a> {
    expiry_day: CqlDate,
    bucket: i32,
    code: &'a str,
}

impl<'a> CouponKeyColumns<'a> {
    pub(crate) fn of(day: Day, bucket: i32, code: &'a Code) -> CouponKeyColumns<'a> {
        CouponKeyColumns { expiry_day: date(day), bucket, code: code.as_str() }
    }
}

/// The columns that every change writes. A null that stays null is left unset: writing it would
/// leave a tombstone.
#[derive(Clone, SerializeRow)]
pub(crate) struct ChangedColumns<'a> {
    pub(crate) version: i64,
    pub(crate) state: &'a str,
    pub(crate) holder: MaybeUnset<Option<&'a str>>,
    expires_at: CqlTimestamp,
    pub(crate) hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Option<Uuid>,
    modified_at: CqlTimestamp,
    pub(crate) forward_to: MaybeUnset<CqlDate>,
}

impl<'a> ChangedColumns<'a> {
    /// Of a coupon that replaces `before`, or nothing.
    pub(crate) fn of(
        coupon: &'a Coupon,
        before: Option<&Coupon>,
        operation: Option<OperationId>,
        forward_to: Option<Day>,
    ) -> ChangedColumns<'a> {
        let known = before.map_or(0, |before| before.events().len());
        let events = events_behind(coupon, known);
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
