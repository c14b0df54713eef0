//! The events of a batch of coupons.

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use coupon::coupon::Event;
use coupon::flat::Flat;
use coupon::ids::OperationId;

use super::columns::{instants, longs, texts};
use super::{BadRow, bad};

/// Reads event number `at`, from 0, of the coupon whose events begin at `from` of the events of all
/// coupons.
pub(super) fn event_reader(
    lists: &ListArray,
) -> Result<impl Fn(usize, usize) -> Result<Event, BadRow> + use<>, BadRow> {
    let rows = lists.values().as_struct_opt().filter(|rows| rows.null_count() == 0);
    let rows = RecordBatch::from(rows.ok_or_else(|| bad("events", 0, "no list of structs"))?);
    let sequences = longs(&rows, "events.sequence")?;
    let kinds = texts(&rows, "events.kind")?;
    let happened_at = instants(&rows, "events.at")?;
    let actors = texts(&rows, "events.actor")?;
    let operations = texts(&rows, "events.operation")?;
    let users = texts(&rows, "events.user_id")?;
    let references = texts(&rows, "events.reference")?;
    let reasons = texts(&rows, "events.reason")?;
    let expires_at = instants(&rows, "events.expires_at")?;
    let zones = texts(&rows, "events.time_zone")?;
    Ok(move |from, at| {
        let row = from + at;
        if usize::try_from(sequences.get(row)).ok() != Some(at + 1) {
            let found = format!("{}, want {}", sequences.get(row), at + 1);
            return Err(bad("events.sequence", row, found));
        }
        let operation = u128::from_str_radix(operations.needed(row)?, 16)
            .map_err(|error| bad("events.operation", row, error))?;
        let flat = Flat {
            kind: kinds.needed(row)?,
            at: happened_at.needed(row)?,
            actor: actors.needed(row)?,
            operation: OperationId(operation),
            user: users.get(row),
            reference: references.get(row),
            reason: reasons.get(row),
            expires_at: expires_at.get(row),
            time_zone: zones.get(row),
        };
        flat.into_event().map_err(|why| bad("events", row, format!("no event: {why}")))
    })
}
