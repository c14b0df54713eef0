//! Partitions and their rows, as `verify` reads them.

use coupon::code::Code;
use coupon::time::Day;
use hot::PartitionPlan;
use hot::audit::{AuditPartition, AuditRow, RowIs};
use rusqlite::{OptionalExtension, Row, params};

use crate::columns::unsigned;
use crate::coupons::located;
use crate::failure::damaged;
use crate::numbers::signed;
use crate::txn::Txn;
use crate::{archiving, partitions, rows};

/// Every partition that has a plan, a row or an archived marker.
pub(super) fn all(txn: &Txn<'_>) -> rusqlite::Result<Vec<AuditPartition>> {
    let mut statement = txn.statement(
        "SELECT expiry_day, seal_after, sealed, archive_commit, emptied, next_serial \
         FROM partition_plan ORDER BY expiry_day",
    )?;
    let plans = statement.query_map([], |row| {
        let plan: PartitionPlan = archiving::plan(row)?;
        let next_serial = unsigned(row, 5)?;
        Ok(AuditPartition { day: plan.day, plan: Some(plan), next_serial })
    })?;
    let mut days = plans.collect::<rusqlite::Result<Vec<AuditPartition>>>()?;
    // Through the index: as many steps as there are partitions.
    for sql in [
        "SELECT min(expiry_day) FROM coupon INDEXED BY coupon_by_code WHERE expiry_day > ?1",
        "SELECT min(expiry_day) FROM archived_marker WHERE expiry_day > ?1",
    ] {
        let mut after = i64::MIN;
        let mut statement = txn.statement(sql)?;
        while let Some(day) = statement.query_row([after], |row| row.get::<_, Option<i32>>(0))? {
            after = i64::from(day);
            if days.binary_search_by_key(&day, |it| it.day.0).is_err() {
                days.push(AuditPartition { day: Day(day), plan: None, next_serial: 0 });
                days.sort_unstable_by_key(|it| it.day);
            }
        }
    }
    Ok(days)
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
) -> rusqlite::Result<Vec<AuditRow>> {
    let mut found: Vec<(String, Found)> = Vec::new();
    let asked = params![day.0, after, signed(limit as u64)];
    let mut statement = txn.statement(
        "SELECT code, number FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    for one in statement.query_map(asked, |row| Ok((row.get(0)?, Found::Row(row.get(1)?))))? {
        found.push(one?);
    }
    let mut statement = txn.statement(
        "SELECT code, version FROM archived_marker \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    let archived_marker =
        |row: &Row<'_>| Ok((row.get(0)?, Found::ArchivedMarker(unsigned(row, 1)?)));
    for one in statement.query_map(asked, archived_marker)? {
        found.push(one?);
    }
    // A row before an archived marker of the same code.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some((last, _)) = found.get(limit.saturating_sub(1)) {
        // At most `limit` of both together, so that no code before the last one is left out.
        let last = last.clone();
        found.retain(|(code, _)| *code <= last);
    }
    rows_of(txn, found)
}

/// Reads rows in the order of the table, so that each page of the table is read once.
fn rows_of(txn: &Txn<'_>, found: Vec<(String, Found)>) -> rusqlite::Result<Vec<AuditRow>> {
    let mut order: Vec<(i64, usize)> = Vec::new();
    let mut all: Vec<AuditRow> = Vec::with_capacity(found.len());
    for (code, one) in found {
        let is = match one {
            Found::ArchivedMarker(version) => RowIs::ArchivedMarker { version },
            Found::Row(number) => {
                order.push((number, all.len()));
                RowIs::Unreadable("the index names it, and the table has no such row".to_owned())
            }
        };
        all.push(AuditRow { code, is, astray: None });
    }
    order.sort_unstable();
    let sql = concat!("SELECT ", rows::coupon_columns!(), " FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    for (number, at) in order {
        let mut found = statement.query([number])?;
        if let Some(row) = found.next()? {
            all[at].is = is_of(txn, row).written_as(&all[at].code);
        }
    }
    Ok(all)
}

/// The coupon of a row, and the first column that differs from its events; or why it cannot be
/// read.
fn is_of(txn: &Txn<'_>, row: &Row<'_>) -> RowIs {
    let read = rows::coupon_row(row).and_then(|it| {
        let (campaign, batch) = (it.campaign, it.batch);
        located(txn, it).map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => {
                damaged("campaign", format!("{campaign}, or its batch {batch}, is not there"))
            }
            error => error,
        })
    });
    match read {
        Err(error) => RowIs::Unreadable(error.to_string()),
        Ok(located) => match rows::disagreement(&located.coupon, row) {
            Ok(differs) => RowIs::Coupon { coupon: Box::new(located.coupon), differs },
            Err(error) => RowIs::Unreadable(error.to_string()),
        },
    }
}

/// The row and the archived marker of a code in a partition.
pub(super) fn rows_under(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Vec<AuditRow>> {
    let number = txn
        .statement(
            "SELECT number FROM coupon INDEXED BY coupon_by_code \
             WHERE expiry_day = ?1 AND code = ?2",
        )?
        .query_row(params![day.0, code.as_str()], |row| row.get(0))
        .optional()?;
    let archived_marker = partitions::archived_marker(txn, day, code)?;
    let found =
        number.map(Found::Row).into_iter().chain(archived_marker.map(Found::ArchivedMarker));
    rows_of(txn, found.map(|one| (code.to_string(), one)).collect())
}
