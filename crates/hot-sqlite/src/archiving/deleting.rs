//! Deleting days: what is kept of coupons that are in neither tier any more, some rows at a time.

use std::collections::BTreeSet;

use coupon::time::{DAY_MS, Day};
use rusqlite::params;

use crate::rows::BITS_IN_BATCH;
use crate::txn::Txn;
use crate::{Result, SqliteHot};

/// Rows that one transaction looks at: some 3 ms.
const ROWS_MAX: i64 = 1_000;

/// A table: the last of its keys behind `?1` that a transaction looks at, and what it runs up to that key, `?2`, for the days
/// in `?3`.
type TablePass = (&'static str, &'static [&'static str]);

/// Users with claims behind their wallet keep all until none is needed: the number of those in the wallet says whether there
/// are others.
macro_rules! due_claims {
    ($what:literal) => {
        concat!(
            $what,
            " FROM claim WHERE user_id > ?1 AND user_id <= ?2 \
             AND expiry_day IN (SELECT value FROM json_each(?3)) AND user_id NOT IN \
             (SELECT user_id FROM claim WHERE user_id > ?1 AND user_id <= ?2 GROUP BY user_id HAVING \
             max(indexed) = 1 AND sum(expiry_day NOT IN (SELECT value FROM json_each(?3))) > 0)"
        )
    };
}

const CLAIMS: TablePass = (
    "SELECT max(user_id) FROM (SELECT user_id FROM claim WHERE user_id > ?1 ORDER BY user_id LIMIT ?2)",
    &[
        concat!("DELETE FROM replacement WHERE replaced IN (", due_claims!("SELECT code"), ")"),
        due_claims!("DELETE"),
    ],
);

/// Codes stay taken.
const CODES: TablePass = (
    "SELECT max(code) FROM (SELECT code FROM directory WHERE code > ?1 ORDER BY code LIMIT ?2)",
    &["UPDATE directory SET number = NULL, expiry_day = NULL, last_line = NULL \
       WHERE code > ?1 AND code <= ?2 AND number IS NOT NULL AND coalesce(expiry_day, \
       (SELECT (expires_at - 1) / ?4 FROM batch WHERE batch.number = directory.number >> ?5)) \
       IN (SELECT value FROM json_each(?3))"],
);

pub(super) async fn delete(store: &SqliteHot, days: &BTreeSet<Day>) -> Result<()> {
    let list: Vec<String> = days.iter().map(|day| day.0.to_string()).collect();
    let list = format!("[{}]", list.join(","));
    for (bound, statements) in [CLAIMS, CODES] {
        let mut after = Some(String::new());
        while let Some(from) = after {
            let days = list.clone();
            let delete = move |txn: &Txn<'_>| {
                let last: Option<String> = txn.one(bound, params![from, ROWS_MAX])?;
                for sql in statements.iter().filter(|_| last.is_some()) {
                    let mut statement = txn.statement(sql)?;
                    let count = statement.parameter_count();
                    statement
                        .execute(&params![from, last, days, DAY_MS, BITS_IN_BATCH][..count])?;
                }
                Ok(last)
            };
            after = store.background_write(delete).await?;
        }
    }
    // Last: nothing is looked for again on such a day.
    let mark = move |txn: &Txn<'_>| {
        let sql = "UPDATE partition_plan SET sealed = 2 \
                   WHERE emptied = 1 AND expiry_day IN (SELECT value FROM json_each(?1))";
        txn.run(sql, [&list])?;
        txn.forget_terms();
        Ok(())
    };
    store.background_write(mark).await
}
