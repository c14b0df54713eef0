//! Index rows of the event feed, as readers read them.

use std::collections::BTreeSet;

use coupon::code::Code;
use coupon::ids::{Actor, Reason};
use coupon::time::{Day, Millis};
use coupon::worth::RedemptionWorth;
use hot::audit::{AuditEvent, AuditKind};
use hot::feed::{CouponEventKind, CouponHappened, EventType, Owner};
use hot::{HotError, bounded_join};
use scylla::value::{CqlDate, CqlTimestamp};
use scylla::{DeserializeRow, SerializeRow};
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

use crate::feed_cursor::ShardRow;
use crate::values::{day, millis, parsed, signed};
use crate::{CqlSession, Result, StatementProfile, damaged};

const AT_ONCE: usize = 16;

/// Slots that one statement reads. ScyllaDB takes 100 at most.
const SLOTS_MAX: usize = 64;

/// A slot and a shard, and why they cannot be read.
pub type SlotLook = ((i64, i32), Option<HotError>);

/// As it is stored: it may be damaged.
#[derive(Clone, Debug, DeserializeRow, SerializeRow)]
pub struct ChangeRow {
    slot: i64,
    code: String,
    pub version: i64,
    number: i32,
    attempt: Uuid,
    before: Option<i64>,
    kind: Option<String>,
    at: Option<CqlTimestamp>,
    actor: Option<String>,
    operation: Option<Uuid>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    user_id: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
    until: Option<CqlTimestamp>,
    expiry_day: Option<CqlDate>,
    changes: Option<String>,
    moved_from: Option<i64>,
    refused: Option<bool>,
    worth: Option<String>,
}

#[derive(Clone, SerializeRow)]
struct MovedChange {
    ttl: i32,
    shard: i32,
    #[scylla(flatten)]
    row: ChangeRow,
}

#[derive(Clone, Debug)]
pub enum AnnouncedChange {
    Coupon(AnnouncedCoupon),
    AuditEvent(AnnouncedEvent),
}

impl AnnouncedChange {
    pub fn of_coupon(&self) -> Option<&AnnouncedCoupon> {
        match self {
            AnnouncedChange::Coupon(change) => Some(change),
            AnnouncedChange::AuditEvent(_) => None,
        }
    }

