//! Removal: empties a sealed partition whose coupons were read back from cold, some rows at a time.

use coupon::time::{Day, Millis};
use hot::{Emptying, ListPosition};
use rusqlite::params;

use crate::columns::{signed, unsigned};
use crate::failure::damaged;
use crate::txn::Txn;

/// Rows that one transaction looks at and removes.
pub(crate) const REMOVE_MAX: i64 = 400;

/// The same while others write, too: some 2 ms.
pub(crate) const REMOVE_BESIDE_OTHERS_MAX: i64 = 100;

/// Archived markers that one transaction removes; they are in one B-tree, and rows in several.
const REMOVE_ARCHIVED_MARKERS_MAX: i64 = 2_000;

/// Removes up to `rows` rows of a sealed partition; `None` if there is nothing left.
///
/// It goes by expiry first, which is the order of the rows and of most index entries: in any other
/// order each row would touch five pages of its own. Then it removes rows that expire on another
/// day than that of their partition, then archived markers.
pub(crate) fn remove(
    txn: &Txn<'_>,
    day: Day,
    so_far: &Emptying,
    rows: i64,
) -> rusqlite::Result<Option<Emptying>> {
    if !txn.is_sealed(day)? {
        return Err(damaged("sealed", "a partition that is not sealed cannot be emptied"));
    }
    if !so_far.walked {
        return remove_by_expiry(txn, day, so_far, rows).map(Some);
    }
    let left: Vec<(i64, i64, String)> = txn.all(
        "SELECT number, campaign, state FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 LIMIT ?2",
        params![day.0, rows],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut removed = left.len() as u64;
    for (number, campaign, state) in left {
        remove_row(txn, number, campaign, &state)?;
    }
    if removed == 0 {
        removed = txn
            .statement(
                "DELETE FROM archived_marker WHERE expiry_day = ?1 AND code IN \
                 (SELECT code FROM archived_marker WHERE expiry_day = ?1 LIMIT ?2)",
            )?
            .execute(params![day.0, REMOVE_ARCHIVED_MARKERS_MAX])? as u64;
    }
    Ok((removed > 0).then(|| Emptying { removed: so_far.removed + removed, ..so_far.clone() }))
}

fn remove_by_expiry(
    txn: &Txn<'_>,
    day: Day,
    so_far: &Emptying,
    rows: i64,
) -> rusqlite::Result<Emptying> {
    let from = so_far.after.clone().unwrap_or(ListPosition {
        // Expiries are exclusive: midnight belongs to the day before.
        expires_at: Day(day.0 - 1).end(),
        tie: u64::MAX >> 1,
    });
    let found = txn.all(
        "SELECT number, campaign, state, expiry_day, expires_at FROM coupon \
         INDEXED BY coupon_by_expiry \
         WHERE (expires_at, number) > (?1, ?2) AND expires_at <= ?3 \
         ORDER BY expires_at, number LIMIT ?4",
        params![from.expires_at.0, signed(from.tie), day.end().0, rows],
        |row| {
            let at = ListPosition { expires_at: Millis(row.get(4)?), tie: unsigned(row, 0)? };
            Ok((at, row.get(1)?, row.get::<_, String>(2)?, Day(row.get(3)?)))
        },
    )?;
    let mut after = so_far.clone();
    after.walked = found.is_empty();
    for (at, campaign, state, partition) in found {
        if partition == day {
            remove_row(txn, signed(at.tie), campaign, &state)?;
            after.removed += 1;
        }
        after.after = Some(at);
    }
    Ok(after)
}

fn remove_row(txn: &Txn<'_>, number: i64, campaign: i64, state: &str) -> rusqlite::Result<()> {
    txn.run("DELETE FROM coupon WHERE number = ?1", [number])?;
    txn.counts().archive(campaign, state);
    Ok(())
}
