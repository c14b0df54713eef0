//! Rows of coupons and archived markers, and the partitions that have some.

use coupon::code::Code;
use coupon::time::Day;
use hot::inventory::{RowIs, RowItem};
use rusqlite::{Row, params};

use crate::columns::{signed, unsigned};
use crate::coupons::read;
use crate::failure::damaged;
use crate::rows::CouponRow;
use crate::txn::Txn;
use crate::{partitions, rows};

/// The first partition from `from` on that has a plan, a row or an archived marker.
pub(super) fn next_partition(txn: &Txn<'_>, from: Day) -> rusqlite::Result<Option<Day>> {
    let mut first: Option<i32> = None;
    for sql in [
        "SELECT min(expiry_day) FROM partition_plan WHERE expiry_day >= ?1",
        "SELECT min(expiry_day) FROM coupon INDEXED BY coupon_by_code WHERE expiry_day >= ?1",
        "SELECT min(expiry_day) FROM archived_marker WHERE expiry_day >= ?1",
    ] {
        let day: Option<i32> = txn.statement(sql)?.query_row([from.0], |row| row.get(0))?;
        first = first.into_iter().chain(day).min();
    }
    Ok(first.map(Day))
}

/// Rows after a number, at most so many: in the order of the table, so that each page of the file is
/// read once.
pub(super) const ROWS: &str = rows::select_coupon!(
    ", CAST(number AS TEXT) AS position FROM coupon WHERE number > ?1 ORDER BY number LIMIT ?2"
);

/// From [`ROWS`].
pub(super) fn row_item(txn: &Txn<'_>, row: &Row<'_>) -> rusqlite::Result<RowItem> {
    let code: String = row.get(2)?;
    Ok(RowItem { day: Day(row.get(1)?), is: is_of(txn, row).written_as(&code), code, astray: None })
}

/// A row by its number, or an archived marker by its version.
enum Found {
    Row(i64),
    ArchivedMarker(u64),
}

/// The rows and archived markers of a partition after `after`, in the order of codes.
pub(super) fn rows_after(
    txn: &Txn<'_>,
    day: Day,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<RowItem>> {
    let asked = params![day.0, after, signed(limit as u64)];
    let mut found: Vec<(String, Found)> = txn.all(
        "SELECT code, number FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
        asked,
        |row| Ok((row.get(0)?, Found::Row(row.get(1)?))),
    )?;
    found.extend(txn.all(
        "SELECT code, version FROM archived_marker \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
        asked,
        |row| Ok((row.get(0)?, Found::ArchivedMarker(unsigned(row, 1)?))),
    )?);
    // A row before an archived marker of the same code.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some((last, _)) = found.get(limit.saturating_sub(1)) {
        // At most `limit` of both together, so that no code before the last one is left out.
        let last = last.clone();
        found.retain(|(code, _)| *code <= last);
    }
    rows_of(txn, day, found)
}

/// Reads rows in the order of the table, so that each page of the table is read once.
fn rows_of(txn: &Txn<'_>, day: Day, found: Vec<(String, Found)>) -> rusqlite::Result<Vec<RowItem>> {
    let mut order: Vec<(i64, usize)> = Vec::new();
    let mut all: Vec<RowItem> = Vec::with_capacity(found.len());
    for (code, one) in found {
        let is = match one {
            Found::ArchivedMarker(version) => RowIs::ArchivedMarker { version },
            Found::Row(number) => {
                order.push((number, all.len()));
                RowIs::Unreadable("the index names it, and the table has no such row".to_owned())
            }
        };
        all.push(RowItem { day, code, is, astray: None });
    }
    order.sort_unstable();
    let sql = rows::select_coupon!(" FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    for (number, at) in order {
        let mut found = statement.query([number])?;
        if let Some(row) = found.next()? {
            all[at].is = is_of(txn, row).written_as(&all[at].code);
        }
    }
    Ok(all)
}

/// The coupon of a row, and what of the row is not as it was written; or why it cannot be read.
fn is_of(txn: &Txn<'_>, row: &Row<'_>) -> RowIs {
    let is_of = |row: CouponRow<'_>| match read(txn, &row) {
        Ok((located, differs)) => Ok(RowIs::Coupon { coupon: Box::new(located.coupon), differs }),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            Err(damaged("batch", format!("{}, or its campaign, is not there", row.batch())))
        }
        Err(error) => Err(error),
    };
    let is = rows::coupon_row(row).and_then(is_of);
    is.unwrap_or_else(|error| RowIs::Unreadable(error.to_string()))
}

/// The row and the archived marker of a code in a partition.
pub(super) fn rows_under(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Vec<RowItem>> {
    let number = txn.first(
        "SELECT number FROM coupon INDEXED BY coupon_by_code WHERE expiry_day = ?1 AND code = ?2",
        params![day.0, code.as_str()],
        |row| row.get(0),
    )?;
    let archived_marker = partitions::archived_marker(txn, day, code)?;
    let found =
        number.map(Found::Row).into_iter().chain(archived_marker.map(Found::ArchivedMarker));
    rows_of(txn, day, found.map(|one| (code.to_string(), one)).collect())
}
