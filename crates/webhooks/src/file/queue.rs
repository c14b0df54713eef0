//! Statements that queue deliveries, and move cursors.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::endpoints::types_at;
use super::writing;
use crate::event::{Event, Matter, Message};
use crate::store::{Passage, Reader};
use crate::{Announced, FileError, WebhookError};

pub(crate) fn readers(
    conn: &Connection,
    held: &[i64],
    pending_max: u64,
) -> Result<Vec<Reader>, WebhookError> {
    let sql = "SELECT number, cursor FROM webhook WHERE state = 0 AND pending < ?1 ORDER BY number";
    let mut statement = conn.prepare_cached(sql)?;
    let most = i64::try_from(pending_max).unwrap_or(i64::MAX);
    let reader = |row: &Row<'_>| Ok(Reader { webhook: row.get(0)?, cursor: row.get(1)? });
    let all = statement.query_map([most], reader)?.collect::<rusqlite::Result<Vec<Reader>>>()?;
    Ok(all.into_iter().filter(|reader| held.contains(&reader.webhook)).collect())
}

/// In one transaction, so that a kill neither loses nor doubles anything.
pub(crate) fn read_on(
    conn: &mut Connection,
    readers: &[Reader],
    passage: &Passage,
    next: &str,
    now: i64,
) -> Result<usize, WebhookError> {
    let txn = writing(conn)?;
    let mut queued = 0;
    for Reader { webhook, cursor } in readers {
        let moved = txn
            .prepare_cached(
                "UPDATE webhook SET cursor = ?3 WHERE number = ?1 AND cursor IS ?2 AND state = 0",
            )?
            .execute(params![webhook, cursor, next])?;
        if moved == 0 {
            continue;
        }
        queued += match passage {
            Passage::Events(events) => queue_events(&txn, *webhook, events, now)?,
            Passage::Gap(why) => queue_gap(&txn, *webhook, why, now)?,
        };
    }
    txn.commit()?;
    Ok(queued)
}

fn queue_events(
    txn: &Connection,
    webhook: i64,
    events: &[Event],
    now: i64,
) -> Result<usize, FileError> {
    let Asks { types, campaign, .. } = txn
        .prepare_cached("SELECT number, pending, types, campaign FROM webhook WHERE number = ?1")?
        .query_row([webhook], asks)?;
    let mut queued = 0;
    for event in events {
        let matter = Matter::from(event);
        if matter.is_for(types.as_ref(), campaign.as_deref()) {
            let message = message(txn, &matter)?;
            queued += queue_one(txn, webhook, message, matter.code, now)?;
        }
    }
    Ok(queued)
}

fn queue_gap(txn: &Connection, webhook: i64, why: &str, now: i64) -> Result<usize, FileError> {
    txn.execute(
        "INSERT INTO delivery (webhook, state, created_at, next_at, error, ended_at) \
         VALUES (?1, 3, ?2, ?2, ?3, ?2)",
        params![webhook, now, why],
    )
}

/// Rows of [`asks`].
const NOT_DISABLED: &str = "SELECT number, pending, types, campaign FROM webhook WHERE state < 2";

struct Asks {
    webhook: i64,
    pending: i64,
    types: Option<BTreeSet<String>>,
    campaign: Option<String>,
}

fn asks(row: &Row<'_>) -> rusqlite::Result<Asks> {
    Ok(Asks {
        webhook: row.get(0)?,
        pending: row.get(1)?,
        types: types_at(row, 2)?,
        campaign: row.get(3)?,
    })
}

/// Writes the message unless it is there.
fn message(txn: &Connection, matter: &Matter<'_>) -> Result<i64, FileError> {
    match message_with_id(txn, matter.id)? {
        Some(number) => Ok(number),
        None => add_message(txn, &matter.message()),
    }
}

fn message_with_id(txn: &Connection, id: &str) -> Result<Option<i64>, FileError> {
    let sql = "SELECT number FROM message WHERE id = ?1";
    txn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
}

pub(crate) fn add_message(txn: &Connection, message: &Message) -> Result<i64, FileError> {
    let Message { id, event_type, body } = message;
    txn.prepare_cached("INSERT INTO message (id, type, body) VALUES (?1, ?2, ?3)")?
        .insert(params![id, event_type, body])
}

fn queue_one(
    txn: &Connection,
    webhook: i64,
    message: i64,
    code: Option<&str>,
    now: i64,
) -> Result<usize, FileError> {
    txn.prepare_cached(
        "INSERT INTO delivery (webhook, message, code, state, created_at, next_at) \
         VALUES (?1, ?2, ?3, 0, ?4, ?4) ON CONFLICT DO NOTHING",
    )?
    .execute(params![webhook, message, code, now])
}

pub(crate) fn announce(
    conn: &mut Connection,
    matter: &Matter<'_>,
    pending_max: u64,
    now: i64,
) -> Result<Announced, WebhookError> {
    let txn = writing(conn)?;
    let mut announced = Announced::default();
    {
        let mut statement = txn.prepare_cached(NOT_DISABLED)?;
        for asked in statement.query_map([], asks)? {
            let Asks { webhook, pending, types, campaign } = asked?;
            if !matter.is_for(types.as_ref(), campaign.as_deref()) {
                continue;
            }
            if pending.unsigned_abs() >= pending_max && !has(&txn, webhook, matter.id)? {
                announced.full += 1;
                continue;
            }
            queue_one(&txn, webhook, message(&txn, matter)?, matter.code, now)?;
            announced.endpoints += 1;
        }
    }
    txn.commit()?;
    Ok(announced)
}

pub(crate) fn has_asked(conn: &Connection, event_type: &str) -> Result<bool, WebhookError> {
    let mut statement = conn.prepare_cached(NOT_DISABLED)?;
    for asked in statement.query_map([], asks)? {
        if asked?.types.is_some_and(|types| types.contains(event_type)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has(txn: &Connection, webhook: i64, id: &str) -> Result<bool, FileError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE webhook = ?1 AND message = \
               (SELECT number FROM message WHERE id = ?2))";
    txn.query_row(sql, params![webhook, id], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::two_endpoints;

    /// A process that was frozen must not move a cursor back, or over what it has not queued.
    #[test]
    fn only_from_where_the_endpoint_stands() {
        let cases = [
            ("it stands there", "5", 1, "7"),
            ("another process has read on", "4", 0, "5"),
            ("nobody has begun", "", 0, "5"),
        ];
        for (name, read_at, queued, want) in cases {
            let mut conn = two_endpoints();
            let cursor = (!read_at.is_empty()).then(|| read_at.to_owned());
            let readers = [Reader { webhook: 1, cursor }];
            let found =
                read_on(&mut conn, &readers, &Passage::Gap("why".to_owned()), "7", 0).unwrap();
            assert_eq!(found, queued, "{name}");
            let cursor = "SELECT cursor FROM webhook WHERE number = 1";
            let cursor: String = conn.query_row(cursor, [], |row| row.get(0)).unwrap();
            assert_eq!(cursor, want, "{name}");
        }
    }
}
