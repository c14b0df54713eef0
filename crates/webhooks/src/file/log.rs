//! Statements about the log of deliveries.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::endpoints::number_of;
use super::results::millis;
use super::{queue, secrets, writing};
use crate::event::Message;
use crate::post::{Answered, Verdict};
use crate::{Delivery, DeliveryFilter, DeliveryState, FileError, Gauge, Options, WebhookError};

/// Rows that one transaction deletes.
const DELETED_MAX: i64 = 2_000;

const SELECT: &str = "SELECT d.number, w.name, d.state, m.id, m.type, d.code, d.created_at, d.attempts, \
     d.redelivered, d.tried_at, d.status, d.error, d.duration_ms, d.next_at, d.ended_at \
     FROM delivery d JOIN webhook w ON w.number = d.webhook \
     LEFT JOIN message m ON m.number = d.message WHERE d.webhook = ?";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state = row.get(2)?;
    let state = DeliveryState::of(state).ok_or(FileError::IntegralValueOutOfRange(2, state))?;
    let next_at: i64 = row.get(13)?;
    Ok(Delivery {
        number: row.get(0)?,
        webhook_id: row.get(1)?,
        state,
        event_id: row.get(3)?,
        event_type: row.get(4)?,
        code: row.get(5)?,
        created_at: row.get(6)?,
        attempts: row.get::<_, i64>(7)?.unsigned_abs(),
        redelivered: row.get::<_, i64>(8)?.unsigned_abs(),
        tried_at: row.get(9)?,
        status: row.get(10)?,
        error: row.get(11)?,
        duration_ms: row.get::<_, Option<i64>>(12)?.map(i64::unsigned_abs),
        next_at: (state == DeliveryState::Pending).then_some(next_at),
        ended_at: row.get(14)?,
    })
}

pub(crate) fn list(
    conn: &mut Connection,
    name: &str,
    filter: &DeliveryFilter,
    limit: usize,
) -> Result<Vec<Delivery>, WebhookError> {
    let txn = conn.transaction()?;
    let (mut sql, mut values) =
        (String::from(SELECT), vec![Value::Integer(number_of(&txn, name)?)]);
    if let Some(state) = filter.state {
        // As a number in the text: a partial index is not used for a parameter.
        sql.push_str(&format!(" AND d.state = {}", state.number()));
    }
    if let Some(before) = filter.before {
        sql.push_str(" AND d.number < ?");
        values.push(Value::Integer(before));
    }
    sql.push_str(" ORDER BY d.number DESC LIMIT ?");
    values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    let mut statement = txn.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(values), delivery)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn get(
    conn: &Connection,
    name: &str,
    number: i64,
) -> Result<(Delivery, Option<String>), WebhookError> {
    let webhook = number_of(conn, name)?;
    let sql = format!("{SELECT} AND d.number = ?");
    let found =
        conn.prepare_cached(&sql)?.query_row(params![webhook, number], delivery).optional()?;
    let body = "SELECT m.body FROM delivery d JOIN message m ON m.number = d.message \
                WHERE d.number = ?1";
    let body = conn.query_row(body, [number], |row| row.get(0)).optional()?;
    Ok((found.ok_or(WebhookError::NoDelivery)?, body))
}

pub(crate) fn redeliver(
    conn: &mut Connection,
    name: &str,
    number: i64,
    now: i64,
) -> Result<Delivery, WebhookError> {
    let txn = writing(conn)?;
    let webhook = number_of(&txn, name)?;
    let again = txn.execute(
        "UPDATE delivery SET attempts = iif(state = 0, attempts, 0), state = 0, next_at = ?3, \
         ended_at = NULL, redelivered = redelivered + 1 \
         WHERE number = ?2 AND webhook = ?1 AND message IS NOT NULL",
        params![webhook, number, now],
    )?;
    if again == 0 {
        return Err(WebhookError::NoDelivery);
    }
    let (delivery, _) = get(&txn, name, number)?;
    txn.commit()?;
    Ok(delivery)
}

