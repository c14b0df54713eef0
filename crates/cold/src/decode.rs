//! From rows to coupons: the only place that reads the columns of `coupons`.
//!
//! A coupon follows from its values at creation (its genesis) and its events, as in the hot stores.
//! The columns that repeat what follows are for other readers: only the state is compared here.

mod columns;
mod events;

use std::fmt::Display;

use arrow::array::{ListArray, RecordBatch};
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis};
use coupon::ids::UserId;
use coupon::time::{Day, Millis};

use crate::index::HolderIndexRow;
use columns::{ZoneColumn, column};
use events::EventColumns;

pub(crate) use columns::{InstantColumn, LongColumn, TextColumn, days, instants, longs, texts};

/// Why a row cannot be decoded. The caller adds the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column} in row {row} is {found}")]
pub(crate) struct BadRow {
    column: &'static str,
    row: usize,
    found: String,
}

/// Decodes a batch that has every column.
pub(crate) fn coupons(batch: &RecordBatch) -> Result<Vec<Coupon>, BadRow> {
    let rows = CouponColumns::of(batch)?;
    (0..batch.num_rows()).map(|row| rows.coupon(row)).collect()
}

/// Those that came to cold after archive commit `after`.
pub(crate) fn coupons_behind(batch: &RecordBatch, after: u64) -> Result<Vec<Coupon>, BadRow> {
    let (rows, archived_in) = (CouponColumns::of(batch)?, longs(batch, "archived_in")?);
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        if archived_in.unsigned(row)? > after {
            found.push(rows.coupon(row)?);
        }
    }
    Ok(found)
}

/// Decodes those coupons of a batch that may have a redemption, live or cancelled, made from `from` on and
/// before `before`, and if there are two copies of one of them in the table, in both.
pub(crate) fn coupons_redeemed(
    batch: &RecordBatch,
    from: Millis,
    before: Millis,
) -> Result<Vec<Coupon>, BadRow> {
    let rows = CouponColumns::of(batch)?;
    let redeemed_at = instants(batch, "redeemed_at")?;
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        let live = redeemed_at.get(row).is_some_and(|at| (from..before).contains(&at));
        // Its last change was the redemption or came later. What was cancelled has two changes at least.
        let may = live || rows.versions.unsigned(row)? >= 2;
        if may && rows.modified_at.needed(row)? >= from {
            found.push(rows.coupon(row)?);
        }
    }
    Ok(found)
}

/// The codes and versions of a batch, and the archive commits that brought the rows to cold.
pub(crate) fn origins(batch: &RecordBatch) -> Result<Vec<(Code, u64, u64)>, BadRow> {
    let archived_in = longs(batch, "archived_in")?;
    let keys = keys(batch)?.into_iter().enumerate();
    keys.map(|(row, (code, version))| Ok((code, version, archived_in.unsigned(row)?))).collect()
}

pub(crate) fn indexed(batch: &RecordBatch) -> Result<Vec<HolderIndexRow>, BadRow> {
    rows_of(batch, None)
}

pub(crate) fn indexed_of(
    batch: &RecordBatch,
    holder: &UserId,
) -> Result<Vec<HolderIndexRow>, BadRow> {
    rows_of(batch, Some(holder))
}

fn rows_of(batch: &RecordBatch, wanted: Option<&UserId>) -> Result<Vec<HolderIndexRow>, BadRow> {
    let (rows, days, holders) = (CouponColumns::of(batch)?, days(batch)?, texts(batch, "holder")?);
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        if wanted.is_none_or(|wanted| holders.get(row) == Some(wanted.as_str())) {
            found.push(HolderIndexRow { day: Day(days.value(row)), coupon: rows.coupon(row)? });
        }
    }
    Ok(found)
}

pub(crate) fn keys(batch: &RecordBatch) -> Result<Vec<(Code, u64)>, BadRow> {
    let (codes, versions) = (texts(batch, "code")?, longs(batch, "version")?);
    let key = |row| Ok((codes.parsed(row)?, versions.unsigned(row)?));
    (0..batch.num_rows()).map(key).collect()
}

struct CouponColumns {
    codes: TextColumn,
    campaigns: TextColumn,
    batches: TextColumn,
    states: TextColumn,
    versions: LongColumn,
    valid_from: InstantColumn,
    made_expires_at: InstantColumn,
    made_zones: ZoneColumn,
    created_at: InstantColumn,
    modified_at: InstantColumn,
    lists: ListArray,
    events: EventColumns,
}

impl CouponColumns {
    fn of(batch: &RecordBatch) -> Result<CouponColumns, BadRow> {
        let lists: ListArray = column(batch, "events", "no list")?;
        Ok(CouponColumns {
            codes: texts(batch, "code")?,
            campaigns: texts(batch, "campaign_id")?,
            batches: texts(batch, "batch_id")?,
            states: texts(batch, "state")?,
            versions: longs(batch, "version")?,
            valid_from: instants(batch, "valid_from")?,
            made_expires_at: instants(batch, "made_expires_at")?,
            made_zones: ZoneColumn::of(texts(batch, "made_time_zone")?)?,
            created_at: instants(batch, "created_at")?,
            modified_at: instants(batch, "modified_at")?,
            events: EventColumns::of(&lists)?,
            lists,
        })
    }

    fn coupon(&self, row: usize) -> Result<Coupon, BadRow> {
        let genesis = Genesis {
            code: self.codes.parsed(row)?,
            campaign: self.campaigns.parsed(row)?,
            batch: self.batches.parsed(row)?,
            valid_from: self.valid_from.needed(row)?,
            expires_at: self.made_expires_at.needed(row)?,
            zone: self.made_zones.get(row)?,
            created_at: self.created_at.needed(row)?,
        };
        let offsets = self.lists.value_offsets();
        let from = usize::try_from(offsets[row]).unwrap_or(0);
        let events = (0..self.lists.value_length(row))
            .map(|at| self.events.event(from, usize::try_from(at).unwrap_or(0)))
            .collect::<Result<Vec<Event>, BadRow>>()?;
        let version = self.versions.unsigned(row)?;
        let modified_at = self.modified_at.needed(row)?;
        let coupon = Coupon::of(genesis, events, None, version, modified_at);
        let state = self.states.needed(row)?;
        if coupon.state().as_str() != state {
            let what = format!("{state:?}, its events say {}", coupon.state().as_str());
            return Err(bad("state", row, what));
        }
        Ok(coupon)
    }
}

pub(crate) fn bad(column: &'static str, row: usize, found: impl Display) -> BadRow {
    BadRow { column, row, found: found.to_string() }
}