    /// Its place among the rows of its slot and shard.
    pub fn place(&self) -> ShardRow {
        match self {
            AnnouncedChange::Coupon(change) => change.place(),
            AnnouncedChange::AuditEvent(audit_event) => audit_event.place(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct AnnouncedCoupon {
    pub slot: i64,
    /// In which its writer put it.
    pub own_slot: i64,
    pub code: Code,
    pub version: u64,
    /// Of its event in the history of the coupon; 0 of a hold.
    pub number: i32,
    pub attempt: Uuid,
    /// The version that it replaces.
    pub before: u64,
    pub kind: CouponEventKind,
    pub at: Millis,
    pub actor: Actor,
    pub operation: Uuid,
    pub owner: Owner,
    user: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
    until: Option<Millis>,
    worth: Option<RedemptionWorth>,
    /// The partition in which the coupon has the version `before`.
    pub day: Day,
    /// Whether the coupon says that another index row of the same write is the one that counts.
    pub is_repeat: bool,
}

#[derive(Clone, Debug)]
pub struct AnnouncedEvent {
    pub code: Code,
    pub revision: i64,
    pub number: i32,
    pub attempt: Uuid,
    pub at: Millis,
    pub actor: Actor,
    pub reason: Option<Reason>,
    pub event: AuditEvent,
}

impl AnnouncedEvent {
    pub fn place(&self) -> ShardRow {
        let (version, number) = (self.revision.unsigned_abs(), self.number);
        ShardRow { code: self.code.clone(), version, number }
    }

    /// The same for every reader.
    pub fn event_id(&self) -> Uuid {
        named_at(self.at, &format!("{} {}", self.attempt, self.number))
    }
}

impl ChangeRow {
    fn place(&self) -> Result<ShardRow> {
        let code = parsed("change.code", &self.code)?;
        Ok(ShardRow { code, version: self.version.unsigned_abs(), number: self.number })
    }

    /// The slot in which its writer put it.
    pub fn own_slot(&self) -> i64 {
        self.moved_from.unwrap_or(self.slot)
    }

    /// Whether its writer says that nothing has come of it.
    pub fn is_refused(&self) -> bool {
        self.refused == Some(true)
    }

    pub fn found(self) -> Result<AnnouncedChange> {
        match &self.changes {
            Some(_) => self.audit_event().map(AnnouncedChange::AuditEvent),
            None => self.announced().map(AnnouncedChange::Coupon),
        }
    }

    fn audit_event(self) -> Result<AnnouncedEvent> {
        let missing =
            |column| HotError::Damaged(format!("audit event in {}: no {column}", self.slot));
        let kind =
            self.kind.as_deref().and_then(AuditKind::named).ok_or_else(|| missing("kind"))?;
        let changes = serde_json::from_str(self.changes.as_deref().unwrap_or_default());
        let event = AuditEvent {
            kind,
            campaign: self.campaign_id.map(|id| parsed("change.campaign_id", &id)).transpose()?,
            batch: self.batch_id.map(|id| parsed("change.batch_id", &id)).transpose()?,
            changes: changes.map_err(damaged)?,
        };
        Ok(AnnouncedEvent {
            code: parsed("change.code", &self.code)?,
            revision: self.version,
            number: self.number,
            attempt: self.attempt,
            at: self.at.map(millis).ok_or_else(|| missing("at"))?,
            actor: Actor::new(self.actor.as_deref().unwrap_or_default()),
            reason: self.reason.map(|text| parsed("change.reason", &text)).transpose()?,
            event,
        })
    }

    fn announced(self) -> Result<AnnouncedCoupon> {
        let own_slot = self.own_slot();
        let missing = |column| HotError::Damaged(format!("change of {}: no {column}", self.code));
        let kind = self.kind.ok_or_else(|| missing("kind"))?;
        let is_it = |it: &CouponEventKind| EventType::Coupon(*it).as_str() == kind;
        let kind = CouponEventKind::ALL.into_iter().find(is_it);
        let text = |column: &'static str, value: &Option<String>| {
            value.clone().ok_or_else(|| missing(column))
        };
        Ok(AnnouncedCoupon {
            slot: self.slot,
            own_slot,
            code: parsed("change.code", &self.code)?,
            version: self.version.unsigned_abs(),
            number: self.number,
            attempt: self.attempt,
            before: self.before.ok_or_else(|| missing("before"))?.unsigned_abs(),
            kind: kind.ok_or_else(|| missing("kind that is known"))?,
            at: self.at.map(millis).ok_or_else(|| missing("at"))?,
            actor: Actor::new(&text("actor", &self.actor)?),
            operation: self.operation.ok_or_else(|| missing("operation"))?,
            owner: Owner {
                campaign: parsed("change.campaign_id", &text("campaign_id", &self.campaign_id)?)?,
                batch: parsed("change.batch_id", &text("batch_id", &self.batch_id)?)?,
            },
            day: self.expiry_day.map(day).ok_or_else(|| missing("expiry_day"))?,
            user: self.user_id,
            reference: self.reference,
            reason: self.reason,
            until: self.until.map(millis),
            worth: self.worth.map(|text| parsed("change.worth", &text)).transpose()?,
            is_repeat: false,
        })
    }
}

impl AnnouncedCoupon {
    pub fn place(&self) -> ShardRow {
        ShardRow { code: self.code.clone(), version: self.version, number: self.number }
    }

    pub fn event_type(&self) -> &'static str {
        EventType::Coupon(self.kind).as_str()
    }

    /// The name of its event: the same for each row of the change and each reader.
    pub fn event_id(&self) -> Uuid {
        // An archived coupon does not tell the versions of its events.
        let which = match self.number {
            0 => signed(self.version),
            number => -i64::from(number),
        };
        named_at(self.at, &format!("{} {which} {}", self.code, self.operation))
    }

    pub fn happened(self) -> Result<CouponHappened> {
        Ok(CouponHappened {
            code: self.code,
            owner: self.owner,
            version: self.version,
            kind: self.kind,
            user: self.user.map(|user| parsed("change.user_id", &user)).transpose()?,
            reference: self.reference,
            reason: self.reason,
            until: self.until,
            worth: self.worth,
        })
    }
}

impl CqlSession {
    /// Rows of one slot and shard behind `after` in their order, and whether there may be more. All
    /// rows of one place, or none.
    pub async fn changes_behind(
        &self,
        (slot, shard): (i64, i32),
        after: Option<&ShardRow>,
        limit: usize,
    ) -> Result<(Vec<(ShardRow, ChangeRow)>, bool)> {
        let (code, version, number) = match after {
            Some(after) => (after.code.as_str(), signed(after.version), after.number),
            None => ("", 0, 0),
        };
        let mut limit = i32::try_from(limit).unwrap_or(i32::MAX).max(2);
        loop {
            let cql = "SELECT slot, code, version, number, attempt, before, kind, at, actor, \
                       operation, campaign_id, batch_id, user_id, reference, reason, until, \
                       expiry_day, changes, moved_from, refused, worth FROM change \
                       WHERE shard = ? AND slot = ? \
                       AND (code, version, number) > (?, ?, ?) LIMIT ?";
            let values = (shard, slot, code, version, number, limit);
            let rows: Vec<ChangeRow> = self.rows(StatementProfile::Bulk, cql, values).await?;
            let is_all = (rows.len() as i64) < i64::from(limit);
            // No coupon has a code that is none, so nothing can come of its row.
            let placed = rows.into_iter().filter_map(|row| Some((row.place().ok()?, row)));
            let mut rows: Vec<(ShardRow, ChangeRow)> = placed.collect();
            if is_all {
                return Ok((rows, false));
            }
            // Other rows of the last place may follow.
            let last = rows.last().map(|(place, _)| place.clone());
            rows.retain(|(place, _)| Some(place) != last.as_ref());
            if !rows.is_empty() {
                return Ok((rows, true));
            }
            limit = limit.saturating_mul(2);
        }
    }

    pub async fn changes_of(
        &self,
        shard: i32,
        slots: &[i64],
        code: &Code,
    ) -> Result<Vec<AnnouncedCoupon>> {
        let rows = self.change_rows(shard, slots, code).await?.into_iter();
        let rows = rows.filter(|row| !row.is_refused());
        // Those of an audit event are not of the coupon, even if somebody imported a code that is the hash of its name.
        rows.filter(|row| row.changes.is_none()).map(ChangeRow::announced).collect()
    }

    /// Whether the writer of a change says that nothing has come of this row.
    pub async fn was_refused(&self, shard: i32, change: &AnnouncedCoupon) -> Result<bool> {
        let cql = "SELECT refused FROM change WHERE shard = ? AND slot = ? AND code = ? \
                   AND version = ? AND number = ? AND attempt = ?";
        let AnnouncedCoupon { own_slot, code, version, number, attempt, .. } = change;
        let values = (shard, own_slot, code.as_str(), signed(*version), number, attempt);
        let row: Option<(Option<bool>,)> = self.row(cql, values).await?;
        Ok(row.is_some_and(|(refused,)| refused == Some(true)))
    }

    pub async fn change_rows(
        &self,
        shard: i32,
        slots: &[i64],
        code: &Code,
    ) -> Result<Vec<ChangeRow>> {
        let mut all: Vec<ChangeRow> = Vec::new();
        for slots in slots.chunks(SLOTS_MAX) {
            let cql = "SELECT slot, code, version, number, attempt, before, kind, at, actor, \
                       operation, campaign_id, batch_id, user_id, reference, reason, until, \
                       expiry_day, changes, moved_from, refused, worth FROM change \
                       WHERE shard = ? AND slot IN ? AND code = ?";
            let values = (shard, slots, code.as_str());
            all.extend(self.rows::<ChangeRow>(StatementProfile::Bulk, cql, values).await?);
        }
        Ok(all)
    }

    /// Of some slots, those that have rows, with their shards, in their order; and those that cannot be read, with
    /// the error. `known` are not looked at.
    pub async fn slots_with_changes(
        &self,
        slots: &[i64],
        shards: i32,
        known: &BTreeSet<(i64, i32)>,
    ) -> Result<Vec<SlotLook>> {
        let reads = (0..shards).map(|shard| async move {
            let slots = slots.iter().copied().filter(|slot| !known.contains(&(*slot, shard)));
            let slots: Vec<i64> = slots.collect();
            if let Ok(found) = self.slots_of(shard, slots.clone()).await {
                return Ok(found.into_iter().map(|(slot,)| ((slot, shard), None)).collect());
            }
            // One that cannot be read fails the read of all.
            let each = slots.into_iter().map(|slot| async move {
                Ok(match self.slots_of(shard, vec![slot]).await {
                    Ok(found) => found.first().map(|_| ((slot, shard), None)),
                    Err(error) => Some(((slot, shard), Some(error))),
                })
            });
            let each: Vec<Option<SlotLook>> = bounded_join(AT_ONCE, each).await?;
            Result::<Vec<SlotLook>>::Ok(each.into_iter().flatten().collect())
        });
        let found: Vec<Vec<SlotLook>> = bounded_join(AT_ONCE, reads).await?;
        let mut found: Vec<SlotLook> = found.into_iter().flatten().collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found)
    }

    /// The slots from which rows were moved to some slots of a shard.
    pub async fn moved_to(&self, shard: i32, slots: &[i64]) -> Result<Vec<i64>> {
        let cql = "SELECT moved_from FROM change WHERE shard = ? AND slot IN ?";
        let rows: Vec<(Option<i64>,)> =
            self.rows(StatementProfile::Bulk, cql, (shard, slots)).await?;
        Ok(rows.into_iter().filter_map(|(moved,)| moved).collect())
    }

    /// Writes rows of a shard once more, in another slot.
    pub async fn move_changes(
        &self,
        shard: i32,
        slot: i64,
        rows: &[ChangeRow],
        ttl: i32,
    ) -> Result<()> {
        let writes = rows.iter().map(|row| {
            let row = ChangeRow { slot, moved_from: Some(row.own_slot()), ..row.clone() };
            self.write(MOVED_CHANGE, MovedChange { ttl, shard, row })
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    async fn slots_of(&self, shard: i32, slots: Vec<i64>) -> Result<Vec<(i64,)>> {
        let cql = "SELECT slot FROM change WHERE shard = ? AND slot IN ? PER PARTITION LIMIT 1";
        self.rows(StatementProfile::Bulk, cql, (shard, slots)).await
    }
}

/// A UUID of the seventh version that is the same for the same event.
fn named_at(at: Millis, event: &str) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&xxh3_128(event.as_bytes()).to_le_bytes()[..10]);
    Builder::from_unix_timestamp_millis(at.0.unsigned_abs(), &random).into_uuid()
}

const MOVED_CHANGE: &str = "UPDATE change USING TTL :ttl SET before = ?, kind = ?, at = ?, \
    actor = ?, operation = ?, campaign_id = ?, batch_id = ?, user_id = ?, reference = ?, reason = ?, \
    until = ?, expiry_day = ?, changes = ?, moved_from = ?, refused = ?, worth = ? WHERE shard = ? AND slot = ? AND code = ? \
    AND version = ? AND number = ? AND attempt = ?";
