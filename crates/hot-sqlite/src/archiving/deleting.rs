//! Deleting days: what is kept of coupons that are in neither tier any more. Readers look; what is due is written some at a
//! time.

use std::collections::BTreeSet;
use std::sync::Arc;

use coupon::time::Day;
use rusqlite::{Result as SqlResult, Row, params};

use crate::txn::Txn;
use crate::{Result, SqliteHot, directory};

/// Rows that one read looks at.
const ROWS_MAX: i64 = 5_000;

/// Users, or codes, of one transaction that writes.
const WRITTEN_MAX: usize = 100;

/// Whose claims of some days can go, in a condition. A user with claims behind the wallet keeps all until none is needed:
/// the number of those in the wallet says whether there are others.
const DUE: &str = "user_id = ?1 AND expiry_day IN (SELECT value FROM json_each(?2)) \
     AND (NOT EXISTS (SELECT 1 FROM claim WHERE user_id = ?1 AND indexed = 1) \
     OR NOT EXISTS (SELECT 1 FROM claim WHERE user_id = ?1 \
     AND expiry_day NOT IN (SELECT value FROM json_each(?2))))";

struct DeletedDays {
    days: BTreeSet<Day>,
    /// As JSON.
    list: String,
}

pub(super) async fn delete(store: &SqliteHot, days: &BTreeSet<Day>) -> Result<()> {
    let list: Vec<String> = days.iter().map(|day| day.0.to_string()).collect();
    let list = format!("[{}]", list.join(","));
    let deleted = Arc::new(DeletedDays { days: days.clone(), list: list.clone() });
    pass(store, &deleted, users, delete_claims).await?;
    pass(store, &deleted, codes, forget_code).await?;
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

/// What of the rows behind a key is due, and the last key that was looked at; `None` at the end.
type DueRows = Option<(Vec<String>, String)>;

async fn pass(
    store: &SqliteHot,
    deleted: &Arc<DeletedDays>,
    due: fn(&Txn<'_>, &str, &DeletedDays) -> SqlResult<DueRows>,
    write: fn(&Txn<'_>, &str, &str) -> SqlResult<()>,
) -> Result<()> {
    let mut after = String::new();
    loop {
        let (from, of_days) = (after, Arc::clone(deleted));
        let found = store.readers.run(move |txn| due(txn, &from, &of_days)).await?;
        let Some((found, last)) = found else { return Ok(()) };
        for some in found.chunks(WRITTEN_MAX) {
            let (some, of_days) = (some.to_vec(), Arc::clone(deleted));
            let all =
                move |txn: &Txn<'_>| some.iter().try_for_each(|it| write(txn, it, &of_days.list));
            store.background_write(all).await?;
        }
        after = last;
    }
}

/// Users who have claims of the days.
fn users(txn: &Txn<'_>, after: &str, deleted: &DeletedDays) -> SqlResult<DueRows> {
    let sql = "SELECT max(user_id) FROM \
               (SELECT user_id FROM claim WHERE user_id > ?1 ORDER BY user_id LIMIT ?2)";
    let Some(last) = txn.one::<Option<String>>(sql, params![after, ROWS_MAX])? else {
        return Ok(None);
    };
    let sql = "SELECT DISTINCT user_id FROM claim WHERE user_id > ?1 AND user_id <= ?2 \
               AND expiry_day IN (SELECT value FROM json_each(?3))";
    let found = txn.all(sql, [after, &last, &deleted.list], |row| row.get(0))?;
    Ok(Some((found, last)))
}

fn delete_claims(txn: &Txn<'_>, user: &str, days: &str) -> SqlResult<()> {
    let replaced =
        "DELETE FROM replacement WHERE user_id = ?1 AND replaced IN (SELECT code FROM claim WHERE";
    txn.run(&format!("{replaced} {DUE})"), [user, days])?;
    txn.run(&format!("DELETE FROM claim WHERE {DUE}"), [user, days])
}

/// Codes that the directory has on the days.
fn codes(txn: &Txn<'_>, after: &str, deleted: &DeletedDays) -> SqlResult<DueRows> {
    let sql =
        "SELECT code, expiry_day, number FROM directory WHERE code > ?1 ORDER BY code LIMIT ?2";
    let read = |row: &Row<'_>| {
        let number: Option<i64> = row.get(2)?;
        let day = match number {
            Some(number) => Some(directory::day(txn, row.get(1)?, number)?),
            None => None,
        };
        Ok((row.get::<_, String>(0)?, day))
    };
    let rows = txn.all(sql, params![after, ROWS_MAX], read)?;
    let Some((last, _)) = rows.last().cloned() else { return Ok(None) };
    let is_due = |day: &Option<Day>| day.is_some_and(|day| deleted.days.contains(&day));
    let found = rows.into_iter().filter(|(_, day)| is_due(day)).map(|(code, _)| code).collect();
    Ok(Some((found, last)))
}

/// The code stays taken.
fn forget_code(txn: &Txn<'_>, code: &str, _days: &str) -> SqlResult<()> {
    let sql =
        "UPDATE directory SET number = NULL, expiry_day = NULL, last_line = NULL WHERE code = ?1";
    txn.run(sql, [code])
}