pub(crate) fn tested(
    conn: &mut Connection,
    webhook: i64,
    message: &Message,
    at_ms: i64,
    answered: &Answered,
    now: i64,
) -> Result<i64, WebhookError> {
    let txn = writing(conn)?;
    let message = queue::add_message(&txn, message)?;
    let state = match answered.verdict {
        Verdict::Delivered => DeliveryState::Delivered,
        Verdict::Failed { .. } | Verdict::Gone => DeliveryState::Failed,
    };
    let Answered { status, error, duration, .. } = answered;
    let (state, took) = (state.number(), millis(*duration));
    let number = txn
        .prepare(
            "INSERT INTO delivery (webhook, message, state, created_at, next_at, attempts, tried_at, status, \
             error, duration_ms, ended_at) VALUES (?1, ?2, ?3, ?4, ?4, 1, ?5, ?6, ?7, ?8, ?5)",
        )?
        .insert(params![webhook, message, state, at_ms, now, status, error, took])?;
    txn.commit()?;
    Ok(number)
}

pub(crate) fn clean(
    conn: &mut Connection,
    options: &Options,
    now: i64,
    trusted: bool,
) -> Result<bool, WebhookError> {
    let txn = writing(conn)?;
    let ended = "SELECT count(*) FROM delivery WHERE ended_at IS NOT NULL";
    let ended: i64 = txn.query_row(ended, [], |row| row.get(0))?;
    let most = i64::try_from(options.log_rows_max).unwrap_or(i64::MAX);
    let too_many = ended.saturating_sub(most).clamp(0, DELETED_MAX);
    let mut rows = numbers(
        &txn,
        "SELECT number FROM delivery WHERE ended_at IS NOT NULL ORDER BY ended_at, number LIMIT ?1",
        too_many,
    )?;
    if trusted {
        secrets::forget(&txn, now)?;
        let since = now.saturating_sub(millis(options.log_keep));
        let old = format!("SELECT number FROM delivery WHERE ended_at < {since} LIMIT ?1");
        rows.extend(numbers(&txn, &old, DELETED_MAX)?);
    }
    let gone =
        "SELECT number FROM delivery WHERE webhook IN (SELECT webhook FROM deleted) LIMIT ?1";
    rows.extend(numbers(&txn, gone, DELETED_MAX)?);
    for number in &rows {
        remove(&txn, *number)?;
    }
    txn.execute(
        "DELETE FROM deleted WHERE NOT EXISTS \
         (SELECT 1 FROM delivery WHERE delivery.webhook = deleted.webhook)",
        [],
    )?;
    txn.commit()?;
    Ok(rows.len() as i64 >= DELETED_MAX)
}

fn numbers(txn: &Connection, sql: &str, limit: i64) -> Result<Vec<i64>, FileError> {
    txn.prepare(sql)?.query_map([limit], |row| row.get(0))?.collect()
}

/// Deletes a delivery, and its message if it was the last one of it.
fn remove(txn: &Connection, number: i64) -> Result<(), FileError> {
    let message: Option<Option<i64>> = txn
        .prepare_cached("DELETE FROM delivery WHERE number = ?1 RETURNING message")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    let orphan = "DELETE FROM message WHERE number = ?1 \
                  AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?1)";
    txn.prepare_cached(orphan)?.execute([message.flatten()])?;
    Ok(())
}

pub(crate) fn gauge(
    conn: &mut Connection,
    now: i64,
    failures_until_down: u64,
) -> Result<Gauge, WebhookError> {
    let txn = conn.transaction()?;
    let down = i64::try_from(failures_until_down).unwrap_or(i64::MAX);
    let sql = "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1), \
               count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 0 AND failures >= ?1), \
               coalesce(sum(pending), 0) FROM webhook";
    let mut gauge = txn.query_row(sql, [down], |row| {
        let at = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let [active, paused, disabled, down] = [at(0)?, at(1)?, at(2)?, at(3)?];
        Ok(Gauge { active, paused, disabled, down, pending: at(4)?, ..Gauge::default() })
    })?;
    let oldest = "SELECT min((SELECT created_at FROM delivery WHERE webhook = w.number AND state = 0 \
                  ORDER BY number LIMIT 1)) FROM webhook w WHERE w.state = 0 AND w.pending > 0";
    let oldest: Option<i64> = txn.query_row(oldest, [], |row| row.get(0))?;
    gauge.oldest_pending =
        oldest.map(|at| Duration::from_millis(now.saturating_sub(at).max(0).unsigned_abs()));
    Ok(gauge)
}
