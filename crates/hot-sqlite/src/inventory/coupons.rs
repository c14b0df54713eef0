//! Rows of coupons and archived markers, and the partitions that have some.

use std::collections::{BTreeMap, HashMap};

use coupon::code::Code;
use coupon::minted::CodeKey;
use coupon::time::{Day, Millis};
use hot::inventory::{RowIs, RowItem};
use router::home;
use rusqlite::{Result as SqlResult, Row};

use crate::coupons::{RowNumber, number_of, read};
use crate::day_order::{OfCode, PartitionEntry, rows_with};
use crate::failure::damaged;
use crate::rows::CouponRow;
use crate::txn::Txn;
use crate::{directory, partitions, rows};

pub(super) fn next_partition(txn: &Txn<'_>, from: Day) -> SqlResult<Option<Day>> {
    let mut first: Option<Day> = None;
    for sql in [
        "SELECT min(expiry_day) FROM partition_plan WHERE expiry_day >= ?1",
        "SELECT min(expiry_day) FROM coupon INDEXED BY coupon_by_day \
         WHERE expires_at IS NOT NULL AND expiry_day >= ?1",
        "SELECT min(expiry_day) FROM archived_marker WHERE expiry_day >= ?1",
    ] {
        let day: Option<i32> = txn.one(sql, [from.0])?;
        first = first.into_iter().chain(day.map(Day)).min();
    }
    // All others are in the partition of their batch.
    let sql = "SELECT min(expires_at) FROM batch WHERE expires_at IS NOT NULL AND expires_at > ?1";
    let at: Option<i64> = txn.one(sql, [from.start().0])?;
    let day = at.map(|at| Day::expiry_day_of(Millis(at)));
    Ok(first.into_iter().chain(day).min())
}

/// In the order of the table, so that each page of the file is read once.
pub(super) const ROWS: &str = rows::select_coupon!(
    ", CAST(number AS TEXT) AS position FROM coupon WHERE number > ?1 ORDER BY number LIMIT ?2"
);

/// From [`ROWS`].
pub(super) fn row_item(txn: &Txn<'_>, row: &Row<'_>) -> SqlResult<RowItem> {
    let code: String = row.get(2)?;
    Ok(RowItem { day: Day(row.get(1)?), is: is_of(txn, row).written_as(&code), code, astray: None })
}

/// Leaves out rows that are gone by now. Reads in the order of the table, so that it reads each
/// page once.
pub(super) fn rows_of(txn: &Txn<'_>, day: Day, page: &[OfCode]) -> SqlResult<Vec<RowItem>> {
    let mut order: Vec<(i64, usize)> = Vec::new();
    let mut all: Vec<Option<RowItem>> = Vec::with_capacity(page.len());
    for (at, (code, found)) in page.iter().enumerate() {
        let is = match *found {
            PartitionEntry::ArchivedMarker(version) => Some(RowIs::ArchivedMarker { version }),
            PartitionEntry::Row(number) => {
                order.push((number, at));
                None
            }
        };
        all.push(is.map(|is| RowItem { day, code: code.clone(), is, astray: None }));
    }
    order.sort_unstable();
    let sql = rows::select_coupon!(" FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    for (number, at) in order {
        let mut found = statement.query([number])?;
        let Some(row) = found.next()? else { continue };
        let code = &page[at].0;
        if is_still_there(txn, day, code, row) {
            let is = is_of(txn, row).written_as(code);
            all[at] = Some(RowItem { day, code: code.clone(), is, astray: None });
        }
    }
    Ok(all.into_iter().flatten().collect())
}

/// Whether a row that was collected is still that of the code in the partition. One that cannot be read is.
fn is_still_there(txn: &Txn<'_>, day: Day, code: &str, row: &Row<'_>) -> bool {
    let is_there = |row: CouponRow<'_>| {
        // In the partition in which it was collected.
        let here = match row.own_expiry {
            Some(_) => Some(row.columns.day),
            None => {
                let usual = txn.batch_at(row.columns.batch)?.common;
                usual.map(|usual| Day::expiry_day_of(usual.expires_at))
            }
        };
        Ok(row.columns.code == code && here.is_none_or(|here| here == day))
    };
    rows::coupon_row(row).and_then(is_there).unwrap_or(true)
}

/// The coupon of a row, and what of the row is not as it was written; or why it cannot be read.
fn is_of(txn: &Txn<'_>, row: &Row<'_>) -> RowIs {
    let is_of = |row: CouponRow<'_>| match read(txn, &row) {
        Ok((located, differs)) => Ok(RowIs::Coupon { coupon: Box::new(located.coupon), differs }),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            let batch = row.columns.batch;
            Err(damaged("batch", format!("{batch}, or its campaign, is not there")))
        }
        Err(error) => Err(error),
    };
    let is = rows::coupon_row(row).and_then(is_of);
    is.unwrap_or_else(|error| RowIs::Unreadable(error.to_string()))
}

pub(super) fn rows_at(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    spots: &[(Day, Code)],
) -> SqlResult<Vec<Vec<RowItem>>> {
    let mut all = Vec::with_capacity(spots.len());
    // Their rows may be there all the same: where no serial leads to them, or no entry of the directory.
    let mut lost: BTreeMap<Day, HashMap<&str, usize>> = BTreeMap::new();
    for (at, (day, code)) in spots.iter().enumerate() {
        let rows = rows_under(txn, *day, code)?;
        if rows.is_empty() && (home(keys, code).is_some() || !directory::has(txn, code)?) {
            lost.entry(*day).or_default().insert(code.as_str(), at);
        }
        all.push(rows);
    }
    for (day, lost) in lost {
        let codes = lost.keys().copied().collect();
        for (code, number) in rows_with(txn, day, &codes)? {
            let Some(at) = lost.get(code.as_str()) else { continue };
            all[*at] = rows_of(txn, day, &[(code, PartitionEntry::Row(number))])?;
        }
    }
    Ok(all)
}

fn rows_under(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<Vec<RowItem>> {
    let number = number_of(txn, code)?.map(RowNumber::number);
    let marker = partitions::archived_marker(txn, day, code)?;
    let found = number
        .map(PartitionEntry::Row)
        .into_iter()
        .chain(marker.map(PartitionEntry::ArchivedMarker));
    let page: Vec<_> = found.map(|one| (code.to_string(), one)).collect();
    rows_of(txn, day, &page)
}
