//! Partitions: the plan of a day, and the directory entries that say in which one a coupon lies.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::time::Day;
use router::BUCKET_BITS_DEFAULT;
use rusqlite::{OptionalExtension, params};

use super::coupons::Located;
use super::reconcile::SERIAL_FLOOR;
use super::txn::Txn;
use hot::protocol::seal_after;

/// A day that no longer takes coupons.
pub(super) struct Closing;

/// Before a campaign's first coupon comes to `day`: the plan exists, and the partition stays open
/// as long as the campaign's cancelling and extending need it.
pub(super) fn enter(
    txn: &Txn<'_>,
    day: Day,
    campaign: &Campaign,
) -> rusqlite::Result<Result<(), Closing>> {
    let seal_after = seal_after(day, campaign);
    txn.statement(
        "INSERT INTO partition_plan (expiry_day, bucket_bits, seal_after, closing, next_serial) \
         VALUES (?1, ?2, ?3, 0, coalesce( \
         (SELECT CAST(value AS INTEGER) FROM setting WHERE name = ?4), 0)) \
         ON CONFLICT (expiry_day) DO UPDATE SET seal_after = excluded.seal_after \
         WHERE seal_after < excluded.seal_after AND closing = 0",
    )?
    .execute(params![day.0, BUCKET_BITS_DEFAULT, seal_after.0, SERIAL_FLOOR])?;
    Ok(if is_closing(txn, day)? { Err(Closing) } else { Ok(()) })
}

/// Whether the day has begun to close: nothing may come to it any more.
pub(super) fn is_closing(txn: &Txn<'_>, day: Day) -> rusqlite::Result<bool> {
    let closing = txn
        .statement("SELECT closing FROM partition_plan WHERE expiry_day = ?1")?
        .query_row([day.0], |row| row.get(0))
        .optional()?;
    Ok(closing.unwrap_or(false))
}

pub(super) fn bucket_bits(txn: &Txn<'_>, day: Day) -> rusqlite::Result<Option<u8>> {
    txn.statement("SELECT bucket_bits FROM partition_plan WHERE expiry_day = ?1")?
        .query_row([day.0], |row| row.get(0))
        .optional()
}

/// Takes `count` serials of the day's counter; the first of them, or `None` when the day has not
/// so many left. The plan is there.
pub(super) fn take_serials(txn: &Txn<'_>, day: Day, count: u64) -> rusqlite::Result<Option<u64>> {
    let first: i64 = txn
        .statement("SELECT next_serial FROM partition_plan WHERE expiry_day = ?1")?
        .query_row([day.0], |row| row.get(0))?;
    let first = first.unsigned_abs();
    let Some(next) = first.checked_add(count).filter(|n| *n <= coupon::minted::SERIALS_PER_DAY)
    else {
        return Ok(None);
    };
    txn.statement("UPDATE partition_plan SET next_serial = ?2 WHERE expiry_day = ?1")?
        .execute(params![day.0, super::coupons::signed(next)])?;
    Ok(Some(first))
}

/// The last archive commit of a partition that was moved to cold and removed here.
pub(super) fn archive_commit(txn: &Txn<'_>, day: Day) -> rusqlite::Result<u64> {
    let archive_commit = txn
        .statement("SELECT archive_commit FROM partition_plan WHERE expiry_day = ?1")?
        .query_row([day.0], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(archive_commit.unwrap_or(0).unsigned_abs())
}

/// The version of a coupon of this partition that was moved to cold before the partition was
/// sealed.
pub(super) fn archived_marker(
    txn: &Txn<'_>,
    day: Day,
    code: &Code,
) -> rusqlite::Result<Option<u64>> {
    let version = txn
        .statement("SELECT version FROM archived_marker WHERE expiry_day = ?1 AND code = ?2")?
        .query_row(params![day.0, code.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(version.map(i64::unsigned_abs))
}

/// The partition that the directory names for a coupon's code.
pub(super) fn of_moved(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Day>> {
    let day = txn
        .statement("SELECT expiry_day FROM directory WHERE code = ?1 AND kind = 'coupon'")?
        .query_row([code.as_str()], |row| row.get::<_, Option<i32>>(0))
        .optional()?;
    Ok(day.flatten().map(Day))
}

/// The directory says from now on that the coupon lies on `day`.
pub(super) fn point_to(
    txn: &Txn<'_>,
    code: &Code,
    located: &Located,
    day: Day,
) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO directory (code, kind, campaign, batch, expiry_day) \
         VALUES (?1, 'coupon', ?2, ?3, ?4) \
         ON CONFLICT (code) DO UPDATE SET expiry_day = excluded.expiry_day",
    )?
    .execute(params![
        code.as_str(),
        located.here.campaign.number,
        located.here.batch,
        day.0
    ])?;
    Ok(())
}
