//! Statements about secrets.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::endpoints::number_of;
use super::writing;
use crate::signature::{Secret, Secrets};
use crate::{FileError, Rotation, SECRETS_MAX, SecretTimes, WebhookError};

fn secret_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Secret> {
    let secret = Secret::parse(&row.get::<_, String>(at)?);
    secret.map_err(|why| FileError::FromSqlConversionFailure(at, Type::Text, why.into()))
}

pub(crate) fn times(conn: &Connection, webhook: i64) -> Result<Vec<SecretTimes>, FileError> {
    let sql = "SELECT created_at, until FROM secret WHERE webhook = ?1 ORDER BY number";
    let mut statement = conn.prepare_cached(sql)?;
    let times = |row: &Row<'_>| Ok(SecretTimes { created_at: row.get(0)?, until: row.get(1)? });
    statement.query_map([webhook], times)?.collect()
}

pub(crate) fn newest(conn: &Connection, webhook: i64) -> Result<Secret, FileError> {
    let sql = "SELECT secret FROM secret WHERE webhook = ?1 ORDER BY number DESC LIMIT 1";
    conn.query_row(sql, [webhook], |row| secret_at(row, 0))
}

/// Those that sign at `now`; all of them if the clock is not trusted, so that a wrong one ends none.
pub(crate) fn signing(
    conn: &Connection,
    webhook: i64,
    now: i64,
    trusted: bool,
) -> Result<Secrets, FileError> {
    let sql = "SELECT secret FROM secret WHERE webhook = ?1 AND (until IS NULL OR until > ?2) \
               ORDER BY number DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let now = if trusted { now } else { i64::MIN };
    let found = statement.query_map(params![webhook, now], |row| secret_at(row, 0))?;
    Ok(Secrets::from(found.collect::<rusqlite::Result<Vec<Secret>>>()?))
}

pub(crate) fn add(
    conn: &Connection,
    webhook: i64,
    rotation: Option<&str>,
    now: i64,
) -> Result<Secret, WebhookError> {
    let secret = Secret::random().ok_or(WebhookError::NoRandom)?;
    conn.execute(
        "INSERT INTO secret (webhook, secret, created_at, rotation) VALUES (?1, ?2, ?3, ?4)",
        params![webhook, secret.reveal(), now, rotation],
    )?;
    Ok(secret)
}

pub(crate) fn rotate(
    conn: &mut Connection,
    name: &str,
    rotation: &Rotation,
    now: i64,
) -> Result<(Secret, bool), WebhookError> {
    let txn = writing(conn)?;
    let webhook = number_of(&txn, name)?;
    let made = "SELECT secret FROM secret WHERE webhook = ?1 AND rotation = ?2";
    let named = rotation.rotate_ref.as_deref();
    let made = txn.query_row(made, params![webhook, named], |row| secret_at(row, 0)).optional()?;
    if let Some(secret) = made {
        return Ok((secret, false));
    }
    end_others(&txn, webhook, i64::try_from(rotation.overlap.as_millis()).unwrap_or(0), now)?;
    if times(&txn, webhook)?.len() >= SECRETS_MAX {
        return Err(WebhookError::TooManySecrets);
    }
    let secret = add(&txn, webhook, named, now)?;
    txn.execute("UPDATE webhook SET generation = generation + 1 WHERE number = ?1", [webhook])?;
    txn.commit()?;
    Ok((secret, true))
}

fn end_others(txn: &Connection, webhook: i64, overlap: i64, now: i64) -> Result<(), FileError> {
    if overlap == 0 {
        txn.execute("DELETE FROM secret WHERE webhook = ?1", [webhook])?;
        return Ok(());
    }
    txn.execute(
        "UPDATE secret SET until = min(coalesce(until, ?2), ?2) WHERE webhook = ?1",
        params![webhook, now.saturating_add(overlap)],
    )?;
    Ok(())
}

pub(crate) fn forget(txn: &Connection, now: i64) -> Result<(), FileError> {
    txn.execute("DELETE FROM secret WHERE until IS NOT NULL AND until <= ?1", [now])?;
    Ok(())
}
