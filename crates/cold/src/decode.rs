//! From rows to coupons: the only place that reads the columns of `coupons`.
//!
//! A coupon is folded from its genesis and its events, like everywhere; the columns that say the
//! same once more are for other readers, and only the state is compared.

use std::fmt::Display;
use std::str::FromStr;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};
use coupon::calendar::Zone;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, EventKind, Genesis};
use coupon::ids::{Actor, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId};
use coupon::time::{Day, Millis};

use crate::encode::MICROS;
use crate::index::Row;

/// Why a row is no coupon; the caller names the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column} in row {row} is {found}")]
pub(crate) struct BadRow {
    column: &'static str,
    row: usize,
    found: String,
}

/// The coupons of a batch that has every column.
pub(crate) fn coupons(batch: &RecordBatch) -> Result<Vec<Coupon>, BadRow> {
    let rows = Rows::of(batch)?;
    (0..batch.num_rows()).map(|row| rows.coupon(row)).collect()
}

/// The coupons of a batch of `coupons` that came to cold behind the archive commit `after`, `own`
/// being that of the file, whose rows say nothing else.
pub(crate) fn coupons_behind(batch: &RecordBatch, after: u64) -> Result<Vec<Coupon>, BadRow> {
    let (rows, archived_in) = (Rows::of(batch)?, longs(batch, "archived_in")?);
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        if unsigned("archived_in", row, archived_in.value(row))? > after {
            found.push(rows.coupon(row)?);
        }
    }
    Ok(found)
}

/// The codes of a batch, their versions, and the archive commits that brought them to cold.
pub(crate) fn origins(batch: &RecordBatch) -> Result<Vec<(Code, u64, u64)>, BadRow> {
    let archived_in = longs(batch, "archived_in")?;
    let keys = keys(batch)?.into_iter().enumerate();
    keys.map(|(row, (code, version))| {
        Ok((code, version, unsigned("archived_in", row, archived_in.value(row))?))
    })
    .collect()
}

/// The rows of a batch of the holder index.
pub(crate) fn indexed(batch: &RecordBatch) -> Result<Vec<Row>, BadRow> {
    rows_of(batch, None)
}

/// Those of them that are of one holder.
pub(crate) fn indexed_of(batch: &RecordBatch, holder: &UserId) -> Result<Vec<Row>, BadRow> {
    rows_of(batch, Some(holder))
}

fn rows_of(batch: &RecordBatch, wanted: Option<&UserId>) -> Result<Vec<Row>, BadRow> {
    let days = column(batch, "expiry_day")?.as_primitive_opt::<Date32Type>();
    let days = days.ok_or_else(|| bad("expiry_day", 0, "no day"))?;
    let (rows, holders) = (Rows::of(batch)?, texts(batch, "holder")?);
    let mut found = Vec::new();
    for row in 0..batch.num_rows() {
        if wanted.is_none_or(|wanted| holders.get(row) == Some(wanted.as_str())) {
            found.push(Row { day: Day(days.value(row)), coupon: rows.coupon(row)? });
        }
    }
    Ok(found)
}

/// The codes of a batch and their versions.
pub(crate) fn keys(batch: &RecordBatch) -> Result<Vec<(Code, u64)>, BadRow> {
    let (codes, versions) = (texts(batch, "code")?, longs(batch, "version")?);
    let key = |row| Ok((codes.parsed(row)?, unsigned("version", row, versions.value(row))?));
    (0..batch.num_rows()).map(key).collect()
}

/// A column of text that names itself when it cannot be read.
pub(crate) struct Texts<'a> {
    name: &'static str,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    fn get(&self, row: usize) -> Option<&'a str> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<&'a str, BadRow> {
        self.get(row).ok_or_else(|| bad(self.name, row, "missing"))
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, row: usize) -> Result<T, BadRow> {
        self.needed(row)?.parse().map_err(|error: T::Err| bad(self.name, row, error))
    }

    pub(crate) fn optional<T: FromStr<Err: Display>>(
        &self,
        row: usize,
    ) -> Result<Option<T>, BadRow> {
        self.get(row).map(|_| self.parsed(row)).transpose()
    }
}

/// A column of instants.
pub(crate) struct Instants<'a> {
    name: &'static str,
    values: &'a TimestampMicrosecondArray,
}

