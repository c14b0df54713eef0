//! What is to be sent now.

use std::collections::BTreeSet;

use reqwest::Url;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::secrets;
use crate::signature::Secrets;
use crate::{FileError, WebhookError, guard};

/// For which endpoint the dispatcher has free places.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) webhook: i64,
    /// Deliveries that are being sent, or whose result is not written yet.
    pub(crate) in_flight: BTreeSet<i64>,
    /// Whether the endpoint is to be left alone, unless it was changed since this generation.
    pub(crate) quiet: Option<i64>,
}

/// How much to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Most deliveries in flight at an endpoint.
    pub(crate) each: usize,
    /// From how many failures on an endpoint is down: then one in flight is enough.
    pub(crate) failures_until_down: u64,
    pub(crate) now: i64,
    /// Whether the clock is trusted.
    pub(crate) trusted: bool,
}

/// An endpoint as it is to be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) webhook: i64,
    pub(crate) generation: i64,
    /// The URL, or why it is not accepted any more.
    pub(crate) url: Result<Url, String>,
    pub(crate) secrets: Secrets,
    /// Whether it is down, and this is to find out whether it still is.
    pub(crate) probes: bool,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) body: String,
}

/// What is due at an endpoint, at most as many as there are free places.
pub(crate) fn due(
    conn: &Connection,
    want: &Want,
    room: Room,
    allow_private: bool,
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
    let down = failures.unsigned_abs() >= room.failures_until_down;
    let places = if down { 1 } else { room.each };
    let free = places.saturating_sub(want.in_flight.len());
    if free == 0 {
        return Ok(None);
    }
    let mut due = rows(conn, want, ordered, free, room.now)?;
    due.truncate(free);
    if due.is_empty() {
        return Ok(None);
    }
    let secrets = secrets::signing(conn, want.webhook, room.now, room.trusted)?;
    let url = guard::checked(&url, allow_private).map_err(|bad| format!("the URL {bad}"));
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
