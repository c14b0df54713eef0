//! The column `record`: what of a coupon no query searches, in few bytes, and a checksum of its row.
//!
//! A record is one byte of flags, the dates that differ from those of the batch, the hold, what the last
//! imported line said, the events, and four bytes of checksum. Numbers are LEB128, signed ones as zigzag. Dates are written
//! as what they are later than another one. A text is its length and its bytes.
//!
//! An event is one byte (its kind, and which fields it has), when, its user, its actor, its operation, and
//! the other fields. A user is often the holder, whom the row has in a column. An actor is the number of
//! its name in the table `actor`. Two bits of it say of the operation that it is that of the event before,
//! or that its number in the table `operation` follows, or its 16 bytes.

use coupon::coupon::{Coupon, Event, Hold};
use coupon::flat::Flat;
use coupon::ids::{Actor, OperationId};
use coupon::time::{Day, Millis};
use rusqlite::Result as SqlResult;
use xxhash_rust::xxh3::xxh3_64;

use crate::bytes::{ByteReader, ByteWriter};
use crate::failure::damaged;
use crate::last_line::{LastLine, LineState};

/// What the coupons of a batch have in common. A row says what is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchCommon {
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) created_at: Millis,
}

impl BatchCommon {
    /// Of a batch whose first coupon with a row is `coupon`.
    pub(crate) fn of(coupon: &Coupon) -> BatchCommon {
        let genesis = coupon.genesis();
        let (valid_from, expires_at) = (genesis.valid_from, genesis.expires_at);
        BatchCommon { valid_from, expires_at, created_at: genesis.created_at }
    }
}

pub(crate) struct CouponRecord {
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) created_at: Millis,
    pub(crate) modified_at: Millis,
    pub(crate) hold: Option<Hold>,
    pub(crate) said: LineState,
    pub(crate) events: Vec<Event>,
}

/// The other columns of a row, for its checksum.
pub(crate) struct RowColumns<'a> {
    pub(crate) batch: i64,
    pub(crate) day: Day,
    pub(crate) code: &'a str,
    pub(crate) version: i64,
    pub(crate) state: i64,
    pub(crate) holder: Option<&'a str>,
    /// Also if the column is null.
    pub(crate) expires_at: Millis,
    pub(crate) ended_at: Option<Millis>,
    pub(crate) history_full: bool,
    pub(crate) indexed: bool,
}

/// Actors and operations that many rows have, by their numbers.
pub(crate) trait NameDictionary {
    /// The number of an actor's name; `None` if it gets none.
    fn number_of_actor(&self, name: &str) -> SqlResult<Option<u64>>;

    fn actor(&self, number: u64) -> SqlResult<Actor>;

    /// The number of an operation; `None` if it has none, or if nobody has asked for it yet.
    fn number_of_operation(&self, operation: OperationId) -> Option<u64>;

    fn operation(&self, number: u64) -> SqlResult<OperationId>;
}

const VALID_FROM: u8 = 1;
const EXPIRES_AT: u8 = 1 << 1;
const CREATED_AT: u8 = 1 << 2;
const MODIFIED_AT: u8 = 1 << 3;
const HOLD: u8 = 1 << 4;
/// Two bits: what the last imported line said.
const SAID: u8 = 0b11 << 5;
const SAID_FIRST: u8 = 0b01 << 5;
const SAID_NOW: u8 = 0b10 << 5;
const SAID_OTHER: u8 = 0b11 << 5;

/// The kinds of events. The index of one is its number in a record: never changed.
const KINDS: [&str; 6] =
    ["issued", "redeemed", "redemption_cancelled", "revoked", "voided", "extended"];

const REDEEMED: u8 = 1;
const EXTENDED: u8 = 5;

/// In the first byte of an event: three bits of its kind, two of its user, one for each other field.
const KIND: u8 = 0b111;
const USER: u8 = 0b11 << 3;
const HOLDER: u8 = 0b01 << 3;
const ANOTHER_USER: u8 = 0b10 << 3;
const REFERENCE: u8 = 1 << 5;
const REASON: u8 = 1 << 6;
/// The new expiry, or of a redemption its amounts.
const LATER: u8 = 1 << 7;

/// An actor whose name follows.
const NAMED: u64 = 0;
/// The user of the event, by themselves. All other actors are numbers, one higher than in the table.
const THE_USER: u64 = 1;

/// The role of users who act for themselves.
pub(crate) const USER_ROLE: &str = "user:";

/// How an event has its operation, in the lowest bits of its actor.
const OPERATION_BITS: u32 = 2;
const OPERATION: u64 = 0;
const SAME_OPERATION: u64 = 1;
const NUMBERED_OPERATION: u64 = 2;

const CHECKSUM_BYTES: usize = 4;

