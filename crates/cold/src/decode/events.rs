//! The events of a batch of coupons.

use arrow::array::{AsArray, Int64Array, ListArray};
use coupon::calendar::Zone;
use coupon::coupon::{Event, EventKind};
use coupon::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};

use super::columns::{Instants, Texts, as_instants, as_longs, as_texts};
use super::{BadRow, bad};

/// The events of all rows of a batch, concatenated.
pub(super) struct Events<'a> {
    sequences: &'a Int64Array,
    kinds: Texts<'a>,
    at: Instants<'a>,
    actors: Texts<'a>,
    operations: Texts<'a>,
    users: Texts<'a>,
    references: Texts<'a>,
    reasons: Texts<'a>,
    expires_at: Instants<'a>,
    zones: Texts<'a>,
}

impl<'a> Events<'a> {
    pub(super) fn of(lists: &'a ListArray) -> Result<Events<'a>, BadRow> {
        let rows =
            lists.values().as_struct_opt().ok_or_else(|| bad("events", 0, "no list of structs"))?;
        let column = |path: &'static str, name: &str| {
            rows.column_by_name(name).ok_or_else(|| bad(path, 0, "missing"))
        };
        let texts = |path: &'static str, name: &str| as_texts(path, column(path, name)?);
        let instants = |path: &'static str, name: &str| as_instants(path, column(path, name)?);
        Ok(Events {
            sequences: as_longs("events.sequence", column("events.sequence", "sequence")?)?,
            kinds: texts("events.kind", "kind")?,
            at: instants("events.at", "at")?,
            actors: texts("events.actor", "actor")?,
            operations: texts("events.operation", "operation")?,
            users: texts("events.user_id", "user_id")?,
            references: texts("events.reference", "reference")?,
            reasons: texts("events.reason", "reason")?,
            expires_at: instants("events.expires_at", "expires_at")?,
            zones: texts("events.time_zone", "time_zone")?,
        })
    }

    /// Event number `at`, from 0, of the coupon whose events begin at `from`.
    pub(super) fn event(&self, from: usize, at: usize) -> Result<Event, BadRow> {
        let row = from + at;
        if usize::try_from(self.sequences.value(row)).ok() != Some(at + 1) {
            let found = format!("{}, want {}", self.sequences.value(row), at + 1);
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
