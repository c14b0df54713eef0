//! Whether the store may grow: a limit that an operator sets for a store that shares its disk with others.
//!
//! It holds for what makes a store larger without end: campaigns, imports, issues and accounts. Whoever has a coupon
//! can still use it, and the compactor can still make room.

use hot::HotError;

use crate::txn::Txn;
use crate::{Result, SqliteHot};

impl SqliteHot {
    /// `Full` if the store has reached its limit.
    pub(crate) async fn must_have_room(&self) -> Result<()> {
        let Some(max) = self.options.store_max_bytes else { return Ok(()) };
        let used = self.readers.apart(used_bytes).await?;
        if used < max {
            return Ok(());
        }
        Err(HotError::Full(format!(
            "the store has {} MiB, and store_max_mib allows {}",
            used >> 20,
            max >> 20
        )))
    }
}

/// The bytes of the pages that hold something. The file itself keeps the pages that the compactor has emptied.
fn used_bytes(txn: &Txn<'_>) -> rusqlite::Result<u64> {
    let number = |name: &str| -> rusqlite::Result<u64> {
        let found: i64 = txn.conn.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(found.unsigned_abs())
    };
    let used = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(used.saturating_mul(number("page_size")?))
}
