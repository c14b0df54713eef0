//! Residue: what of a partition is still in hot, as rows and as archived markers.

use coupon::code::Code;
use coupon::time::Day;
use hot::Residue;
use rusqlite::params;

use crate::columns::{parsed, unsigned};
use crate::coupons::checked;
use crate::rows;
use crate::txn::Txn;

/// How many rows and archived markers a partition has.
pub(crate) fn count(txn: &Txn<'_>, day: Day) -> rusqlite::Result<u64> {
    let count = |sql: &str| -> rusqlite::Result<i64> {
        txn.statement(sql)?.query_row([day.0], |row| row.get(0))
    };
    let rows =
        count("SELECT count(*) FROM coupon INDEXED BY coupon_by_code WHERE expiry_day = ?1")?;
    Ok((rows + count("SELECT count(*) FROM archived_marker WHERE expiry_day = ?1")?).unsigned_abs())
}

/// Rows and archived markers of a sealed partition after `after`, in the order of codes.
pub(crate) fn residue(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<Residue>> {
    let mut pointers = pointers_after(txn, day, after, limit)?;
    let mut archived_markers = archived_markers(txn, day, after, limit)?;
    if pointers.len() + archived_markers.len() > limit {
        // At most `limit` of both together, so that no code before the last one is left out.
        let of_pointers = pointers.iter().map(|pointer| &pointer.code);
        let mut codes: Vec<&Code> =
            of_pointers.chain(archived_markers.iter().map(|(code, _)| code)).collect();
        codes.sort_unstable();
        let last = codes[limit - 1].clone();
        pointers.retain(|pointer| pointer.code <= last);
        archived_markers.retain(|(code, _)| *code <= last);
    }
    let rows = in_table_order(txn, pointers)?;
    let archived_markers = archived_markers
        .into_iter()
        .map(|(code, version)| Residue::ArchivedMarker { code, version });
    if archived_markers.len() == 0 {
        return Ok(rows);
    }
    let mut residue: Vec<Residue> = rows.into_iter().chain(archived_markers).collect();
    residue.sort_by(|one, other| one.code().cmp(other.code()));
    Ok(residue)
}

/// A code, and the number of its row.
struct RowPointer {
    code: Code,
    number: i64,
}

/// The coupons of these rows, in the same order. It reads the rows in the order of the table, so
/// that each page of the table is read once. The order of codes is random there.
fn in_table_order(txn: &Txn<'_>, pointers: Vec<RowPointer>) -> rusqlite::Result<Vec<Residue>> {
    let mut order: Vec<usize> = (0..pointers.len()).collect();
    order.sort_unstable_by_key(|at| pointers[*at].number);
    let sql = rows::select_coupon!(" FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    let mut found: Vec<Option<Residue>> = pointers.iter().map(|_| None).collect();
    for at in order {
        let mut rows = statement.query([pointers[at].number])?;
        // A damaged row must not become final.
        let located = rows.next()?.map(|row| checked(txn, row)).transpose()?;
        found[at] = located.map(|located| Residue::Coupon(Box::new(located.coupon)));
    }
    Ok(found.into_iter().flatten().collect())
}

fn pointers_after(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<RowPointer>> {
    txn.all(
        "SELECT code, number FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
        params![day.0, after.map_or("", Code::as_str), limit as i64],
        |row| Ok(RowPointer { code: parsed(row, 0)?, number: row.get(1)? }),
    )
}

/// The archived markers of a partition after `after`, in the order of codes.
fn archived_markers(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<(Code, u64)>> {
    txn.all(
        "SELECT code, version FROM archived_marker \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
        params![day.0, after.map_or("", Code::as_str), limit as i64],
        |row| Ok((parsed(row, 0)?, unsigned(row, 1)?)),
    )
}
