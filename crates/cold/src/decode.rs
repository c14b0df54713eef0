//! From rows to coupons: the only place that reads the columns of `coupons`.
//!
//! A coupon follows from its values at creation (its genesis) and its events, as in the hot stores.
//! The columns that repeat what follows are for other readers: only the state is compared here.

mod columns;

use std::fmt::Display;

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis};
use coupon::erasure::acting_user;
use coupon::flat::Flat;
use coupon::ids::OperationId;
use coupon::time::{Day, Millis};
use coupon::worth::RedemptionWorth;

use crate::indexed::HolderIndexRow;
use crate::persons::PersonNames;
use columns::{ZoneColumn, column};

pub(crate) use columns::{days, instants, longs, texts};

/// Why a row cannot be decoded. The caller adds the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column} in row {row} is {found}")]
pub(crate) struct BadRow {
    column: &'static str,
    row: usize,
    found: String,
}

/// Decodes a batch that has every column.
pub(crate) fn coupons(batch: &RecordBatch, names: &PersonNames) -> Result<Vec<Coupon>, BadRow> {
    let coupon = coupon_reader(batch, names)?;
    (0..batch.num_rows()).map(coupon).collect()
}

/// Those that came to cold after archive commit `after`.
pub(crate) fn coupons_behind(
    batch: &RecordBatch,
    names: &PersonNames,
    after: u64,
) -> Result<Vec<Coupon>, BadRow> {
    let (coupon, archived_in) = (coupon_reader(batch, names)?, longs(batch, "archived_in")?);
    rows_where(batch, |row| Ok(archived_in.unsigned(row)? > after), coupon)
}

/// Decodes those coupons of a batch that may have a redemption, live or cancelled, made from `from` on and
/// before `before`, and if there are two copies of one of them in the table, in both.
pub(crate) fn coupons_redeemed(
    batch: &RecordBatch,
    names: &PersonNames,
    from: Millis,
    before: Millis,
) -> Result<Vec<Coupon>, BadRow> {
    let coupon = coupon_reader(batch, names)?;
    let (versions, modified_at) = (longs(batch, "version")?, instants(batch, "modified_at")?);
    let redeemed_at = instants(batch, "redeemed_at")?;
    let may = |row| {
        let live = redeemed_at.get(row).is_some_and(|at| (from..before).contains(&at));
        // Its last change was the redemption or came later. What was cancelled has two changes at least.
        Ok((live || versions.unsigned(row)? >= 2) && modified_at.needed(row)? >= from)
    };
    rows_where(batch, may, coupon)
}

/// The codes and versions of a batch, and the archive commits that brought the rows to cold.
pub(crate) fn origins(batch: &RecordBatch) -> Result<Vec<(Code, u64, u64)>, BadRow> {
    let archived_in = longs(batch, "archived_in")?;
    let keys = keys(batch)?.into_iter().enumerate();
    keys.map(|(row, (code, version))| Ok((code, version, archived_in.unsigned(row)?))).collect()
}

/// The rows of the holder index that are `wanted` by the holder that is stored.
pub(crate) fn indexed(
    batch: &RecordBatch,
    names: &PersonNames,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<HolderIndexRow>, BadRow> {
    let (days, holders) = (days(batch)?, texts(batch, "holder")?);
    let coupon = coupon_reader(batch, names)?;
    let read = |row| Ok(HolderIndexRow { day: Day(days.value(row)), coupon: coupon(row)? });
    rows_where(batch, |row| Ok(wanted(holders.needed(row)?)), read)
}

/// Reads those rows of a batch that are wanted.
pub(crate) fn rows_where<T>(
    batch: &RecordBatch,
    wanted: impl Fn(usize) -> Result<bool, BadRow>,
    read: impl Fn(usize) -> Result<T, BadRow>,
) -> Result<Vec<T>, BadRow> {
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        if wanted(row)? {
            found.push(read(row)?);
        }
    }
    Ok(found)
}

pub(crate) fn keys(batch: &RecordBatch) -> Result<Vec<(Code, u64)>, BadRow> {
    let (codes, versions) = (texts(batch, "code")?, longs(batch, "version")?);
    let key = |row| Ok((codes.parsed(row)?, versions.unsigned(row)?));
    (0..batch.num_rows()).map(key).collect()
}

