//! What is written before a coupon changes: the index rows of the change, and what its row says of the write.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{Actor, OperationId};
use coupon::time::Day;
use hot::feed::{CouponEventKind, CouponStep, EventType, steps};
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use scylla::{DeserializeValue, SerializeRow, SerializeValue};
use uuid::Uuid;

use crate::values::{date, instant, signed, uuid};
use crate::{CqlSession, Result};

/// Versions of a coupon whose writes its row names, some 45 bytes each; most coupons have three.
pub const MADE: u64 = 32;

/// The type `made`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub struct MadeValue {
    pub version: i64,
    pub attempt: Uuid,
    /// `None` of a write that has no index row.
    pub slot: Option<i64>,
}

/// The place of a version in the column `made`.
pub fn place_of(version: u64) -> i32 {
    i32::try_from(version % MADE).unwrap_or(0)
}

/// What the row of a coupon says of the write `attempt`, which makes every version behind `before`.
pub fn made_by(
    attempt: Uuid,
    slot: Option<i64>,
    before: &Coupon,
    after: &Coupon,
) -> BTreeMap<i32, MadeValue> {
    let versions = (before.version() + 1..=after.version()).rev().take(MADE as usize);
    let made = |version| (place_of(version), MadeValue { version: signed(version), attempt, slot });
    versions.map(made).collect()
}

impl CqlSession {
    /// What the row of a coupon says of its last writes.
    pub async fn made_at(
        &self,
        day: Day,
        bucket: i32,
        code: &Code,
    ) -> Result<BTreeMap<i32, MadeValue>> {
        let cql = "SELECT made FROM coupon WHERE expiry_day = ? AND bucket = ? AND code = ?";
        let made = self.value(cql, (date(day), bucket, code.as_str())).await?;
        Ok(made.unwrap_or_default())
    }

    /// Whether the row says that another write than `attempt` has made the coupon what it is `after` that.
    pub async fn is_by_another(
        &self,
        (day, bucket): (Day, i32),
        after: &Coupon,
        attempt: Uuid,
    ) -> Result<bool> {
        let version = after.version();
        let mut made = self.made_at(day, bucket, after.code()).await?;
        let made = made.remove(&place_of(version)).filter(|made| made.version == signed(version));
        Ok(made.is_some_and(|made| made.attempt != attempt))
    }
}

/// The index rows of one write of a coupon.
pub struct CouponAnnouncement<'a> {
    pub before: &'a Coupon,
    steps: Vec<(i32, CouponStep<'a>)>,
    operation: Uuid,
    expiry_day: Day,
    attempt: Uuid,
    /// Where they are, once they are written.
    pub slot: Option<i64>,
}

impl<'a> CouponAnnouncement<'a> {
    /// Of a change by `actor` of a coupon in the partition `day`; `None` if it is no event.
    pub fn of(
        before: &'a Coupon,
        after: &'a Coupon,
        operation: OperationId,
        actor: &'a Actor,
        (day, attempt): (Day, Uuid),
    ) -> Option<CouponAnnouncement<'a>> {
        let mut number = i32::try_from(before.events().len()).unwrap_or(i32::MAX);
        let mut numbered = |step: CouponStep<'a>| {
            let is_hold = matches!(step.kind, CouponEventKind::Held | CouponEventKind::Released);
            number += i32::from(!is_hold);
            // A line of an import makes two events in one version.
            let version = step.version.min(after.version());
            (if is_hold { 0 } else { number }, CouponStep { version, ..step })
        };
        let steps: Vec<_> = steps(before, after, actor).into_iter().map(&mut numbered).collect();
        let (operation, expiry_day, slot) = (uuid(operation), day, None);
        (!steps.is_empty()).then_some(CouponAnnouncement {
            before,
            steps,
            operation,
            expiry_day,
            attempt,
            slot,
        })
    }

    pub fn rows(&self, shard: i32, slot: i64, ttl: i32) -> Vec<NewChange<'_>> {
        let genesis = self.before.genesis();
        let row = |(number, step): &'_ (i32, CouponStep<'a>)| NewChange {
            ttl,
            before: signed(self.before.version()),
            kind: EventType::Coupon(step.kind).as_str(),
            at: instant(step.at),
            actor: step.actor.as_str().to_owned(),
            operation: self.operation,
            campaign_id: genesis.campaign.as_str(),
            batch_id: genesis.batch.as_str(),
            user_id: MaybeUnset::from_option(step.user.map(ToString::to_string)),
            reference: MaybeUnset::from_option(step.reference.map(str::to_owned)),
            reason: MaybeUnset::from_option(step.reason.map(str::to_owned)),
            until: MaybeUnset::from_option(step.until.map(instant)),
            expiry_day: date(self.expiry_day),
            worth: MaybeUnset::from_option(step.worth.map(|worth| worth.to_string())),
            shard,
            slot,
            code: self.before.code().as_str(),
            version: signed(step.version),
            number: *number,
            attempt: self.attempt,
        };
        self.steps.iter().map(row).collect()
    }

    /// The keys of its rows, for [`REFUSED_CHANGE`]; none before they are written.
    pub fn refused(&self, shard: i32, ttl: i32) -> Vec<RefusedChange<'_>> {
        let (slots, code) = (self.slot.into_iter(), self.before.code().as_str());
        let rows = slots.flat_map(|slot| self.steps.iter().map(move |step| (slot, step)));
        rows.map(|(slot, (number, step))| {
            (ttl, shard, slot, code, signed(step.version), *number, self.attempt)
        })
        .collect()
    }
}

/// Seconds after which the row deletes itself, and its key.
pub type RefusedChange<'a> = (i32, i32, i64, &'a str, i64, i32, Uuid);

pub const NEW_CHANGE: &str = "UPDATE change USING TTL :ttl SET before = ?, kind = ?, at = ?, actor = ?, \
    operation = ?, campaign_id = ?, batch_id = ?, user_id = ?, reference = ?, reason = ?, until = ?, \
    expiry_day = ?, worth = ? WHERE shard = ? AND slot = ? AND code = ? AND version = ? AND number = ? \
    AND attempt = ?";

/// Nothing has come of a row. A column of its own, so that no clock decides which of the two writes was first.
pub const REFUSED_CHANGE: &str = "UPDATE change USING TTL ? SET refused = true WHERE shard = ? \
    AND slot = ? AND code = ? AND version = ? AND number = ? AND attempt = ?";

/// A row of `change`. It is written once: a null is left unset.
#[derive(Clone, SerializeRow)]
pub struct NewChange<'a> {
    ttl: i32,
    before: i64,
    kind: &'a str,
    at: CqlTimestamp,
    actor: String,
    operation: Uuid,
    campaign_id: &'a str,
    batch_id: &'a str,
    user_id: MaybeUnset<String>,
    reference: MaybeUnset<String>,
    reason: MaybeUnset<String>,
    until: MaybeUnset<CqlTimestamp>,
    expiry_day: CqlDate,
    worth: MaybeUnset<String>,
    shard: i32,
    slot: i64,
    code: &'a str,
    version: i64,
    number: i32,
    attempt: Uuid,
}
