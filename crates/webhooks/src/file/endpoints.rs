//! Statements about endpoints.

use std::collections::BTreeSet;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{secrets, writing};
use crate::signature::Secret;
use crate::store::Turn;
use crate::{
    ENDPOINTS_MAX, Endpoint, EndpointChanges, EndpointState, FileError, NewEndpoint, WebhookError,
};

const COLUMNS: &str = "number, name, url, description, types, campaign, ordered, state, why, since, \
                       created_at, pending, failures, failing_since";

struct Numbered {
    number: i64,
    endpoint: Endpoint,
}

fn numbered(row: &Row<'_>) -> rusqlite::Result<Numbered> {
    let since = row.get(9)?;
    let why: Option<String> = row.get(8)?;
    let state = match row.get::<_, i64>(7)? {
        0 => EndpointState::Active,
        1 => EndpointState::Paused { since },
        _ => EndpointState::Disabled { why: why.unwrap_or_default(), since },
    };
    let endpoint = Endpoint {
        webhook_id: row.get(1)?,
        url: row.get(2)?,
        description: row.get(3)?,
        types: types_at(row, 4)?,
        campaign: row.get(5)?,
        ordered: row.get(6)?,
        state,
        created_at: row.get(10)?,
        pending: row.get::<_, i64>(11)?.unsigned_abs(),
        failures: row.get::<_, i64>(12)?.unsigned_abs(),
        failing_since: row.get(13)?,
        secrets: Vec::new(),
    };
    Ok(Numbered { number: row.get(0)?, endpoint })
}

pub(crate) fn types_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<BTreeSet<String>>> {
    let text: Option<String> = row.get(at)?;
    let types = text.map(|text| serde_json::from_str(&text)).transpose();
    types.map_err(|error| FileError::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

fn types_text(types: Option<&BTreeSet<String>>) -> Option<String> {
    types.map(|types| serde_json::json!(types).to_string())
}

pub(crate) fn number_of(conn: &Connection, name: &str) -> Result<i64, WebhookError> {
    let sql = "SELECT number FROM webhook WHERE name = ?1";
    let found = conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
    found.ok_or(WebhookError::NotFound)
}

fn found(conn: &Connection, name: &str) -> Result<Option<Numbered>, WebhookError> {
    let sql = format!("SELECT {COLUMNS} FROM webhook WHERE name = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([name], numbered).optional()?;
    let Some(mut found) = found else { return Ok(None) };
    found.endpoint.secrets = secrets::times(conn, found.number)?;
    Ok(Some(found))
}

pub(crate) fn get(conn: &Connection, name: &str) -> Result<Endpoint, WebhookError> {
    Ok(found(conn, name)?.ok_or(WebhookError::NotFound)?.endpoint)
}

pub(crate) fn list(
    conn: &mut Connection,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Endpoint>, WebhookError> {
    let txn = conn.transaction()?;
    let sql = format!("SELECT {COLUMNS} FROM webhook WHERE name > ?1 ORDER BY name LIMIT ?2");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = txn.prepare_cached(&sql)?;
    let found = statement.query_map(params![after.unwrap_or_default(), limit], numbered)?;
    let mut endpoints = Vec::new();
    for one in found {
        let Numbered { number, mut endpoint } = one?;
        endpoint.secrets = secrets::times(&txn, number)?;
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

pub(crate) fn create(
    conn: &mut Connection,
    name: &str,
    new: &NewEndpoint,
    now: i64,
) -> Result<(Endpoint, Secret, bool), WebhookError> {
    let txn = writing(conn)?;
    let request: Option<String> = txn
        .query_row("SELECT request FROM webhook WHERE name = ?1", [name], |row| row.get(0))
        .optional()?;
    let is_new = match request {
        Some(request) if request == new.request() => false,
        Some(_) => return Err(WebhookError::NameTaken),
        None => true,
    };
    if is_new {
        let count = |row: &Row<'_>| row.get::<_, i64>(0);
        let count = txn.query_row("SELECT count(*) FROM webhook", [], count)?;
        if usize::try_from(count).is_ok_and(|count| count >= ENDPOINTS_MAX) {
            return Err(WebhookError::TooMany);
        }
        let NewEndpoint { webhook_id: _, url, description, types, campaign, ordered, cursor } = new;
        let types = types_text(types.as_ref());
        txn.execute(
            "INSERT INTO webhook (name, request, url, description, types, campaign, ordered, state, since, \
             created_at, cursor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?8, ?9)",
            params![name, new.request(), url, description, types, campaign, ordered, now, cursor],
        )?;
        secrets::add(&txn, txn.last_insert_rowid(), None, now)?;
    }
    let Numbered { number, endpoint } = found(&txn, name)?.ok_or(WebhookError::NotFound)?;
    let secret = secrets::newest(&txn, number)?;
    txn.commit()?;
    Ok((endpoint, secret, is_new))
}

pub(crate) fn update(
    conn: &mut Connection,
    name: &str,
    changes: EndpointChanges,
    now: i64,
) -> Result<Endpoint, WebhookError> {
    let txn = writing(conn)?;
    let Numbered { number, endpoint } = found(&txn, name)?.ok_or(WebhookError::NotFound)?;
    let moved = changes.url.as_ref().is_some_and(|url| *url != endpoint.url);
    let Endpoint { url, description, types, campaign, ordered, .. } = changes.applied(endpoint);
    txn.execute(
        "UPDATE webhook SET url = ?2, description = ?3, types = ?4, campaign = ?5, ordered = ?6, \
         generation = generation + 1 WHERE number = ?1",
        params![number, url, description, types_text(types.as_ref()), campaign, ordered],
    )?;
    if moved {
        begin_anew(&txn, number, now)?;
    }
    let endpoint = get(&txn, name)?;
    txn.commit()?;
    Ok(endpoint)
}

pub(crate) fn turn(
    conn: &mut Connection,
    name: &str,
    turn: Turn,
    now: i64,
) -> Result<Endpoint, WebhookError> {
    let txn = writing(conn)?;
    let number = number_of(&txn, name)?;
    let state = match turn {
        Turn::Pause => 1,
        Turn::Resume => 0,
    };
    let changed = txn.execute(
        "UPDATE webhook SET state = ?2, why = NULL, since = ?3, generation = generation + 1 \
         WHERE number = ?1 AND state <> ?2",
        params![number, state, now],
    )?;
    if changed == 1 && turn == Turn::Resume {
        begin_anew(&txn, number, now)?;
    }
    let endpoint = get(&txn, name)?;
    txn.commit()?;
    Ok(endpoint)
}

/// Forgets that an endpoint was down: its deliveries are tried at once.
fn begin_anew(txn: &Connection, number: i64, now: i64) -> Result<(), WebhookError> {
    txn.execute(
        "UPDATE webhook SET failures = 0, failing_since = NULL WHERE number = ?1",
        [number],
    )?;
    txn.execute(
        "UPDATE delivery SET next_at = ?2 WHERE webhook = ?1 AND state = 0",
        params![number, now],
    )?;
    Ok(())
}

/// Its deliveries are deleted later, in pieces.
pub(crate) fn delete(conn: &mut Connection, name: &str) -> Result<(), WebhookError> {
    let txn = writing(conn)?;
    let number = number_of(&txn, name)?;
    txn.execute("DELETE FROM webhook WHERE number = ?1", [number])?;
    txn.execute("DELETE FROM secret WHERE webhook = ?1", [number])?;
    txn.execute("INSERT INTO deleted (webhook) VALUES (?1)", [number])?;
    Ok(txn.commit()?)
}
