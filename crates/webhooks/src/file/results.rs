//! Statements that write the results of attempts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writing;
use crate::post::{Answered, Verdict};
use crate::store::{Moment, Tried, Written};
use crate::{FileError, Options, WebhookError, retry};

/// Most deliveries that are given up in one transaction because their endpoint is down.
const GIVEN_UP_MAX: i64 = 2_000;

pub(crate) fn write(
    conn: &mut Connection,
    tried: &[Tried],
    moment: Moment,
    options: &Options,
) -> Result<Written, WebhookError> {
    let txn = writing(conn)?;
    let mut written = Written::default();
    for one in tried {
        match one.answered.verdict {
            Verdict::Delivered => delivered(&txn, one, moment.now, &mut written)?,
            Verdict::Failed { asked } => failed(&txn, one, asked, moment, options, &mut written)?,
            Verdict::Gone => {
                failed(&txn, one, None, moment, options, &mut written)?;
                disable(&txn, one.webhook, moment.now, &mut written)?;
            }
        }
        count(&txn, one, moment, options, &mut written)?;
    }
    txn.commit()?;
    Ok(written)
}

fn delivered(
    txn: &Connection,
    tried: &Tried,
    now: i64,
    written: &mut Written,
) -> Result<(), FileError> {
    let Answered { status, duration, .. } = &tried.answered;
    let ended = txn
        .prepare_cached(
            "UPDATE delivery SET state = 1, attempts = attempts + 1, tried_at = ?2, ended_at = ?2, status = ?3, \
             error = NULL, duration_ms = ?4 WHERE number = ?1 AND state = 0",
        )?
        .execute(params![tried.number, now, status, millis(*duration)])?;
    written.delivered += ended as u64;
    Ok(())
}

fn failed(
    txn: &Connection,
    tried: &Tried,
    asked: Option<Duration>,
    moment: Moment,
    options: &Options,
    written: &mut Written,
) -> Result<(), FileError> {
    written.attempts_failed += 1;
    let sql = "SELECT attempts + 1 FROM delivery WHERE number = ?1 AND state = 0";
    let attempts = |row: &Row<'_>| row.get::<_, i64>(0);
    let attempt = txn.prepare_cached(sql)?.query_row([tried.number], attempts).optional()?;
    let Some(attempt) = attempt else { return Ok(()) };
    let pause = retry::pause(attempt.unsigned_abs(), asked, options, retry::chance());
    let (state, ended_at) = match pause {
        Some(_) => (0, None),
        None => (2, Some(moment.now)),
    };
    written.failed += u64::from(pause.is_none());
    let next_at = moment.now.saturating_add(millis(pause.unwrap_or_default()));
    let Answered { status, error, duration, .. } = &tried.answered;
    txn.prepare_cached(
        "UPDATE delivery SET state = ?2, attempts = ?3, tried_at = ?4, next_at = ?5, ended_at = ?6, \
         status = ?7, error = ?8, duration_ms = ?9 WHERE number = ?1",
    )?
    .execute(params![
        tried.number,
        state,
        attempt,
        moment.now,
        next_at,
        ended_at,
        status,
        error,
        millis(*duration)
    ])?;
    Ok(())
}

fn disable(
    txn: &Connection,
    webhook: i64,
    now: i64,
    written: &mut Written,
) -> Result<(), FileError> {
    let sql = "UPDATE webhook SET state = 2, why = ?2, since = ?3, generation = generation + 1 \
               WHERE number = ?1 AND state = 0 RETURNING name";
    let why = "the receiver answered 410 Gone";
    let name = txn
        .prepare_cached(sql)?
        .query_row(params![webhook, why, now], |row| row.get(0))
        .optional()?;
    written.disabled.extend(name);
    Ok(())
}

/// Counts the failures in a row of an endpoint. Once it is down only probes count: attempts that were
/// under way beside each other would make the pauses between probes long. If the failures have lasted
/// as long as a delivery is tried, deliveries that have waited as long are given up: while an endpoint
/// is down, only single ones are tried.
fn count(
    txn: &Connection,
    tried: &Tried,
    moment: Moment,
    options: &Options,
    written: &mut Written,
) -> Result<(), FileError> {
    if tried.answered.verdict == Verdict::Delivered {
        txn.prepare_cached(
            "UPDATE webhook SET failures = 0, failing_since = NULL WHERE number = ?1 AND failures > 0",
        )?
        .execute([tried.webhook])?;
        written.failures.insert(tried.webhook, 0);
        return Ok(());
    }
    let sql = "UPDATE webhook SET failing_since = coalesce(failing_since, ?2), \
               failures = iif(?4, failures + 1, max(failures, min(failures + 1, ?3))) \
               WHERE number = ?1 RETURNING failures, failing_since";
    let most = i64::try_from(options.failures_until_down).unwrap_or(i64::MAX);
    let counts =
        |row: &Row<'_>| -> rusqlite::Result<(i64, Option<i64>)> { Ok((row.get(0)?, row.get(1)?)) };
    let counted = txn
        .prepare_cached(sql)?
        .query_row(params![tried.webhook, moment.now, most, tried.probes], counts)
        .optional()?;
    let Some((failures, since)) = counted else { return Ok(()) };
    written.failures.insert(tried.webhook, failures.unsigned_abs());
    let down = failures.unsigned_abs() >= options.failures_until_down;
    let old = moment.now.saturating_sub(millis(retry::tried_for(options)));
    if moment.trusted && down && since.is_some_and(|since| since <= old) {
        written.failed += give_up(txn, tried.webhook, old, moment.now)?;
    }
    Ok(())
}

fn give_up(txn: &Connection, webhook: i64, old: i64, now: i64) -> Result<u64, FileError> {
    let given_up = txn
        .prepare_cached(
            "UPDATE delivery SET state = 2, ended_at = ?3, \
             error = coalesce(error, 'the endpoint was down all the time') WHERE number IN \
             (SELECT number FROM delivery WHERE webhook = ?1 AND state = 0 AND created_at <= ?2 \
             ORDER BY number LIMIT ?4)",
        )?
        .execute(params![webhook, old, now, GIVEN_UP_MAX])?;
    Ok(given_up as u64)
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
