//! Rows of coupons as version 1 wrote them.
//!
//! The history is one line for each event, oldest first, with tabs between its fields: kind, at,
//! actor, operation, user, reference, reason, expires_at and time_zone. A field that an event does not
//! have is empty. Blanks at the end were room for a redemption. The hold is JSON.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon::code::Code;
use coupon::coupon::{Coupon, Event, Genesis, Hold};
use coupon::flat::Flat;
use coupon::ids::OperationId;
use coupon::time::{Day, Millis};
use hot::imported_state_text;
use rusqlite::{Row, params};
use serde::Deserialize;

use crate::columns::{millis_or_null, unsigned};
use crate::coupons::writing::next_number;
use crate::directory::{self, Line, Place};
use crate::failure::damaged;
use crate::rows::{columns, first_number, state_name, state_number};
use crate::txn::Txn;

/// Rows after a number, at most so many.
pub(super) const SELECT: &str = "SELECT number, expiry_day, code, batch, version, state, holder, \
    valid_from, expires_at, made_expires_at, redeemed_at, hold, events, created_at, modified_at \
    FROM coupon_1 WHERE number > CAST(?1 AS INTEGER) ORDER BY number LIMIT ?2";

/// A row, and the coupon that it is; or why it is none.
pub(super) struct OldRow {
    pub(super) number: i64,
    pub(super) day: Day,
    pub(super) code: String,
    pub(super) batch: i64,
    version: i64,
    state: String,
    holder: Option<String>,
    expires_at: i64,
    coupon: Result<Coupon, String>,
}

impl OldRow {
    /// From [`SELECT`].
    pub(super) fn of(txn: &Txn<'_>, row: &Row<'_>) -> rusqlite::Result<OldRow> {
        let (day, batch, holder) = (Day(row.get(1)?), row.get(3)?, row.get(6)?);
        let coupon = match read(txn, row, batch) {
            // It is not about the row.
            Err(error) if error.sqlite_error_code().is_some() => return Err(error),
            Err(error) => Err(error.to_string()),
            Ok(coupon) => {
                let now = columns(&coupon, batch, day);
                let agrees = state_name(now.state) == row.get_ref(5)?.as_str()?
                    && now.holder == Option::as_deref(&holder)
                    && now.expires_at.0 == row.get::<_, i64>(8)?;
                if agrees { Ok(coupon) } else { Err("its columns contradict its events".into()) }
            }
        };
        let (number, code) = (row.get(0)?, row.get(2)?);
        let (version, state) = (row.get(4)?, row.get(5)?);
        let expires_at = row.get(8)?;
        Ok(OldRow { number, day, code, batch, version, state, holder, expires_at, coupon })
    }

    pub(super) fn coupon(&self) -> Result<&Coupon, &str> {
        self.coupon.as_ref().map_err(String::as_str)
    }

    /// Keeps the row of a coupon that cannot be read. It stays one that no answer is made of, and that
    /// `verify` reports. The copy of the store before its upgrade has all of it.
    pub(super) fn keep_damaged(&self, txn: &Txn<'_>) -> rusqlite::Result<()> {
        // A row of a batch that is not there is found by the index, as those of minted batches are.
        let imported = txn.batch_at(self.batch).is_ok_and(|batch| batch.imported);
        txn.run(
            "INSERT INTO coupon (number, expiry_day, code, version, state, holder, expires_at, \
             history_full, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, x'')",
            params![
                next_number(txn, self.batch, imported)?,
                self.day.0,
                self.code,
                self.version,
                state_number(&self.state),
                self.holder,
                // As if it were its own, so that it is in its partition and in no other.
                self.expires_at,
            ],
        )
    }
}

/// Entries of the directory after a code, at most so many.
pub(super) const SELECT_ENTRIES: &str = "SELECT code, kind, campaign, batch, expiry_day, \
    valid_from, expires_at, imported_state FROM directory_1 WHERE code > ?1 ORDER BY code LIMIT ?2";

/// An entry of the directory.
pub(super) struct OldEntry {
    pub(super) code: String,
    kind: String,
    campaign: i64,
    batch: Option<i64>,
    day: Option<i32>,
    line: Option<Line<String>>,
}

impl OldEntry {
    /// From [`SELECT_ENTRIES`].
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<OldEntry> {
        let dates = (millis_or_null(row, 5)?, millis_or_null(row, 6)?);
        let line = match (dates, row.get(7)?) {
            ((Some(valid_from), Some(expires_at)), Some(imported_state)) => {
                Some(Line { valid_from, expires_at, imported_state })
            }
            _ => None,
        };
        let (kind, campaign, batch) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(OldEntry { code: row.get(0)?, kind, campaign, batch, day: row.get(4)?, line })
    }

