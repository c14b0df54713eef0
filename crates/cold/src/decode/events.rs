//! The events of a batch of coupons.

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use coupon::coupon::Event;
use coupon::flat::Flat;
use coupon::ids::OperationId;

use super::columns::{InstantColumn, LongColumn, TextColumn, instants, longs, texts};
use super::{BadRow, bad};

/// The events of all rows of a batch, concatenated.
pub(super) struct EventColumns {
    sequences: LongColumn,
    kinds: TextColumn,
    at: InstantColumn,
    actors: TextColumn,
    operations: TextColumn,
    users: TextColumn,
    references: TextColumn,
    reasons: TextColumn,
    expires_at: InstantColumn,
    zones: TextColumn,
}

impl EventColumns {
    pub(super) fn of(lists: &ListArray) -> Result<EventColumns, BadRow> {
        let rows = lists.values().as_struct_opt().filter(|rows| rows.null_count() == 0);
        let rows = RecordBatch::from(rows.ok_or_else(|| bad("events", 0, "no list of structs"))?);
        Ok(EventColumns {
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
        let flat = Flat {
            kind: self.kinds.needed(row)?,
            at: self.at.needed(row)?,
            actor: self.actors.needed(row)?,
            operation: OperationId(operation),
            user: self.users.get(row),
            reference: self.references.get(row),
            reason: self.reasons.get(row),
            expires_at: self.expires_at.get(row),
            time_zone: self.zones.get(row),
        };
        flat.into_event().map_err(|why| bad("events", row, format!("no event: {why}")))
    }
}
