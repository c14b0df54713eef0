//! How far this store knows of the versions of the cold tier.

use std::cmp::Ordering;

use hot::ColdMark;
use hot::settings::{COLD_BEGUN, COLD_COMMITTED};

use crate::settings;
use crate::txn::Txn;

pub(crate) fn read(txn: &Txn<'_>) -> rusqlite::Result<ColdMark> {
    let (begun, committed) = (txn.setting_number(COLD_BEGUN)?, txn.setting_number(COLD_COMMITTED)?);
    Ok(ColdMark { begun, committed })
}

/// Raises what is lower here, and lowers nothing.
pub(crate) fn raise(txn: &Txn<'_>, mark: &ColdMark) -> rusqlite::Result<()> {
    let here = read(txn)?;
    for (name, here, new) in
        [(COLD_BEGUN, here.begun, mark.begun), (COLD_COMMITTED, here.committed, mark.committed)]
    {
        if let Some(new) = new.filter(|new| here.cmp(&Some(*new)) == Ordering::Less) {
            settings::set(txn, name, &new.to_string())?;
        }
    }
    Ok(())
}
