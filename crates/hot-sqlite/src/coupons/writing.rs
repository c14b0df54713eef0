//! The row of one coupon, as it is written: an insert, or an update of the same version.

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::time::Day;
use rusqlite::{Params, Result as SqlResult, params};

use super::{SqliteCoupon, number_of, read};
use crate::columns::signed;
use crate::directory;
use crate::failure::damaged;
use crate::last_line::LineState;
use crate::record::{BatchCommon, encode, has_said};
use crate::rows::{before_first, columns, coupon_columns, coupon_row, numbers_of};
use crate::txn::Txn;

/// Makes the row of a coupon that has none, and returns its number: that of its serial, or the next one of the
/// batch. The row of an imported coupon is found only by its entry in the directory. `indexed`: whether the index of
/// holders has it.
pub(crate) fn insert(
    txn: &Txn<'_>,
    (batch, number): (i64, Option<i64>),
    coupon: &Coupon,
    said: &LineState,
    indexed: bool,
    day: Day,
) -> SqlResult<i64> {
    let common = common_of(txn, batch, coupon)?;
    let columns = columns(coupon, batch, day, indexed);
    let number = number.map_or_else(|| next_number(txn, batch), Ok)?;
    if matches!(coupon.state(), State::Available) {
        txn.forget_offers();
    }
    txn.run(
        "INSERT INTO coupon (number, expiry_day, code, version, state, holder, expires_at, \
         ended_at, history_full, record, indexed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            number,
            day.0,
            columns.code,
            columns.version,
            columns.state,
            columns.holder,
            own_expiry(coupon, &common, day),
            columns.ended_at.map(|at| at.0),
            columns.history_full,
            encode(coupon, said, &common, &columns, txn)?,
            indexed,
        ],
    )?;
    Ok(number)
}

/// The number of the next new row of an imported batch: after every row that there is or that was offered, also if
/// the last ones are deleted, because stock is looked for there. Reads once a transaction.
fn next_number(txn: &Txn<'_>, batch: i64) -> SqlResult<i64> {
    txn.next_number(batch, || {
        txn.write_cursors()?;
        let sql = "SELECT max(coalesce(max(number), ?1), ?1 + coalesce( \
             (SELECT next_offset FROM batch WHERE number = ?3), 0)) + 1 \
             FROM coupon WHERE number BETWEEN ?1 AND ?2";
        let asked = [before_first(batch), *numbers_of(batch).end(), batch];
        txn.one(sql, asked)
    })
}

pub(crate) fn delete(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<()> {
    let Some(number) = number_of(txn, code)? else { return Ok(()) };
    let asked = params![number.number(), code.as_str(), day.0];
    delete_where(txn, "number = ?1 AND code = ?2 AND expiry_day = ?3", asked).map(drop)
}

/// Deletes rows, and returns the number and the state of each. What the last imported line said of a
/// coupon goes to the directory, which keeps it.
pub(crate) fn delete_where(
    txn: &Txn<'_>,
    which: &str,
    asked: impl Params,
) -> SqlResult<Vec<(i64, i64)>> {
    let sql = format!("DELETE FROM coupon WHERE {which} RETURNING {}", coupon_columns!());
    // SQLite deletes all rows before it returns the first.
    txn.all(&sql, asked, |row| {
        let row = coupon_row(row)?;
        if has_said(row.record) {
            // A row that cannot be read has nothing to say. What becomes of it is for the caller.
            if let Ok((located, _)) = read(txn, &row) {
                let line = located.here.said.line(&located.coupon);
                directory::keep_line(txn, located.coupon.code(), &line)?;
            }
        }
        Ok((row.number, row.columns.state))
    })
}

/// Fails if the version of the row is no longer the one that was read.
pub(crate) fn update(
    txn: &Txn<'_>,
    before: &SqliteCoupon,
    after: &Coupon,
    indexed: bool,
    day: Day,
) -> SqlResult<()> {
    let said = before.here.said.after(&before.coupon, after);
    update_as(txn, before, (after, &said), indexed, day)
}

/// The same with what the last imported line said.
pub(crate) fn update_as(
    txn: &Txn<'_>,
    before: &SqliteCoupon,
    (after, said): (&Coupon, &LineState),
    indexed: bool,
    day: Day,
) -> SqlResult<()> {
    let common = common_of(txn, before.here.batch, after)?;
    let columns = columns(after, before.here.batch, day, indexed);
    let expires_at = own_expiry(after, &common, day);
    if matches!(after.state(), State::Available) {
        txn.forget_offers();
    }
    let same_indexes = before.coupon.holder() == after.holder()
        && before.coupon.expires_at() == after.expires_at()
        && before.day == day;
    // SQLite rewrites the entry of every index whose columns are named, changed or not; a redeem
    // changes neither holder nor expiry.
    let sql = match same_indexes {
        true => {
            "UPDATE coupon SET version = ?1, state = ?2, ended_at = ?3, history_full = ?4, \
             record = ?5 WHERE number = ?6 AND version = ?7"
        }
        false => {
            "UPDATE coupon SET version = ?1, state = ?2, ended_at = ?3, history_full = ?4, \
             record = ?5, holder = ?8, expires_at = ?9, expiry_day = ?10, indexed = ?11 \
             WHERE number = ?6 AND version = ?7"
        }
    };
    let mut statement = txn.statement(sql)?;
    let (record, ended_at) = (encode(after, said, &common, &columns, txn)?, columns.ended_at);
    let (ended_at, version) = (ended_at.map(|at| at.0), signed(before.coupon.version()));
    let common = params![
        columns.version,
        columns.state,
        ended_at,
        columns.history_full,
        record,
        before.here.row,
        version,
    ];
    let more = params![columns.holder, expires_at, day.0, indexed];
    let changed = match same_indexes {
        true => statement.execute(common)?,
        false => statement.execute(&*[common, more].concat())?,
    };
    match changed {
        1 => Ok(()),
        // One transaction has read and written it: nobody else can have changed it in between.
        _ => Err(damaged("version", "the row changed inside a transaction")),
    }
}

/// What the coupons of a batch have in common. The first that gets a row decides it.
fn common_of(txn: &Txn<'_>, batch: i64, coupon: &Coupon) -> SqlResult<BatchCommon> {
    if let Some(common) = txn.batch_at(batch)?.common {
        return Ok(common);
    }
    let common = BatchCommon::of(coupon);
    txn.run(
        "UPDATE batch SET valid_from = ?2, expires_at = ?3, made_at = ?4 WHERE number = ?1",
        params![batch, common.valid_from.0, common.expires_at.0, common.created_at.0],
    )?;
    txn.forget_terms();
    Ok(common)
}

/// The column `expires_at`. Without it a row is in the partition of its batch: that is how it is found.
fn own_expiry(coupon: &Coupon, common: &BatchCommon, day: Day) -> Option<i64> {
    let is_usual =
        coupon.expires_at() == common.expires_at && day == Day::expiry_day_of(common.expires_at);
    (!is_usual).then_some(coupon.expires_at().0)
}
