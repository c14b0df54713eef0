//! Redemptions that were cancelled, by the instant at which they were made. No index of the table `coupon` has
//! them, because the columns of a row show its live redemption alone.
//!
//! A row is written with that of the coupon, and deleted some time after it. So a reader checks each.

use coupon::coupon::{Coupon, EventKind};
use coupon::time::Millis;
use rusqlite::{Result as SqlResult, params};

use crate::redeemed::RedeemedWindow;
use crate::txn::Txn;

/// Enters the redemptions of a coupon that were cancelled by its events from the one with the index `had` on.
pub(crate) fn enter(
    txn: &Txn<'_>,
    number: i64,
    campaign: i64,
    coupon: &Coupon,
    had: usize,
) -> SqlResult<()> {
    for event in coupon.events().get(had..).unwrap_or_default() {
        let EventKind::RedemptionCancelled { order, .. } = &event.kind else { continue };
        let Some(redemption) = coupon.redemption_of(order) else { continue };
        txn.run(
            "INSERT OR IGNORE INTO cancelled_redemption (redeemed_at, number, campaign) \
             VALUES (?1, ?2, ?3)",
            params![redemption.at.0, number, campaign],
        )?;
    }
    Ok(())
}

/// The first `limit` of the window: when each was made, and the number of its coupon's row.
pub(crate) fn latest(
    txn: &Txn<'_>,
    campaign: Option<i64>,
    window: &RedeemedWindow,
    limit: usize,
) -> SqlResult<Vec<(Millis, i64)>> {
    let RedeemedWindow { from, last, below } = window;
    let of = match campaign {
        Some(_) => "INDEXED BY cancelled_redemption_by_campaign WHERE campaign = ?1",
        // So that the values are the same in number.
        None => "WHERE ?1 IS NULL",
    };
    let sql = format!(
        "SELECT redeemed_at, number FROM cancelled_redemption {of} \
         AND redeemed_at >= ?2 AND redeemed_at <= ?3 AND (redeemed_at < ?3 OR number < ?4) \
         ORDER BY redeemed_at DESC, number DESC LIMIT ?5"
    );
    let asked = params![campaign, from.0, last.0, below, limit as i64];
    txn.all(&sql, asked, |row| Ok((Millis(row.get(0)?), row.get(1)?)))
}

/// Deletes those whose coupons have no rows any more, of the `limit` behind `after`. Returns the last that it
/// looked at, and how many it deleted; `None` at the end.
pub(crate) fn forget(
    txn: &Txn<'_>,
    after: (i64, i64),
    limit: usize,
) -> SqlResult<Option<((i64, i64), u64)>> {
    let found: Vec<(i64, i64, bool)> = txn.all(
        "SELECT redeemed_at, number, EXISTS (SELECT 1 FROM coupon WHERE coupon.number = \
         cancelled_redemption.number) FROM cancelled_redemption \
         WHERE (redeemed_at, number) > (?1, ?2) ORDER BY redeemed_at, number LIMIT ?3",
        params![after.0, after.1, limit as i64],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some(&(redeemed_at, number, _)) = found.last() else { return Ok(None) };
    let mut deleted = 0;
    for (redeemed_at, number, _) in found.iter().filter(|(.., is_there)| !is_there) {
        let sql = "DELETE FROM cancelled_redemption WHERE redeemed_at = ?1 AND number = ?2";
        txn.run(sql, [redeemed_at, number])?;
        deleted += 1;
    }
    Ok(Some(((redeemed_at, number), deleted)))
}
