//! Eviction: an archived marker replaces the row of a closed coupon of an open partition.

use coupon::code::Code;
use coupon::time::Day;
use rusqlite::params;

use crate::columns::signed;
use crate::coupons::writing;
use crate::partitions;
use crate::rows::number_of;
use crate::txn::Txn;

/// Coupons that one transaction evicts: some 5 ms, so that other writers do not wait long.
pub(crate) const EVICT_MAX: usize = 200;

/// Evicts the coupons that still have the version that was copied. Returns how many.
pub(crate) fn evict(txn: &Txn<'_>, day: Day, copied: &[(Code, u64)]) -> rusqlite::Result<u64> {
    let mut evicted = 0;
    if txn.is_sealed(day)? {
        // The removal of the whole partition takes them.
        return Ok(evicted);
    }
    for (code, version) in copied {
        let which = concat!("number = ", number_of!(), " AND version = ?3 AND state >= 2");
        let asked = params![day.0, code.as_str(), signed(*version)];
        let removed = writing::delete_where(txn, which, asked)?;
        let Some(&(number, state)) = removed.first() else { continue };
        partitions::mark_archived(txn, day, code, *version)?;
        txn.count_archived(number, state)?;
        evicted += 1;
    }
    Ok(evicted)
}