pub(crate) fn encode(
    coupon: &Coupon,
    said: &LineState,
    common: &BatchCommon,
    columns: &RowColumns<'_>,
    dictionary: &dyn NameDictionary,
) -> SqlResult<Vec<u8>> {
    let genesis = coupon.genesis();
    let mut record = ByteWriter::default();
    let created_at = genesis.created_at;
    let modified_at = coupon.events().last().map_or(created_at, |last| last.at);
    let dates = [
        (VALID_FROM, genesis.valid_from, common.valid_from),
        (EXPIRES_AT, genesis.expires_at, common.expires_at),
        (CREATED_AT, created_at, common.created_at),
        (MODIFIED_AT, coupon.modified_at(), modified_at),
    ];
    let mut flags = if coupon.hold().is_some() { HOLD } else { 0 };
    flags |= match said {
        LineState::Available => 0,
        LineState::First => SAID_FIRST,
        LineState::Now => SAID_NOW,
        LineState::Other(_) => SAID_OTHER,
    };
    for (flag, date, usual) in dates {
        flags |= if date == usual { 0 } else { flag };
    }
    record.byte(flags);
    for (_, date, usual) in dates.into_iter().filter(|(_, date, usual)| date != usual) {
        record.later(date, usual);
    }
    if let Some(hold) = coupon.hold() {
        record.text(hold.by.as_str());
        record.text(hold.order.as_str());
        record.bytes(&hold.operation.0.to_be_bytes());
        record.later(hold.since, created_at);
        record.later(hold.until, hold.since);
    }
    if let LineState::Other(line) = said {
        record.counted(&LastLine::of_state(line).encode().unwrap_or_default());
    }
    let mut before = EventBase { at: created_at, operation: None, expires_at: genesis.expires_at };
    for event in coupon.events() {
        push(&mut record, &Flat::of(event), &before, columns.holder, dictionary)?;
        before = EventBase { at: event.at, operation: Some(event.operation), ..before };
    }
    let mut record = record.into_bytes();
    let sum = checksum(&record, common, columns, coupon.events());
    record.extend_from_slice(&sum);
    Ok(record)
}

/// Whether a record says of an imported line anything but that the coupon was available.
pub(crate) fn has_said(record: &[u8]) -> bool {
    record.first().is_some_and(|flags| flags & SAID != 0)
}

/// What an event is written relative to.
struct EventBase {
    /// When the event before it was, or the coupon came to be.
    at: Millis,
    operation: Option<OperationId>,
    /// The first expiry of the coupon.
    expires_at: Millis,
}

fn push(
    record: &mut ByteWriter,
    event: &Flat<'_>,
    before: &EventBase,
    holder: Option<&str>,
    dictionary: &dyn NameDictionary,
) -> SqlResult<()> {
    let kind = KINDS.iter().position(|kind| *kind == event.kind);
    let kind = kind.ok_or_else(|| damaged("kind", event.kind))? as u8;
    let user = match event.user {
        None => 0,
        Some(user) if holder == Some(user) => HOLDER,
        Some(_) => ANOTHER_USER,
    };
    let flag = |flag, is_there| if is_there { flag } else { 0 };
    record.byte(
        kind | user
            | flag(REFERENCE, event.reference.is_some())
            | flag(REASON, event.reason.is_some())
            | flag(LATER, event.expires_at.is_some() || event.worth.is_some()),
    );
    record.later(event.at, before.at);
    if let (ANOTHER_USER, Some(name)) = (user, event.user) {
        record.text(name);
    }
    let themselves = event.actor.strip_prefix(USER_ROLE);
    let actor = match themselves.is_some() && themselves == event.user {
        true => THE_USER,
        false => dictionary.number_of_actor(event.actor)?.map_or(NAMED, |number| number + THE_USER),
    };
    let number = dictionary.number_of_operation(event.operation);
    let operation = match number {
        _ if before.operation == Some(event.operation) => SAME_OPERATION,
        Some(_) => NUMBERED_OPERATION,
        None => OPERATION,
    };
    record.number(actor << OPERATION_BITS | operation);
    if actor == NAMED {
        record.text(event.actor);
    }
    match (operation, number) {
        (SAME_OPERATION, _) => {}
        (_, Some(number)) => record.number(number),
        (_, None) => record.bytes(&event.operation.0.to_be_bytes()),
    }
    [event.reference, event.reason].into_iter().flatten().for_each(|text| record.text(text));
    if let Some(expires_at) = event.expires_at {
        record.later(expires_at, before.expires_at);
    }
    if let Some(worth) = event.worth {
        record.text(&worth.to_string());
    }
    if let Some(zone) = event.time_zone {
        record.text(zone);
    }
    Ok(())
}

