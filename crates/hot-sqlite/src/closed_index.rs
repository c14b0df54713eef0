//! The index `coupon_closed`: redeemed and void coupons by expiry day, batch, state and time. Of each batch on each
//! day it has one part.

use coupon::time::Day;
use rusqlite::{Result as SqlResult, params};

use crate::txn::Txn;

/// An expiry day, and a batch that has coupons on it.
pub(crate) type DayBatch = (Day, i64);

const NEXT_BATCH: &str = "SELECT expiry_day, batch FROM coupon INDEXED BY coupon_closed \
    WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch > ?2 ORDER BY batch LIMIT 1";

const NEXT_DAY: &str = "SELECT expiry_day, batch FROM coupon INDEXED BY coupon_closed \
    WHERE ended_at IS NOT NULL AND expiry_day > ?1 ORDER BY expiry_day, batch LIMIT 1";

/// The part after `after`, in the order of the index. Two steps, however much is in between.
pub(crate) fn next_part(txn: &Txn<'_>, (day, batch): DayBatch) -> SqlResult<Option<DayBatch>> {
    let part = |row: &rusqlite::Row<'_>| Ok((Day(row.get(0)?), row.get(1)?));
    // As two: for a pair of columns that is not the whole key, SQLite begins at the pair and looks at all that has it.
    match txn.first(NEXT_BATCH, params![day.0, batch], part)? {
        None => txn.first(NEXT_DAY, [day.0], part),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, StatementStatus};

    use super::*;

    #[test]
    fn a_large_part_is_not_walked_over() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE coupon (expiry_day INTEGER, batch INTEGER, state INTEGER, ended_at INTEGER);
             CREATE INDEX coupon_closed ON coupon (expiry_day, batch, state, ended_at)
                 WHERE ended_at IS NOT NULL;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                 INSERT INTO coupon SELECT 7, 1, 2, i FROM n;
             INSERT INTO coupon VALUES (7, 2, 2, 1), (9, 1, 3, 1), (9, 3, 1, NULL);",
        )
        .unwrap();
        type Row<'a> = (&'a str, &'a str, &'a [i64], Option<(i64, i64)>);
        let rows: [Row<'_>; 5] = [
            ("the next batch", NEXT_BATCH, &[7, 1], Some((7, 2))),
            ("none on this day", NEXT_BATCH, &[7, 2], None),
            ("the next day", NEXT_DAY, &[7], Some((9, 1))),
            ("the first day", NEXT_DAY, &[i64::from(i32::MIN)], Some((7, 1))),
            ("none at all", NEXT_DAY, &[9], None),
        ];
        for (name, sql, values, want) in rows {
            let mut statement = conn.prepare(sql).unwrap();
            let params = rusqlite::params_from_iter(values);
            let found = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let found: Vec<(i64, i64)> = found.map(|row| row.unwrap()).collect();
            assert_eq!(found.first().copied(), want, "{name}");
            let steps = statement.get_status(StatementStatus::VmStep);
            assert!(steps < 100, "{name}: {steps} steps");
        }
    }
}
