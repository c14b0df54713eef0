//! Which coupons an order has redeemed: a hash of the order, and the code. It is a hint: a reader
//! looks at the history of the coupon, wherever the coupon is by then.
//!
//! It is made from the events of the feed, together with the counts, so that no redeem writes one more page.
//! An import, of which the feed does not tell, enters its redemptions itself.

use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::OrderRef;
use coupon::imported::import_order;
use coupon::time::{DAY_MS, Day};
use hot::feed::CouponEventKind;
use hot::inventory::OrderEntry;
use rusqlite::{Result as SqlResult, params};

use crate::columns::parsed;
use crate::txn::Txn;
use crate::txn::events::number_of;

/// Most codes that a search for an order returns. An order redeems a few coupons; of a hundred million
/// orders, 1 in 40 has its hash in common with another one.
const CODES_MAX: usize = 200;

fn enter(txn: &Txn<'_>, order: &str, code: &str, at: i64) -> SqlResult<()> {
    txn.run(
        "INSERT INTO redeemed_by_order (order_hash, code, redeemed_on) VALUES (?1, ?2, ?3) \
         ON CONFLICT (order_hash, code) DO UPDATE \
         SET redeemed_on = max(redeemed_on, excluded.redeemed_on)",
        params![OrderEntry::hash_of(order), code, at.div_euclid(DAY_MS)],
    )
}

/// Lets the entry of a coupon lead from an order to another name of it.
pub(crate) fn move_entry(txn: &Txn<'_>, (old, new): (&str, &str), code: &str) -> SqlResult<()> {
    let sql = "UPDATE OR REPLACE redeemed_by_order SET order_hash = ?2 \
               WHERE order_hash = ?1 AND code = ?3";
    txn.run(sql, params![OrderEntry::hash_of(old), OrderEntry::hash_of(new), code])
}

/// Enters every redemption of a coupon that an import has brought. Of a line without an order the
/// order is made of the code, and so finds it without an entry.
pub(crate) fn enter_all(txn: &Txn<'_>, coupon: &Coupon) -> SqlResult<()> {
    let code = coupon.code().as_str();
    for event in coupon.events() {
        if let EventKind::Redeemed { order, .. } = &event.kind
            && import_order(coupon.code()) != *order
        {
            enter(txn, order.as_str(), code, event.at.0)?;
        }
    }
    Ok(())
}

pub(crate) fn enter_events(txn: &Txn<'_>, after: i64, last: i64) -> SqlResult<()> {
    let redeemed = number_of(CouponEventKind::Redeemed);
    let found: Vec<(String, String, i64)> = txn.all(
        "SELECT ref, code, at FROM event WHERE number > ?1 AND number <= ?2 AND kind = ?3 \
         AND ref IS NOT NULL",
        params![after, last, redeemed],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    found.iter().try_for_each(|(order, code, at)| enter(txn, order, code, *at))
}

pub(crate) fn codes(txn: &Txn<'_>, order: &OrderRef) -> SqlResult<Vec<Code>> {
    txn.all(
        "SELECT code FROM redeemed_by_order WHERE order_hash = ?1 ORDER BY code LIMIT ?2",
        params![OrderEntry::hash_of(order.as_str()), CODES_MAX as i64],
        |row| parsed(row, 0),
    )
}

pub(crate) fn page(
    txn: &Txn<'_>,
    after: Option<&OrderEntry>,
    limit: usize,
) -> SqlResult<Vec<OrderEntry>> {
    let (hash, code) = after.map_or((i64::MIN, ""), |it| (it.order_hash.into(), it.code.as_str()));
    txn.all(
        "SELECT order_hash, code, redeemed_on FROM redeemed_by_order \
         WHERE (order_hash, code) > (?1, ?2) ORDER BY order_hash, code LIMIT ?3",
        params![hash, code, limit as i64],
        |row| {
            let (order_hash, redeemed_on) = (row.get(0)?, Day(row.get(2)?));
            Ok(OrderEntry { order_hash, code: parsed(row, 1)?, redeemed_on })
        },
    )
}

/// Deletes entries of redemptions before `before`, of the `limit` behind `after`. Returns the last that it
/// looked at, and how many it deleted; `None` at the end.
pub(crate) fn forget(
    txn: &Txn<'_>,
    before: Day,
    after: &(i64, String),
    limit: usize,
) -> SqlResult<Option<((i64, String), u64)>> {
    let last: Option<(i64, String)> = txn.first(
        "SELECT order_hash, code FROM (SELECT order_hash, code FROM redeemed_by_order \
         WHERE (order_hash, code) > (?1, ?2) ORDER BY order_hash, code LIMIT ?3) \
         ORDER BY order_hash DESC, code DESC LIMIT 1",
        params![after.0, after.1, limit as i64],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some(last) = last else { return Ok(None) };
    let sql = "DELETE FROM redeemed_by_order WHERE (order_hash, code) > (?1, ?2) \
               AND (order_hash, code) <= (?3, ?4) AND redeemed_on < ?5";
    let deleted = txn.change(sql, params![after.0, after.1, last.0, last.1, before.0])?;
    Ok(Some((last, deleted as u64)))
}
