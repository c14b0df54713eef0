//! Residue: what of a partition is still in hot, as rows and as archived markers.

use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::Residue;

use crate::coupons::row_at;
use crate::day_order::{Found, OfCode, count_imported};
use crate::failure::damaged;
use crate::rows::is_minted;
use crate::txn::Txn;

pub(super) fn count(txn: &Txn<'_>, day: Day) -> rusqlite::Result<u64> {
    let count = |sql: &str| txn.one(sql, [day.0]).map(i64::unsigned_abs);
    let minted = count(concat!(
        "SELECT count(*) FROM coupon INDEXED BY coupon_by_code WHERE ",
        is_minted!(),
        " AND expiry_day = ?1"
    ))?;
    let archived = count("SELECT count(*) FROM archived_marker WHERE expiry_day = ?1")?;
    Ok(minted + count_imported(txn, day)? + archived)
}

/// Reads rows in the order of the table, where codes are random, so that it reads each page once.
pub(super) fn residue(txn: &Txn<'_>, day: Day, page: &[OfCode]) -> rusqlite::Result<Vec<Residue>> {
    let mut all: Vec<Option<Residue>> = page.iter().map(|_| None).collect();
    let mut order: Vec<(i64, usize)> = Vec::new();
    for (at, (code, found)) in page.iter().enumerate() {
        match *found {
            Found::Row(number) | Found::Collected(number) => order.push((number, at)),
            Found::ArchivedMarker(version) => {
                let code = code.parse().map_err(|why| damaged("code", why))?;
                all[at] = Some(Residue::ArchivedMarker { code, version });
            }
        }
    }
    order.sort_unstable();
    for (number, at) in order {
        // A damaged row must not become final.
        let located = row_at(txn, number)?.filter(|it| it.day == day);
        let is_same = |coupon: &Coupon| coupon.code().as_str() == page[at].0;
        let coupon = located.map(|located| located.coupon).filter(is_same);
        all[at] = coupon.map(|coupon| Residue::Coupon(Box::new(coupon)));
    }
    Ok(all.into_iter().flatten().collect())
}
