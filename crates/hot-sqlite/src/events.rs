//! The event feed: reads events in the order of their numbers, and deletes old ones.
//!
//! A cursor is the epoch of the store and the number of an event. A restore begins a new epoch, since
//! events behind the backup did not survive it. Numbers go on: the newest event is never deleted.

use async_trait::async_trait;
use coupon::ids::{Actor, UserId};
use coupon::time::Millis;
use hot::audit::{Act, AuditEntry, AuditEvent};
use hot::feed::{
    CouponEventKind, CouponHappened, Feed, FeedEvent, FeedGone, FeedPage, FeedRead, FeedStart,
    Happened,
};
use hot::settings::{FEED_EPOCH, FEED_EPOCHS_BEFORE};
use rusqlite::{Result as SqlResult, types::ValueRef};
use rusqlite::{Row, params};
use uuid::Builder;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::columns::{parsed, parsed_or_null, unsigned};
use crate::failure::damaged;
use crate::record::{NameDictionary, USER_ROLE};
use crate::txn::Txn;
use crate::txn::audit::{entry, select_audit};
use crate::txn::events::{OF_AUDIT, OF_PERSON, number_of};
use crate::{Result, SqliteHot, settings};

/// Most epochs that are remembered. A store is restored a few times in its life.
const EPOCHS_MAX: usize = 64;

/// Events that one transaction deletes: about a millisecond.
const DELETED_MAX: i64 = 2_000;

/// A place between two events: behind one of them, or before all.
struct EventCursor<'a> {
    epoch: &'a str,
    number: i64,
    /// Of the event before it, if it was there: see [`check_of`].
    check: Option<u32>,
}

