//! Free pages of the file, given back to the disk.

use crate::txn::Txn;

/// Pages that one transaction gives back to the disk.
const SHRINK_PAGES: i64 = 100;

/// Fewest free pages that are kept for new rows: 4 MiB, some 20,000 coupons.
const FREE_PAGES_KEPT: i64 = 1_024;

/// Whether there is enough free space to give back: more than a quarter of the file.
pub(crate) fn has_room_to_give(txn: &Txn<'_>) -> rusqlite::Result<bool> {
    let number = |pragma: &str| txn.conn.pragma_query_value(None, pragma, |row| row.get(0));
    let (free, pages): (i64, i64) = (number("freelist_count")?, number("page_count")?);
    Ok(free > FREE_PAGES_KEPT && free > pages / 4)
}

/// Returns whether it did: a file that another tool has rebuilt may not be able to.
pub(crate) fn give_room_back(txn: &Txn<'_>) -> rusqlite::Result<bool> {
    let free = || txn.conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let before = free()?;
    let mut statement = txn.conn.prepare(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free()? < before)
}
