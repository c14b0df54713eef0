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
        // The bytes of the pages that hold something. The file itself keeps the pages that the compactor
        // has emptied.
        let used_bytes = |txn: &Txn<'_>| {
            let used = txn.pragma("page_count")?.saturating_sub(txn.pragma("freelist_count")?);
            Ok(used.saturating_mul(txn.pragma("page_size")?))
        };
        let used = self.readers.point(used_bytes).await?;
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
