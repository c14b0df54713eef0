//! Partitions: the plan of an expiry day, its counter of serials, and archived markers.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::time::{Day, Millis};
use hot::PartitionPlan;
use hot::protocol::seal_after;
use hot::settings::SERIAL_FLOOR;
use router::BUCKET_BITS_DEFAULT;
use rusqlite::{Result as SqlResult, Row, params};

use crate::columns::{signed, unsigned};
use crate::txn::Txn;

/// From the columns expiry_day, seal_after, sealed, archive_commit and emptied.
pub(crate) fn plan(row: &Row<'_>) -> SqlResult<PartitionPlan> {
    Ok(PartitionPlan {
        day: Day(row.get(0)?),
        seal_after: Millis(row.get(1)?),
        sealed: row.get(2)?,
        archive_commit: unsigned(row, 3)?,
        emptied: row.get(4)?,
    })
}

pub(crate) struct PartitionClosing;

/// To be called before a campaign's first coupon comes to `day`. Makes the plan, and keeps the
/// partition open as long as the campaign cancels and extends.
pub(crate) fn enter(
    txn: &Txn<'_>,
    day: Day,
    campaign: &Campaign,
) -> SqlResult<Result<(), PartitionClosing>> {
    let seal_after = seal_after(day, campaign);
    txn.run(
        "INSERT INTO partition_plan (expiry_day, bucket_bits, seal_after, closing, next_serial) \
         VALUES (?1, ?2, ?3, 0, coalesce( \
         (SELECT CAST(value AS INTEGER) FROM setting WHERE name = ?4), 0)) \
         ON CONFLICT (expiry_day) DO UPDATE SET seal_after = excluded.seal_after \
         WHERE seal_after < excluded.seal_after AND closing = 0",
        params![day.0, BUCKET_BITS_DEFAULT, seal_after.0, SERIAL_FLOOR],
    )?;
    Ok(if is_closing(txn, day)? { Err(PartitionClosing) } else { Ok(()) })
}

/// Whether the day has begun to close: no coupon may come to it any more.
pub(crate) fn is_closing(txn: &Txn<'_>, day: Day) -> SqlResult<bool> {
    let sql = "SELECT closing FROM partition_plan WHERE expiry_day = ?1";
    Ok(txn.first(sql, [day.0], |row| row.get(0))?.unwrap_or(false))
}

/// The version in which a coupon of this partition was archived before the partition was sealed.
pub(crate) fn archived_marker(txn: &Txn<'_>, day: Day, code: &Code) -> SqlResult<Option<u64>> {
    let sql = "SELECT version FROM archived_marker WHERE expiry_day = ?1 AND code = ?2";
    txn.first(sql, params![day.0, code.as_str()], |row| unsigned(row, 0))
}

pub(crate) fn mark_archived(txn: &Txn<'_>, day: Day, code: &Code, version: u64) -> SqlResult<()> {
    txn.run(
        "INSERT INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
        params![day.0, code.as_str(), signed(version)],
    )
}
