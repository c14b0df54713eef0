//! What is to be sent now.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::secrets;
use crate::store::{Due, Room, Target, Want};
use crate::{FileError, WebhookError};

/// What is due at an endpoint, at most as many as there are free places.
pub(crate) fn due(
    conn: &Connection,
    want: &Want,
    room: Room,
) -> Result<Option<(Target, Vec<Due>)>, WebhookError> {
    let sql = "SELECT generation, failures, ordered, url FROM webhook WHERE number = ?1 AND state = 0 \
               AND pending > 0";
    let state = |row: &Row<'_>| -> rusqlite::Result<(i64, i64, bool, String)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let found = conn.prepare_cached(sql)?.query_row([want.webhook], state).optional()?;
    let Some((generation, failures, ordered, url)) = found else { return Ok(None) };
    if want.quiet == Some(generation) {
        return Ok(None);
    }
    let (down, free) = room.free(failures.unsigned_abs(), want.in_flight.len());
    if free == 0 {
        return Ok(None);
    }
    let mut due = rows(conn, want, ordered, free, room.now)?;
    due.truncate(free);
    if due.is_empty() {
        return Ok(None);
    }
    let secrets = secrets::signing(conn, want.webhook, room.now, room.trusted)?;
    Ok(Some((Target { webhook: want.webhook, generation, url, secrets, probes: down }, due)))
}

const DUE: &str = "SELECT d.number, m.id, m.body FROM delivery d JOIN message m ON m.number = d.message \
                   WHERE d.webhook = ?1 AND d.state = 0 AND d.next_at <= ?2 \
                   ORDER BY d.next_at, d.number LIMIT ?3";

/// Of each code only the oldest that waits: the others come when it has arrived or was given up.
const DUE_IN_ORDER: &str = "SELECT d.number, m.id, m.body FROM delivery d \
    JOIN message m ON m.number = d.message WHERE d.webhook = ?1 AND d.state = 0 AND d.next_at <= ?2 \
    AND (d.code IS NULL OR NOT EXISTS (SELECT 1 FROM delivery e WHERE e.webhook = d.webhook \
    AND e.state = 0 AND e.code IS NOT NULL AND e.code = d.code AND e.number < d.number)) \
    ORDER BY d.next_at, d.number LIMIT ?3";

fn rows(
    conn: &Connection,
    want: &Want,
    ordered: bool,
    free: usize,
    now: i64,
) -> Result<Vec<Due>, FileError> {
    let mut statement = conn.prepare_cached(if ordered { DUE_IN_ORDER } else { DUE })?;
    // Those in flight are still pending in the file.
    let limit = i64::try_from(free + want.in_flight.len()).unwrap_or(i64::MAX);
    let due = |row: &Row<'_>| Ok(Due { number: row.get(0)?, id: row.get(1)?, body: row.get(2)? });
    let found = statement.query_map(params![want.webhook, now, limit], due)?;
    let found: Vec<Due> = found.collect::<rusqlite::Result<_>>()?;
    Ok(found.into_iter().filter(|due| !want.in_flight.contains(&due.number)).collect())
}
