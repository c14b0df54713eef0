//! Statements about leases: which process sends to which endpoint.
//!
//! A lease only saves work. Two processes that both send to an endpoint, because one was frozen or a clock
//! jumped, post some events twice, with the same id.

use rusqlite::{Connection, Row, params};

use super::writing;
use crate::WebhookError;

/// How to lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) now: i64,
    /// How long a lease lasts, in milliseconds.
    pub(crate) lasts: i64,
    /// How many endpoints to take at most, so that processes that start together share them.
    pub(crate) take_max: usize,
    /// How far ahead a delivery may be due, in milliseconds.
    pub(crate) ahead_max: i64,
}

/// The endpoints that a process holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) held: Vec<i64>,
    /// How many of them were taken just now.
    pub(crate) taken: usize,
}

/// Renews the leases of the process `me`, and takes some that nobody holds.
pub(crate) fn lease(conn: &mut Connection, me: &str, terms: Terms) -> Result<Leased, WebhookError> {
    let Terms { now, lasts, take_max, ahead_max } = terms;
    let until = now.saturating_add(lasts);
    let txn = writing(conn)?;
    txn.execute(
        "UPDATE webhook SET leased_until = ?2 WHERE leased_to = ?1 AND state = 0",
        params![me, until],
    )?;
    // One that ends later than any lease of now was written while the clock was wrong.
    let taken = txn.execute(
        "UPDATE webhook SET leased_to = ?1, leased_until = ?2 WHERE number IN (SELECT number FROM webhook \
         WHERE state = 0 AND leased_to IS NOT ?1 \
         AND (leased_to IS NULL OR leased_until <= ?3 OR leased_until > ?2) ORDER BY number LIMIT ?4)",
        params![me, until, now, i64::try_from(take_max).unwrap_or(i64::MAX)],
    )?;
    let held: Vec<i64> = {
        let sql = "SELECT number FROM webhook WHERE leased_to = ?1 AND state = 0 ORDER BY number";
        let mut statement = txn.prepare_cached(sql)?;
        let number = |row: &Row<'_>| row.get(0);
        statement.query_map([me], number)?.collect::<rusqlite::Result<_>>()?
    };
    for webhook in &held {
        mend_due(&txn, *webhook, now, ahead_max)?;
    }
    txn.commit()?;
    Ok(Leased { held, taken })
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

/// Gives all leases of a process back.
pub(crate) fn release(conn: &mut Connection, me: &str) -> Result<(), WebhookError> {
    let sql = "UPDATE webhook SET leased_to = NULL, leased_until = 0 WHERE leased_to = ?1";
    conn.execute(sql, [me])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two endpoints, without their other tables.
    fn two() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(crate::file::SCHEMA).unwrap();
        for name in ["a", "b"] {
            conn.execute(
                "INSERT INTO webhook (name, request, url, ordered, state, since, created_at) \
                 VALUES (?1, '', '', 0, 0, 0, 0)",
                [name],
            )
            .unwrap();
        }
        conn
    }

    #[test]
    fn leases() {
        const LASTS: i64 = 100;
        let mut conn = two();
        let mut held = |me: &str, now: i64, take_max: usize| {
            let terms = Terms { now, lasts: LASTS, take_max, ahead_max: 1_000 };
            lease(&mut conn, me, terms).unwrap().held
        };
        let steps = [
            ("one takes one", "ann", 0, 1, vec![1]),
            ("another one takes the other", "bob", 10, 9, vec![2]),
            ("none is free", "cid", 20, 9, vec![]),
            ("the first renews", "ann", 99, 9, vec![1]),
            ("the second is late by nothing", "cid", 109, 9, vec![]),
            ("the second is late", "cid", 110, 9, vec![2]),
            ("it has lost its lease", "bob", 111, 9, vec![]),
            ("the clock jumps ahead", "bob", 10_000, 9, vec![1, 2]),
            ("and back", "ann", 200, 9, vec![1, 2]),
        ];
        for (name, me, now, take_max, want) in steps {
            assert_eq!(held(me, now, take_max), want, "{name}");
        }
        release(&mut conn, "ann").unwrap();
        let terms = Terms { now: 201, lasts: LASTS, take_max: 9, ahead_max: 1_000 };
        assert_eq!(lease(&mut conn, "dan", terms).unwrap(), Leased { held: vec![1, 2], taken: 2 });
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
            let mut conn = two();
            conn.execute(
                "INSERT INTO delivery (webhook, message, state, created_at, next_at, attempts) \
                 VALUES (1, 1, 0, 0, ?1, ?2)",
                params![next_at, attempts],
            )
            .unwrap();
            let terms = Terms { now: 100, lasts: 100, take_max: 9, ahead_max: 1_000 };
            lease(&mut conn, "ann", terms).unwrap();
            let found: i64 =
                conn.query_row("SELECT next_at FROM delivery", [], |row| row.get(0)).unwrap();
            assert_eq!(found, want, "{name}");
        }
    }
}