    /// Writes the entry. One that cannot be read stays without what its line said: then no line may
    /// bring its code again.
    pub(super) fn write(&self, txn: &Txn<'_>) -> rusqlite::Result<()> {
        match (self.kind.as_str(), self.batch, self.day) {
            ("shared", ..) => directory::enter_shared(txn, &self.code, self.campaign),
            ("coupon", Some(batch), Some(day)) => {
                let line = self.line.as_ref().and_then(|line| {
                    let said = imported_state_text::from_json(&line.imported_state).ok()?;
                    let (valid_from, expires_at) = (line.valid_from, line.expires_at);
                    Some(Line { valid_from, expires_at, imported_state: said })
                });
                let line = line.as_ref().map(|line| Line {
                    valid_from: line.valid_from,
                    expires_at: line.expires_at,
                    imported_state: &line.imported_state,
                });
                let number = self.number(txn, batch, day)?;
                let place = Place { day: Day(day), number };
                directory::enter(txn, &self.named()?, &place, line.as_ref())
            }
            _ => directory::enter_gone(txn, &self.code),
        }
    }

    /// The number of its row, which has been moved before.
    fn number(&self, txn: &Txn<'_>, batch: i64, day: i32) -> rusqlite::Result<i64> {
        let sql = "SELECT number FROM coupon INDEXED BY upgrade_by_code \
                   WHERE code = ?1 AND expiry_day = ?2";
        match txn.first(sql, params![self.code, day], |row| row.get(0))? {
            Some(number) => Ok(number),
            None => Ok(first_number(batch, txn.batch_at(batch)?.imported)),
        }
    }

    fn named(&self) -> rusqlite::Result<Code> {
        self.code.parse().map_err(|why| damaged("code", why))
    }
}

fn read(txn: &Txn<'_>, row: &Row<'_>, batch: i64) -> rusqlite::Result<Coupon> {
    let here = txn.batch_at(batch).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => damaged("batch", "it is not there"),
        error => error,
    })?;
    let campaign = txn.campaign_at(here.campaign)?;
    let genesis = Genesis {
        code: row.get_ref(2)?.as_str()?.parse().map_err(|why| damaged("code", why))?,
        campaign: campaign.terms.id.clone(),
        batch: here.id,
        valid_from: Millis(row.get(7)?),
        expires_at: Millis(row.get(9)?),
        zone: campaign.terms.zone.clone(),
        created_at: Millis(row.get(13)?),
    };
    let hold = row.get_ref(11)?.as_str_or_null()?.map(hold).transpose()?;
    let events = events(row.get_ref(12)?.as_str()?)?;
    Ok(Coupon::of(genesis, events, hold, unsigned(row, 4)?, Millis(row.get(14)?)))
}

#[derive(Deserialize)]
struct HoldText<'a> {
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(borrow)]
    order: Cow<'a, str>,
    /// 32 hexadecimal digits.
    #[serde(borrow)]
    operation: Cow<'a, str>,
    since: i64,
    until: i64,
}

fn hold(text: &str) -> rusqlite::Result<Hold> {
    let hold: HoldText<'_> = serde_json::from_str(text).map_err(|why| damaged("hold", why))?;
    let operation = u128::from_str_radix(&hold.operation, 16);
    Ok(Hold {
        by: named("hold.by", &hold.by)?,
        order: named("hold.order", &hold.order)?,
        operation: OperationId(operation.map_err(|why| damaged("operation", why))?),
        since: Millis(hold.since),
        until: Millis(hold.until),
    })
}

fn named<T>(what: &str, text: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|why| damaged(what, why))
}

fn events(text: &str) -> rusqlite::Result<Vec<Event>> {
    let lines = text.split('\n').filter(|line| !line.trim_start_matches(' ').is_empty());
    lines.map(event).collect()
}

fn event(line: &str) -> rusqlite::Result<Event> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (kind, at, actor, operation) = (next(), next(), next(), next());
    let (user, reference, reason) = (optional(next())?, optional(next())?, optional(next())?);
    let (expires_at, time_zone) = (next(), optional(next())?);
    if fields.next().is_some() {
        return Err(damaged("events", format!("a field too many in {line:?}")));
    }
    let number = |text: &str| text.parse::<i64>().map_err(|why| damaged("events", why));
    let mut bytes = [0; 16];
    let decoded = URL_SAFE_NO_PAD.decode_slice(operation, &mut bytes);
    if decoded.as_ref().ok() != Some(&bytes.len()) {
        return Err(damaged("operation", format!("{operation:?} is none")));
    }
    let flat = Flat {
        kind,
        at: Millis(number(at)?),
        actor: &unescaped(actor)?,
        operation: OperationId(u128::from_be_bytes(bytes)),
        user: user.as_deref(),
        reference: reference.as_deref(),
        reason: reason.as_deref(),
        expires_at: Some(expires_at)
            .filter(|it| !it.is_empty())
            .map(number)
            .transpose()?
            .map(Millis),
        time_zone: time_zone.as_deref(),
    };
    flat.into_event().map_err(|why| damaged("events", why))
}

fn optional(field: &str) -> rusqlite::Result<Option<Cow<'_, str>>> {
    match field {
        "" => Ok(None),
        "\\0" => Ok(Some("".into())),
        field => unescaped(field).map(Some),
    }
}

fn unescaped(field: &str) -> rusqlite::Result<Cow<'_, str>> {
    if !field.contains('\\') {
        return Ok(field.into());
    }
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('\\') => '\\',
                _ => return Err(damaged("events", format!("{field:?} has a broken escape"))),
            },
            char => char,
        });
    }
    Ok(text.into())
}