impl<'a> EventCursor<'a> {
    fn parse(text: &'a str) -> Option<EventCursor<'a>> {
        let mut words = text.split('-');
        let epoch = words.next()?;
        let number = words.next()?.parse().ok().filter(|number| *number >= 0)?;
        let check = words.next().map(|check| u32::from_str_radix(check, 16)).transpose().ok()?;
        words.next().is_none().then_some(EventCursor { epoch, number, check })
    }

    fn text(&self) -> String {
        match self.check {
            Some(check) => format!("{}-{}-{check:08x}", self.epoch, self.number),
            None => format!("{}-{}", self.epoch, self.number),
        }
    }
}

/// Tells events of one number apart: if somebody puts an old file back without `couponry restore`, the
/// epoch goes on and numbers come again.
fn check_of(at: i64, code: &str, version: i64) -> u32 {
    xxh3_64(format!("{at} {code} {version}").as_bytes()) as u32
}

/// The cursor behind the event of this number, which may be gone.
fn cursor_at<'a>(txn: &Txn<'_>, epoch: &'a str, number: i64) -> SqlResult<EventCursor<'a>> {
    let sql = "SELECT at, code, version FROM event WHERE number = ?1";
    let check = txn.first(sql, [number], |row| {
        Ok(check_of(row.get(0)?, row.get_ref(1)?.as_str_or_null()?.unwrap_or(""), row.get(2)?))
    })?;
    Ok(EventCursor { epoch, number, check })
}

#[async_trait]
impl Feed for SqliteHot {
    async fn events(&self, from: FeedStart, limit: usize) -> Result<FeedRead> {
        self.readers.run(move |txn| page(txn, &from, limit)).await
    }
}

fn page(txn: &Txn<'_>, from: &FeedStart, limit: usize) -> SqlResult<FeedRead> {
    let epoch = txn.setting(FEED_EPOCH)?.ok_or_else(|| damaged(FEED_EPOCH, "there is none"))?;
    let end = |sql: &str| txn.one::<Option<i64>>(sql, []);
    let oldest = end("SELECT min(number) FROM event")?.map_or(0, |number| number - 1);
    let newest = end("SELECT max(number) FROM event")?.unwrap_or(0);
    let gone =
        |why, number| Ok(FeedRead::Gone { why, go_on: cursor_at(txn, &epoch, number)?.text() });
    let after = match from {
        FeedStart::Oldest => oldest,
        FeedStart::Newest => newest,
        FeedStart::After(text) => {
            let Some(cursor) = EventCursor::parse(text) else { return Ok(FeedRead::Unknown) };
            let last = match cursor.epoch == epoch {
                true => newest,
                false => match last_of(txn, cursor.epoch)? {
                    Some(last) => last,
                    None => return Ok(FeedRead::Unknown),
                },
            };
            if cursor.number > last {
                return gone(FeedGone::Restored, last);
            }
            if cursor.number < oldest {
                return gone(FeedGone::TooOld, oldest);
            }
            let here = cursor_at(txn, &epoch, cursor.number)?.check;
            if cursor.check.is_some() && here.is_some() && cursor.check != here {
                // Nobody knows how far back the events are others.
                return gone(FeedGone::Restored, oldest);
            }
            cursor.number
        }
    };
    let found: Vec<(i64, FeedEvent)> = txn.all(
        "SELECT number, at, kind, batch, code, version, actor, user_id, ref, reason, until, \
         worth \
         FROM event WHERE number > ?1 ORDER BY number LIMIT ?2",
        params![after, limit as i64],
        |row| Ok((row.get(0)?, event(txn, &epoch, row)?)),
    )?;
    let (last, next) = match found.last() {
        Some((number, event)) => (*number, event.cursor.clone()),
        None => (after, cursor_at(txn, &epoch, after)?.text()),
    };
    let events = found.into_iter().map(|(_, event)| event).collect();
    Ok(FeedRead::Page(FeedPage { events, next, is_end: last >= newest }))
}

/// The number of the last event of an earlier epoch that is still here.
fn last_of(txn: &Txn<'_>, epoch: &str) -> SqlResult<Option<i64>> {
    let before = txn.setting(FEED_EPOCHS_BEFORE)?.unwrap_or_default();
    let mut before = before.split_whitespace().filter_map(EventCursor::parse);
    Ok(before.find(|it| it.epoch == epoch).map(|it| it.number))
}

fn event(txn: &Txn<'_>, epoch: &str, row: &Row<'_>) -> SqlResult<FeedEvent> {
    let (number, at, kind): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let code = row.get_ref(4)?.as_str_or_null()?.unwrap_or("");
    let check = check_of(at, code, row.get(5)?);
    let cursor = EventCursor { epoch, number, check: Some(check) }.text();
    // Without the epoch, which a restore changes.
    let random = xxh3_128(format!("{number} {check} {code}").as_bytes()).to_le_bytes();
    let bytes = std::array::from_fn(|at| random[at]);
    let id = Builder::from_unix_timestamp_millis(at.unsigned_abs(), &bytes).into_uuid();
    let (actor, happened) = match kind {
        OF_AUDIT => {
            let sql = select_audit!("WHERE number = ?1");
            let found = txn.first(sql, [row.get::<_, i64>(5)?], entry)?;
            let found =
                found.ok_or_else(|| damaged("event.version", "no such entry of the audit"))?;
            let AuditEntry { act: Act { actor, reason, .. }, event: audit_event } = found.entry;
            (actor, Happened::AuditEvent { audit_event, reason })
        }
        OF_PERSON => {
            let (user, name): (Option<String>, Option<String>) = (row.get(7)?, row.get(8)?);
            let audit_event = AuditEvent::person_erased(user.as_deref(), name.as_deref());
            (actor(txn, row, None)?, Happened::AuditEvent { audit_event, reason: None })
        }
        _ => of_coupon(txn, row, kind)?,
    };
    Ok(FeedEvent { id, cursor, at: Millis(at), actor, happened, is_repeat: false })
}

fn of_coupon(txn: &Txn<'_>, row: &Row<'_>, kind: i64) -> SqlResult<(Actor, Happened)> {
    let kind = CouponEventKind::ALL.into_iter().find(|it| number_of(*it) == kind);
    let kind = kind.ok_or_else(|| damaged("event.kind", "no such kind"))?;
    let user: Option<String> = row.get(7)?;
    let user = user.map(|user| user.parse::<UserId>()).transpose();
    let user = user.map_err(|why| damaged("event.user_id", why))?;
    let actor = actor(txn, row, user.as_ref())?;
    let happened = CouponHappened {
        code: parsed(row, 4)?,
        owner: txn.owner_at(row.get(3)?)?,
        version: unsigned(row, 5)?,
        kind,
        user,
        reference: row.get(8)?,
        reason: row.get(9)?,
        until: row.get::<_, Option<i64>>(10)?.map(Millis),
        worth: parsed_or_null(row, 11)?,
    };
    Ok((actor, Happened::Coupon(happened)))
}

fn actor(txn: &Txn<'_>, row: &Row<'_>, user: Option<&UserId>) -> SqlResult<Actor> {
    Ok(match row.get_ref(6)? {
        ValueRef::Integer(number) => txn.actor(number.unsigned_abs())?,
        ValueRef::Text(name) => Actor::new(&String::from_utf8_lossy(name)),
        // As in a record: the user themselves.
        _ => Actor::new(&format!("{USER_ROLE}{}", user.map_or("", UserId::as_str))),
    })
}

/// Never deletes the newest event, but the name in it, nor one with a number above `up_to`. Returns how many it deletes.
pub(crate) fn forget(txn: &Txn<'_>, before: Millis, up_to: i64) -> SqlResult<usize> {
    let forgotten = txn.change(
        "UPDATE event SET user_id = NULL WHERE number = (SELECT max(number) FROM event) \
         AND kind = ?1 AND user_id IS NOT NULL AND at < ?2 AND number <= ?3",
        params![OF_PERSON, before.0, up_to],
    )?;
    // Numbers rise with time unless a clock was set back: later events wait for that one.
    let deleted = txn.change(
        "DELETE FROM event WHERE number < (SELECT max(number) FROM event) AND number <= \
         (SELECT max(number) FROM (SELECT number, at FROM event ORDER BY number LIMIT ?2)) \
         AND at < ?1 AND number <= ?3",
        params![before.0, DELETED_MAX, up_to],
    )?;
    Ok(forgotten + deleted)
}

pub(crate) fn begin_epoch(txn: &Txn<'_>) -> SqlResult<()> {
    let newest: i64 = txn.one("SELECT coalesce(max(number), 0) FROM event", [])?;
    let old = txn.setting(FEED_EPOCH)?.unwrap_or_default();
    let before = txn.setting(FEED_EPOCHS_BEFORE)?.unwrap_or_default();
    let mut before: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    before.push(EventCursor { epoch: &old, number: newest, check: None }.text());
    let skipped = before.len().saturating_sub(EPOCHS_MAX);
    settings::set(txn, FEED_EPOCHS_BEFORE, &before[skipped..].join(" "))?;
    txn.run("UPDATE setting SET value = lower(hex(randomblob(8))) WHERE name = ?1", [FEED_EPOCH])
}