/// What a record says, and whether its checksum is that of the row.
pub(crate) fn decode(
    record: &[u8],
    common: &BatchCommon,
    columns: &RowColumns<'_>,
    dictionary: &dyn NameDictionary,
) -> SqlResult<(CouponRecord, bool)> {
    let Some((record, sum)) = record.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(damaged("record", "it has no checksum"));
    };
    let mut left = ByteReader::of(record);
    let flags = left.byte()?;
    if flags > (SAID | ((HOLD << 1) - 1)) {
        return Err(damaged("record", format!("flags {flags:#b}")));
    }
    let mut date = |flag, usual: Millis| match flags & flag {
        0 => Ok(usual),
        _ => left.later(usual),
    };
    let valid_from = date(VALID_FROM, common.valid_from)?;
    let expires_at = date(EXPIRES_AT, common.expires_at)?;
    let created_at = date(CREATED_AT, common.created_at)?;
    // Relative to the last event, which is not known yet.
    let modified_later = date(MODIFIED_AT, Millis(0))?;
    let hold = left.flagged(flags & HOLD, |left| {
        let (by, order) = (left.parsed("hold.by")?, left.parsed("hold.order")?);
        let operation = OperationId(u128::from_be_bytes(left.array()?));
        let since = left.later(created_at)?;
        Ok(Hold { by, order, operation, since, until: left.later(since)? })
    })?;
    let said = match flags & SAID {
        0 => LineState::Available,
        SAID_FIRST => LineState::First,
        SAID_NOW => LineState::Now,
        _ => {
            let line = LastLine::decode(Some(left.counted()?))?;
            let no_state = || damaged("record", "its last line said nothing");
            LineState::Other(Box::new(line.state.ok_or_else(no_state)?))
        }
    };
    let mut events = Vec::new();
    let mut before = EventBase { at: created_at, operation: None, expires_at };
    while !left.is_empty() {
        let event = pull(&mut left, &before, columns.holder, dictionary)?;
        before = EventBase { at: event.at, operation: Some(event.operation), ..before };
        events.push(event);
    }
    let is_whole = *sum == checksum(record, common, columns, &events);
    let modified_at = before.at.plus_ms(modified_later.0);
    let record =
        CouponRecord { valid_from, expires_at, created_at, modified_at, hold, said, events };
    Ok((record, is_whole))
}

fn pull(
    left: &mut ByteReader<'_>,
    before: &EventBase,
    holder: Option<&str>,
    dictionary: &dyn NameDictionary,
) -> SqlResult<Event> {
    let head = left.byte()?;
    let kind = head & KIND;
    let at = left.later(before.at)?;
    let user = match head & USER {
        0 => None,
        HOLDER => Some(holder.ok_or_else(|| damaged("record", "an event of a holder, and none"))?),
        ANOTHER_USER => Some(left.text()?),
        _ => return Err(damaged("record", "a user of no kind")),
    };
    let number = left.number()?;
    let actor = match number >> OPERATION_BITS {
        NAMED => Actor::new(left.text()?),
        THE_USER => {
            let user = user.ok_or_else(|| damaged("record", "a user without a name acted"))?;
            Actor::new(&format!("{USER_ROLE}{user}"))
        }
        number => dictionary.actor(number - THE_USER)?,
    };
    let operation = match (number & ((1 << OPERATION_BITS) - 1), before.operation) {
        (OPERATION, _) => OperationId(u128::from_be_bytes(left.array()?)),
        (SAME_OPERATION, Some(before)) => before,
        (NUMBERED_OPERATION, _) => dictionary.operation(left.number()?)?,
        _ => return Err(damaged("record", "an event has no operation")),
    };
    let reference = left.flagged(head & REFERENCE, ByteReader::text)?;
    let reason = left.flagged(head & REASON, ByteReader::text)?;
    let (expires_at, worth) = match (head & LATER, kind) {
        (0, _) => (None, None),
        (_, REDEEMED) => (None, Some(left.parsed("worth")?)),
        _ => (Some(left.later(before.expires_at)?), None),
    };
    let time_zone = if kind == EXTENDED { Some(left.text()?) } else { None };
    let flat = Flat {
        kind: KINDS.get(usize::from(kind)).ok_or_else(|| damaged("record", "an unknown event"))?,
        at,
        actor: actor.as_str(),
        operation,
        user,
        reference,
        reason,
        expires_at,
        time_zone,
        worth,
    };
    flat.into_event().map_err(|why| damaged("record", why))
}

/// XXH3-64 of everything that a row says, also of the dates of its batch, the names of actors and the
/// operations that it does not repeat, so that a flipped bit in these is found, too. Its lower half: one
/// damaged row in four billion passes.
fn checksum(
    record: &[u8],
    common: &BatchCommon,
    columns: &RowColumns<'_>,
    events: &[Event],
) -> [u8; CHECKSUM_BYTES] {
    let mut all = Vec::with_capacity(record.len() + 192);
    all.extend_from_slice(record);
    let BatchCommon { valid_from, expires_at, created_at } = common;
    let none = Millis(i64::MIN);
    for number in [
        columns.batch,
        i64::from(columns.day.0),
        columns.version,
        columns.state,
        columns.expires_at.0,
        columns.ended_at.unwrap_or(none).0,
        i64::from(columns.history_full),
        i64::from(columns.indexed),
        valid_from.0,
        expires_at.0,
        created_at.0,
    ] {
        all.extend_from_slice(&number.to_le_bytes());
    }
    all.extend_from_slice(columns.code.as_bytes());
    // No name has it.
    all.push(b' ');
    all.extend_from_slice(columns.holder.unwrap_or_default().as_bytes());
    for event in events {
        all.push(b' ');
        all.extend_from_slice(event.actor.as_str().as_bytes());
        all.extend_from_slice(&event.operation.0.to_be_bytes());
    }
    let [a, b, c, d, ..] = xxh3_64(&all).to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
