//! Removal: empties a sealed partition whose coupons were read back from cold, some rows at a time.

use coupon::time::Day;
use hot::{Emptying, ListPosition};
use rusqlite::{Params, Result as SqlResult, params};

use crate::columns::signed;
use crate::coupons::writing;
use crate::day_order::next_batch;
use crate::failure::damaged;
use crate::rows::{batch_of, numbers_of};
use crate::txn::Txn;

/// Rows that one transaction looks at and removes.
pub(super) const REMOVE_MAX: i64 = 400;

/// The same while others write, too: some 2 ms.
pub(super) const REMOVE_BESIDE_OTHERS_MAX: i64 = 100;

/// Archived markers that one transaction removes; they are in one B-tree, and rows in several.
const REMOVE_ARCHIVED_MARKERS_MAX: i64 = 2_000;

/// Removes up to `rows` rows of a sealed partition; `None` if there is nothing left.
///
/// It goes through the batches that expire on the day first, which is the order of the rows: in any
/// other order each row would touch a page of its own. Then it removes rows of other batches, then
/// archived markers.
pub(super) fn remove(
    txn: &Txn<'_>,
    day: Day,
    so_far: &Emptying,
    rows: i64,
) -> SqlResult<Option<Emptying>> {
    if !txn.is_sealed(day)? {
        return Err(damaged("sealed", "a partition that is not sealed cannot be emptied"));
    }
    if !so_far.walked {
        return remove_by_batch(txn, day, so_far, rows).map(Some);
    }
    let mut removed = remove_rows(
        txn,
        "number IN (SELECT number FROM coupon INDEXED BY coupon_by_day \
         WHERE expires_at IS NOT NULL AND expiry_day = ?1 LIMIT ?2)",
        params![day.0, rows],
    )?;
    if removed == 0 {
        let sql = "DELETE FROM archived_marker WHERE expiry_day = ?1 AND code IN \
                   (SELECT code FROM archived_marker WHERE expiry_day = ?1 LIMIT ?2)";
        removed = txn.change(sql, params![day.0, REMOVE_ARCHIVED_MARKERS_MAX])? as u64;
    }
    Ok((removed > 0).then(|| Emptying { removed: so_far.removed + removed, ..so_far.clone() }))
}

fn remove_by_batch(txn: &Txn<'_>, day: Day, so_far: &Emptying, rows: i64) -> SqlResult<Emptying> {
    let mut after = so_far.clone();
    let from = so_far.after.as_ref().map_or(0, |from| signed(from.tie));
    let Some(batch) = next_batch(txn, day, batch_of(from))? else {
        after.walked = true;
        return Ok(after);
    };
    let numbers = numbers_of(batch);
    let from = from.max(*numbers.start());
    let sql = "SELECT max(number) FROM (SELECT number FROM coupon WHERE number > ?1 AND number <= ?2 \
               ORDER BY number LIMIT ?3)";
    let last: Option<i64> = txn.one(sql, params![from, numbers.end(), rows])?;
    if let Some(last) = last {
        let which = "number > ?1 AND number <= ?2 AND expiry_day = ?3";
        after.removed += remove_rows(txn, which, params![from, last, day.0])?;
    }
    // The end of the batch leads to the next one.
    let last = last.unwrap_or(*numbers.end() + 1);
    after.after = Some(ListPosition { expires_at: day.end(), tie: last.unsigned_abs() });
    Ok(after)
}

/// Deletes rows, and counts their coupons as archived. Returns how many.
pub(super) fn remove_rows(txn: &Txn<'_>, which: &str, asked: impl Params) -> SqlResult<u64> {
    let removed = writing::delete_where(txn, which, asked)?;
    for (number, state) in &removed {
        txn.count_archived(*number, *state)?;
    }
    Ok(removed.len() as u64)
}
