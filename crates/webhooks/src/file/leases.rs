//! Statements about leases: which process sends to which endpoint.
//!
//! A lease only saves work. Two processes that both send to an endpoint, because one was frozen or a clock
//! jumped, post some events twice, with the same id.

use rusqlite::{Connection, Row, params};

use super::writing;
use crate::{FileError, WebhookError};

/// All in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lasts: i64,
    /// How long an endpoint rests that a process gives to another one, so that what is under way arrives.
    pub(crate) rest: i64,
    /// How far ahead a delivery may be due.
    pub(crate) ahead_max: i64,
}

/// Reads the clock when no other process can lease: with one of before it would believe that a newer lease
/// was written while the clock was wrong.
pub(crate) fn lease(
    conn: &mut Connection,
    me: &str,
    terms: Terms,
    clock: impl Fn() -> i64,
) -> Result<Vec<i64>, WebhookError> {
    let txn = writing(conn)?;
    let now = clock();
    let until = now.saturating_add(terms.lasts);
    let share = share(&txn, me, terms, now)?;
    txn.execute(
        "UPDATE webhook SET leased_until = ?2 WHERE leased_to = ?1 AND state = 0",
        params![me, until],
    )?;
    for webhook in held(&txn, me)?.into_iter().skip(share) {
        let sql = "UPDATE webhook SET leased_to = NULL, leased_until = ?2 WHERE number = ?1";
        txn.execute(sql, params![webhook, now.saturating_add(terms.rest)])?;
    }
    let free = share.saturating_sub(held(&txn, me)?.len());
    txn.execute(
        "UPDATE webhook SET leased_to = ?1, leased_until = ?2 WHERE number IN (SELECT number FROM webhook \
         WHERE state = 0 AND leased_to IS NOT ?1 AND (leased_until <= ?3 OR leased_until > ?4) \
         ORDER BY number LIMIT ?5)",
        params![me, until, now, too_late(now, terms), free as i64],
    )?;
    let held = held(&txn, me)?;
    for webhook in &held {
        mend_due(&txn, *webhook, now, terms.ahead_max)?;
    }
    txn.commit()?;
    Ok(held)
}

/// What ends later was written while the clock was wrong.
fn too_late(now: i64, terms: Terms) -> i64 {
    now.saturating_add(terms.lasts.saturating_mul(2))
}

/// How many endpoints each process may hold. Notes that this one lives.
fn share(txn: &Connection, me: &str, terms: Terms, now: i64) -> Result<usize, FileError> {
    txn.execute(
        "DELETE FROM dispatcher WHERE until <= ?1 OR until > ?2",
        params![now, too_late(now, terms)],
    )?;
    txn.execute(
        "INSERT OR REPLACE INTO dispatcher (name, until) VALUES (?1, ?2)",
        params![me, now.saturating_add(terms.lasts)],
    )?;
    let sql = "SELECT (SELECT count(*) FROM webhook WHERE state = 0), count(*) FROM dispatcher";
    let counts = |row: &Row<'_>| -> rusqlite::Result<[i64; 2]> { Ok([row.get(0)?, row.get(1)?]) };
    let [active, processes] = txn.query_row(sql, [], counts)?.map(i64::unsigned_abs);
    let share = active.div_ceil(processes.max(1));
    Ok(usize::try_from(share).unwrap_or(usize::MAX))
}

fn held(txn: &Connection, me: &str) -> Result<Vec<i64>, FileError> {
    let sql = "SELECT number FROM webhook WHERE leased_to = ?1 AND state = 0 ORDER BY number";
    txn.prepare_cached(sql)?.query_map([me], |row| row.get(0))?.collect()
}

/// Makes deliveries due that were queued or postponed while the clock was ahead.
fn mend_due(
    txn: &Connection,
    webhook: i64,
    now: i64,
    ahead_max: i64,
) -> Result<(), rusqlite::Error> {
    let sql = "UPDATE delivery SET next_at = ?2 WHERE webhook = ?1 AND state = 0 AND next_at > ?2 \
               AND (attempts = 0 OR next_at > ?3)";
    let late = now.saturating_add(ahead_max);
    txn.prepare_cached(sql)?.execute(params![webhook, now, late])?;
    Ok(())
}

pub(crate) fn release(conn: &mut Connection, me: &str) -> Result<(), WebhookError> {
    let txn = writing(conn)?;
    let sql = "UPDATE webhook SET leased_to = NULL, leased_until = 0 WHERE leased_to = ?1";
    txn.execute(sql, [me])?;
    txn.execute("DELETE FROM dispatcher WHERE name = ?1", [me])?;
    Ok(txn.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::two_endpoints;

    const TERMS: Terms = Terms { lasts: 100, rest: 30, ahead_max: 1_000 };

    #[test]
    fn leases() {
        let mut conn = two_endpoints();
        let steps: [(_, _, _, &[i64]); 15] = [
            ("one takes all", "ann", 0, &[1, 2]),
            ("another one comes, and none is free", "bob", 10, &[]),
            ("the first gives one back", "ann", 20, &[1]),
            ("which rests", "bob", 49, &[]),
            ("until it may be taken", "bob", 50, &[2]),
            ("a third one comes, for which there is none", "cid", 60, &[]),
            ("the first renews", "ann", 119, &[1]),
            ("the others are there for nobody", "ann", 149, &[1]),
            ("the second is late", "ann", 160, &[1, 2]),
            ("it has lost its lease", "bob", 161, &[]),
            ("all are late", "bob", 10_000, &[1, 2]),
            ("the clock jumps back", "ann", 200, &[1, 2]),
            ("and a little, which is no jump", "bob", 199, &[]),
            ("the first gives one back again", "ann", 201, &[1]),
            ("the second takes it", "bob", 240, &[2]),
        ];
        for (name, me, now, want) in steps {
            assert_eq!(lease(&mut conn, me, TERMS, || now).unwrap(), want, "{name}");
        }
        release(&mut conn, "bob").unwrap();
        assert_eq!(lease(&mut conn, "ann", TERMS, || 241).unwrap(), [1, 2], "at once");
    }

    #[test]
    fn deliveries_of_a_wrong_clock_become_due() {
        let cases = [
            ("due", 0, 50, 50),
            ("new, of a clock ahead", 0, 5_000, 100),
            ("to be repeated", 1, 1_100, 1_100),
            ("to be repeated too late", 1, 1_101, 100),
        ];
        for (name, attempts, next_at, want) in cases {
            let mut conn = two_endpoints();
            conn.execute(
                "INSERT INTO delivery (webhook, message, state, created_at, next_at, attempts) \
                 VALUES (1, 1, 0, 0, ?1, ?2)",
                params![next_at, attempts],
            )
            .unwrap();
            lease(&mut conn, "ann", TERMS, || 100).unwrap();
            let found: i64 =
                conn.query_row("SELECT next_at FROM delivery", [], |row| row.get(0)).unwrap();
            assert_eq!(found, want, "{name}");
        }
    }
}
