//! Rows of the table `setting`: the only place that writes them. [`Txn::setting`] reads them.

use rusqlite::params;

use crate::txn::Txn;

/// A commit that only shows whether commits succeed writes this. Nobody reads its value.
pub(crate) const PROBED: &str = "probed";

pub(crate) fn set(txn: &Txn<'_>, name: &str, value: &str) -> rusqlite::Result<()> {
    txn.run(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )
}

/// Sets a setting if it still reads `seen`, and returns whether it did. `None` is no setting.
pub(crate) fn replace(
    txn: &Txn<'_>,
    name: &str,
    seen: Option<&str>,
    next: Option<&str>,
) -> rusqlite::Result<bool> {
    if txn.setting(name)?.as_deref() != seen {
        return Ok(false);
    }
    match next {
        Some(next) => set(txn, name, next)?,
        None => txn.run("DELETE FROM setting WHERE name = ?1", [name])?,
    }
    Ok(true)
}