impl Instants<'_> {
    fn get(&self, row: usize) -> Option<Millis> {
        self.values.is_valid(row).then(|| Millis(self.values.value(row).div_euclid(MICROS)))
    }

    pub(crate) fn needed(&self, row: usize) -> Result<Millis, BadRow> {
        self.get(row).ok_or_else(|| bad(self.name, row, "missing"))
    }
}

struct Rows<'a> {
    codes: Texts<'a>,
    campaigns: Texts<'a>,
    batches: Texts<'a>,
    states: Texts<'a>,
    versions: &'a Int64Array,
    valid_from: Instants<'a>,
    made_expires_at: Instants<'a>,
    made_zones: Zones<'a>,
    created_at: Instants<'a>,
    modified_at: Instants<'a>,
    lists: &'a ListArray,
    events: Events<'a>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Rows<'a>, BadRow> {
        let lists =
            column(batch, "events")?.as_list_opt().ok_or_else(|| bad("events", 0, "no list"))?;
        Ok(Rows {
            codes: texts(batch, "code")?,
            campaigns: texts(batch, "campaign_id")?,
            batches: texts(batch, "batch_id")?,
            states: texts(batch, "state")?,
            versions: longs(batch, "version")?,
            valid_from: instants(batch, "valid_from")?,
            made_expires_at: instants(batch, "made_expires_at")?,
            made_zones: Zones::of(texts(batch, "made_time_zone")?)?,
            created_at: instants(batch, "created_at")?,
            modified_at: instants(batch, "modified_at")?,
            lists,
            events: Events::of(lists)?,
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
        let version = unsigned("version", row, self.versions.value(row))?;
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

/// The events of all rows of a batch, one after the other.
struct Events<'a> {
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
    fn of(lists: &'a ListArray) -> Result<Events<'a>, BadRow> {
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

    /// The event `at`, from 0, of a coupon whose first one is `from`.
    fn event(&self, from: usize, at: usize) -> Result<Event, BadRow> {
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

/// A column of zones. Nearly all rows of a batch have the same one, and looking a name up is
/// dear, so the first row's is kept.
struct Zones<'a> {
    names: Texts<'a>,
    first: Option<(&'a str, Zone)>,
}

impl<'a> Zones<'a> {
    fn of(names: Texts<'a>) -> Result<Zones<'a>, BadRow> {
        let first = match names.values.is_empty() {
            true => None,
            false => Some((names.needed(0)?, names.parsed(0)?)),
        };
        Ok(Zones { names, first })
    }

    fn get(&self, row: usize) -> Result<Zone, BadRow> {
        match &self.first {
            Some((name, zone)) if self.names.get(row) == Some(name) => Ok(zone.clone()),
            _ => self.names.parsed(row),
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a ArrayRef, BadRow> {
    batch.column_by_name(name).ok_or_else(|| bad(name, 0, "missing"))
}

pub(crate) fn texts<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<Texts<'a>, BadRow> {
    as_texts(name, column(batch, name)?)
}

fn as_texts<'a>(name: &'static str, column: &'a ArrayRef) -> Result<Texts<'a>, BadRow> {
    let values = column.as_string_opt::<i32>().ok_or_else(|| bad(name, 0, "no text"))?;
    Ok(Texts { name, values })
}

pub(crate) fn longs<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a Int64Array, BadRow> {
    as_longs(name, column(batch, name)?)
}

fn as_longs<'a>(name: &'static str, column: &'a ArrayRef) -> Result<&'a Int64Array, BadRow> {
    column.as_primitive_opt::<Int64Type>().ok_or_else(|| bad(name, 0, "no number"))
}

pub(crate) fn instants<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<Instants<'a>, BadRow> {
    as_instants(name, column(batch, name)?)
}

fn as_instants<'a>(name: &'static str, column: &'a ArrayRef) -> Result<Instants<'a>, BadRow> {
    let values = column
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| bad(name, 0, "no instant"))?;
    Ok(Instants { name, values })
}

pub(crate) fn unsigned(column: &'static str, row: usize, value: i64) -> Result<u64, BadRow> {
    u64::try_from(value).map_err(|_| bad(column, row, value))
}

pub(crate) fn bad(column: &'static str, row: usize, found: impl Display) -> BadRow {
    BadRow { column, row, found: found.to_string() }
}