/// The columns that can name a person so that an erasure finds them.
pub(crate) const OF_PERSONS: &[&str] =
    &["holder", "events.list.element.user_id", "events.list.element.actor"];

/// One item if a row of `batch`, which needs only [`OF_PERSONS`], names somebody who was erased.
pub(crate) fn persons(batch: &RecordBatch, names: &PersonNames) -> Result<Vec<()>, BadRow> {
    let events = events_of(&column(batch, "events", "no list")?.values)?;
    let holders = texts(batch, "holder")?.values;
    let users = texts(&events, "events.user_id")?.values;
    let actors = texts(&events, "events.actor")?.values;
    let acting = actors.iter().flatten().filter_map(acting_user);
    let mut all = holders.iter().chain(&users).flatten().chain(acting);
    Ok(all.any(|name| names.renames(name)).then_some(()).into_iter().collect())
}

fn coupon_reader<'a>(
    batch: &RecordBatch,
    names: &'a PersonNames,
) -> Result<impl Fn(usize) -> Result<Coupon, BadRow> + use<'a>, BadRow> {
    let codes = texts(batch, "code")?;
    let campaigns = texts(batch, "campaign_id")?;
    let batches = texts(batch, "batch_id")?;
    let states = texts(batch, "state")?;
    let versions = longs(batch, "version")?;
    let valid_from = instants(batch, "valid_from")?;
    let made_expires_at = instants(batch, "made_expires_at")?;
    let made_zones = ZoneColumn::of(texts(batch, "made_time_zone")?)?;
    let created_at = instants(batch, "created_at")?;
    let modified_at = instants(batch, "modified_at")?;
    let lists: ListArray = column(batch, "events", "no list")?.values;
    let event = event_reader(&lists)?;
    Ok(move |row| {
        let genesis = Genesis {
            code: codes.parsed(row)?,
            campaign: campaigns.parsed(row)?,
            batch: batches.parsed(row)?,
            valid_from: valid_from.needed(row)?,
            expires_at: made_expires_at.needed(row)?,
            zone: made_zones.get(row)?,
            created_at: created_at.needed(row)?,
        };
        let from = usize::try_from(lists.value_offsets()[row]).unwrap_or(0);
        let events = (0..lists.value_length(row))
            .map(|at| event(from, usize::try_from(at).unwrap_or(0)))
            .collect::<Result<Vec<Event>, BadRow>>()?;
        let (version, modified_at) = (versions.unsigned(row)?, modified_at.needed(row)?);
        let coupon = Coupon::of(genesis, events, None, version, modified_at);
        let state = states.needed(row)?;
        if coupon.state().as_str() != state {
            let what = format!("{state:?}, its events say {}", coupon.state().as_str());
            return Err(bad("state", row, what));
        }
        Ok(names.coupon(coupon))
    })
}

/// Reads event number `at`, from 0, of the coupon whose events begin at `from` of the events of all coupons.
fn event_reader(
    lists: &ListArray,
) -> Result<impl Fn(usize, usize) -> Result<Event, BadRow> + use<>, BadRow> {
    let rows = events_of(lists)?;
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
    let worth = worth_reader(&rows)?;
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
            worth: worth(row)?,
        };
        flat.into_event().map_err(|why| bad("events", row, format!("no event: {why}")))
    })
}

fn events_of(lists: &ListArray) -> Result<RecordBatch, BadRow> {
    let rows = lists.values().as_struct_opt().filter(|rows| rows.null_count() == 0);
    Ok(RecordBatch::from(rows.ok_or_else(|| bad("events", 0, "no list of structs"))?))
}

fn worth_reader(
    events: &RecordBatch,
) -> Result<impl Fn(usize) -> Result<Option<RedemptionWorth>, BadRow> + use<>, BadRow> {
    let orders = longs(events, "events.order_amount")?;
    let discounts = longs(events, "events.discount")?;
    let currencies = texts(events, "events.currency")?;
    Ok(move |row| {
        let (order_amount, discount) = (orders.amount(row)?, discounts.amount(row)?);
        let worth = RedemptionWorth::of(currencies.optional(row)?, order_amount, discount);
        if worth.is_none() && order_amount.or(discount).is_some() {
            return Err(bad("events.currency", row, "missing"));
        }
        Ok(worth)
    })
}

pub(crate) fn bad(column: &'static str, row: usize, found: impl Display) -> BadRow {
    BadRow { column, row, found: found.to_string() }
}
