//! The directory: what a foreign or shared code names, and to which partition an extended coupon
//! has moved.

use coupon::code::Code;
use coupon::time::Day;
use router::Entry;
use rusqlite::{OptionalExtension, params};

use crate::failure::damaged;
use crate::txn::Txn;

/// What a code names: a shared code or a coupon.
pub(crate) fn entry(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Entry>> {
    txn.statement(
        "SELECT kind, campaign, batch, expiry_day FROM directory \
         WHERE code = ?1 AND kind <> 'gone'",
    )?
    .query_row([code.as_str()], |row| match (row.get_ref(0)?.as_str()?, row.get(2)?, row.get(3)?) {
        ("shared", _, _) => {
            Ok(Entry::Shared { campaign: txn.campaign_at(row.get(1)?)?.terms.id.clone() })
        }
        ("coupon", Some(batch), Some(day)) => {
            Ok(Entry::Coupon { day: Day(day), owner: txn.owner_at(batch)? })
        }
        (kind, _, _) => Err(damaged("kind", kind)),
    })
    .optional()
}

/// The partition that the directory names for a coupon's code.
pub(crate) fn partition_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Day>> {
    let day = txn
        .statement("SELECT expiry_day FROM directory WHERE code = ?1 AND kind = 'coupon'")?
        .query_row([code.as_str()], |row| row.get::<_, Option<i32>>(0))
        .optional()?;
    Ok(day.flatten().map(Day))
}

/// Makes the directory name the partition `day` for the coupon.
pub(crate) fn point_to(
    txn: &Txn<'_>,
    code: &Code,
    campaign: i64,
    batch: i64,
    day: Day,
) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO directory (code, kind, campaign, batch, expiry_day) \
         VALUES (?1, 'coupon', ?2, ?3, ?4) \
         ON CONFLICT (code) DO UPDATE SET expiry_day = excluded.expiry_day",
    )?
    .execute(params![code.as_str(), campaign, batch, day.0])?;
    Ok(())
}
