//! The events of a batch of coupons.

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use coupon::calendar::Zone;
use coupon::coupon::{Event, EventKind};
use coupon::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};

use super::columns::{Instants, Longs, Texts, instants, longs, texts};
use super::{BadRow, bad};

/// The events of all rows of a batch, concatenated.
pub(super) struct Events {
    sequences: Longs,
    kinds: Texts,
    at: Instants,
    actors: Texts,
    operations: Texts,
    users: Texts,
    references: Texts,
    reasons: Texts,
    expires_at: Instants,
    zones: Texts,
}

impl Events {
    pub(super) fn of(lists: &ListArray) -> Result<Events, BadRow> {
        let rows = lists.values().as_struct_opt().filter(|rows| rows.null_count() == 0);
        let rows = RecordBatch::from(rows.ok_or_else(|| bad("events", 0, "no list of structs"))?);
        Ok(Events {
            sequences: longs(&rows, "events.sequence")?,
            kinds: texts(&rows, "events.kind")?,
            at: instants(&rows, "events.at")?,
            actors: texts(&rows, "events.actor")?,
            operations: texts(&rows, "events.operation")?,
            users: texts(&rows, "events.user_id")?,
            references: texts(&rows, "events.reference")?,
            reasons: texts(&rows, "events.reason")?,
            expires_at: instants(&rows, "events.expires_at")?,
            zones: texts(&rows, "events.time_zone")?,
        })
    }

    /// Event number `at`, from 0, of the coupon whose events begin at `from`.
    pub(super) fn event(&self, from: usize, at: usize) -> Result<Event, BadRow> {
        let row = from + at;
        if usize::try_from(self.sequences.get(row)).ok() != Some(at + 1) {
            let found = format!("{}, want {}", self.sequences.get(row), at + 1);
            return Err(bad("events.sequence", row, found));
        }
        let operation = self.operations.needed(row)?;
        let operation = u128::from_str_radix(operation, 16)
            .map_err(|error| bad("events.operation", row, error))?;
        Ok(Event {
            at: self.at.needed(row)?,
            actor: Actor::new(self.actors.needed(row)?),
            operation: OperationId(operation),
            kind: self.kind(row)?,
        })
    }

    fn kind(&self, row: usize) -> Result<EventKind, BadRow> {
        let reason = || self.reasons.optional::<Reason>(row);
        Ok(match self.kinds.needed(row)? {
            "issued" => EventKind::Issued {
                to: self.users.parsed(row)?,
                reference: self.references.get(row).map(IssueRef::stored),
                expires_at: self.expires_at.get(row),
            },
            "redeemed" => EventKind::Redeemed {
                by: self.users.optional(row)?,
                order: self.references.parsed(row)?,
            },
            "redemption_cancelled" => EventKind::RedemptionCancelled {
                order: self.references.parsed::<OrderRef>(row)?,
                reason: reason()?,
            },
            "revoked" => EventKind::Revoked {
                from: self.users.parsed::<UserId>(row)?,
                reference: self.references.optional::<RevokeRef>(row)?,
                reason: reason()?,
            },
            "voided" => EventKind::Voided { reason: reason()? },
            "extended" => EventKind::Extended {
                expires_at: self.expires_at.needed(row)?,
                zone: self.zones.parsed::<Zone>(row)?,
                reason: reason()?,
            },
            kind => return Err(bad("events.kind", row, format!("{kind:?}"))),
        })
    }
}
