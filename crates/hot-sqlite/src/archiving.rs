//! Partitions as they are emptied into cold: what is closed, archived markers, seals, and room
//! given back.

use std::cmp::Ordering;

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::time::{Day, Millis};
use rusqlite::{OptionalExtension, Row, params};

use super::accounts;
use super::coupons::{checked, row_of, signed};
use super::rows;
use super::txn::Txn;
use hot::protocol::closed_at;
use hot::{
    CLOSED_BOUND_MS, ClosedPartition, ColdMark, Emptying, ListPosition, PartitionPlan, Residue,
};

/// Coupons that one transaction turns into archived markers: some 5 ms, so that nobody waits for
/// it.
pub(super) const EVICT_MAX: usize = 200;

/// Rows that one transaction looks at and removes, ...
pub(super) const REMOVE_MAX: i64 = 400;

/// ... and where others write too: some 2 ms.
pub(super) const REMOVE_BESIDE_OTHERS_MAX: i64 = 100;

/// Archived markers that one transaction removes; they stand in one tree alone.
const REMOVE_ARCHIVED_MARKERS_MAX: i64 = 2_000;

/// Pages that one transaction gives back to the disk.
const SHRINK_PAGES: i64 = 100;

/// Free pages that are kept for what is to come, at the least: 16 MiB.
const FREE_PAGES_KEPT: i64 = 4_096;

pub(super) const BEGUN: &str = "cold_begun";
pub(super) const COMMITTED: &str = "cold_committed";

macro_rules! plan_columns {
    () => {
        "expiry_day, seal_after, sealed, archive_commit, emptied"
    };
}

/// From [`plan_columns`].
pub(super) fn plan(row: &Row<'_>) -> rusqlite::Result<PartitionPlan> {
    Ok(PartitionPlan {
        day: Day(row.get(0)?),
        seal_after: Millis(row.get(1)?),
        sealed: row.get(2)?,
        archive_commit: row.get::<_, i64>(3)?.unsigned_abs(),
        emptied: row.get(4)?,
    })
}

pub(super) fn plans(txn: &Txn<'_>) -> rusqlite::Result<Vec<PartitionPlan>> {
    let sql = concat!(
        "SELECT ",
        plan_columns!(),
        " FROM partition_plan WHERE emptied = 0 ORDER BY expiry_day"
    );
    txn.statement(sql)?.query_map([], plan)?.collect()
}

pub(super) fn plan_of(txn: &Txn<'_>, day: Day) -> rusqlite::Result<Option<PartitionPlan>> {
    let sql = concat!("SELECT ", plan_columns!(), " FROM partition_plan WHERE expiry_day = ?1");
    txn.statement(sql)?.query_row([day.0], plan).optional()
}

pub(super) fn archive_commits(txn: &Txn<'_>) -> rusqlite::Result<Vec<(Day, u64)>> {
    let mut statement = txn.statement(
        "SELECT expiry_day, archive_commit FROM partition_plan WHERE archive_commit > 0",
    )?;
    let archive_commits = statement
        .query_map([], |row| Ok((Day(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs())))?;
    archive_commits.collect()
}

/// The closed coupons of one campaign in one partition: those without a redemption, then those
/// whose redemption is old enough. Two ranges of one index.
struct ClosedRange {
    day: Day,
    campaign: i64,
    /// Redeemed then or before.
    until: Millis,
    /// How long after its redemption a coupon is closed.
    cancel_ms: i64,
}

/// The ranges behind the partition and the campaign given, in order.
fn next_range(
    txn: &Txn<'_>,
    after: (Day, i64),
    now: Millis,
) -> rusqlite::Result<Option<ClosedRange>> {
    let found = txn
        .statement(
            "SELECT expiry_day, campaign FROM coupon INDEXED BY coupon_closed \
             WHERE state IN ('redeemed', 'void') AND (expiry_day, campaign) > (?1, ?2) \
             ORDER BY expiry_day, campaign LIMIT 1",
        )?
        .query_row(params![after.0.0, after.1], |row| Ok((Day(row.get(0)?), row.get(1)?)))
        .optional()?;
    let Some((day, campaign)) = found else { return Ok(None) };
    let cancel_days = txn.campaign_at(campaign)?.terms.cancel_days;
    let cancel_ms = Millis(0).plus_days(cancel_days).0;
    // Where nothing can be cancelled no clock can admit it.
    let bound = if cancel_ms > 0 { CLOSED_BOUND_MS } else { 0 };
    let until = now.plus_ms(-cancel_ms - bound);
    Ok(Some(ClosedRange { day, campaign, until, cancel_ms }))
}

impl ClosedRange {
    fn count(&self, txn: &Txn<'_>, enough: u64) -> rusqlite::Result<u64> {
        let counted: i64 = txn
            .statement(
                "SELECT count(*) FROM (SELECT 1 FROM coupon INDEXED BY coupon_closed \
                 WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
                 AND redeemed_at IS NULL UNION ALL \
                 SELECT 1 FROM coupon INDEXED BY coupon_closed \
                 WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
                 AND redeemed_at <= ?3 LIMIT ?4)",
            )?
            .query_row(params![self.day.0, self.campaign, self.until.0, signed(enough)], |row| {
                row.get(0)
            })?;
        Ok(counted.unsigned_abs())
    }

    /// Since when the first of them has been closed. Nulls, the void ones, come first.
    fn since(&self, txn: &Txn<'_>) -> rusqlite::Result<Option<Millis>> {
        let first = |sql: &str| -> rusqlite::Result<Option<i64>> {
            let mut statement = txn.statement(sql)?;
            statement.query_row(params![self.day.0, self.campaign], |row| row.get(0)).optional()
        };
        let void = first(
            "SELECT modified_at FROM coupon INDEXED BY coupon_closed \
             WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
             AND redeemed_at IS NULL ORDER BY modified_at LIMIT 1",
        )?;
        let redeemed = first(
            "SELECT redeemed_at FROM coupon INDEXED BY coupon_closed \
             WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
             AND redeemed_at IS NOT NULL ORDER BY redeemed_at LIMIT 1",
        )?;
        let redeemed = redeemed.filter(|at| *at <= self.until.0).map(|at| at + self.cancel_ms);
        Ok(void.into_iter().chain(redeemed).min().map(Millis))
    }

    fn codes(&self, txn: &Txn<'_>, codes: &mut Vec<Code>, limit: usize) -> rusqlite::Result<()> {
        let left = limit.saturating_sub(codes.len());
        let mut statement = txn.statement(
            "SELECT code FROM coupon INDEXED BY coupon_closed \
             WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
             AND redeemed_at IS NULL UNION ALL \
             SELECT code FROM coupon INDEXED BY coupon_closed \
             WHERE state IN ('redeemed', 'void') AND expiry_day = ?1 AND campaign = ?2 \
             AND redeemed_at <= ?3 LIMIT ?4",
        )?;
        let asked = params![self.day.0, self.campaign, self.until.0, left as i64];
        for code in statement.query_map(asked, |row| rows::parsed::<Code>(row, 0))? {
            codes.push(code?);
        }
        Ok(())
    }
}

pub(super) fn closed(
    txn: &Txn<'_>,
    now: Millis,
    enough: u64,
) -> rusqlite::Result<Vec<ClosedPartition>> {
    let mut partitions: Vec<ClosedPartition> = Vec::new();
    let mut after = (Day(i32::MIN), i64::MIN);
    while let Some(range) = next_range(txn, after, now)? {
        after = (range.day, range.campaign);
        if txn.is_sealed(range.day)? {
            continue;
        }
        let Some(since) = range.since(txn)? else { continue };
        match partitions.last_mut().filter(|partition| partition.day == range.day) {
            Some(partition) => {
                partition.since = partition.since.min(since);
                if partition.waiting < enough {
                    partition.waiting += range.count(txn, enough - partition.waiting)?;
                }
            }
            None => {
                let waiting = range.count(txn, enough)?;
                partitions.push(ClosedPartition { day: range.day, waiting, since });
            }
        }
    }
    Ok(partitions)
}

pub(super) fn count(txn: &Txn<'_>, day: Day) -> rusqlite::Result<u64> {
    let count = |sql: &str| -> rusqlite::Result<i64> {
        txn.statement(sql)?.query_row([day.0], |row| row.get(0))
    };
    let rows =
        count("SELECT count(*) FROM coupon INDEXED BY coupon_by_code WHERE expiry_day = ?1")?;
    Ok((rows + count("SELECT count(*) FROM archived_marker WHERE expiry_day = ?1")?).unsigned_abs())
}

pub(super) fn closed_codes(
    txn: &Txn<'_>,
    day: Day,
    now: Millis,
    limit: usize,
) -> rusqlite::Result<Vec<Code>> {
    let (mut codes, mut after) = (Vec::new(), (day, i64::MIN));
    while let Some(range) = next_range(txn, after, now)?.filter(|range| range.day == day) {
        after = (range.day, range.campaign);
        range.codes(txn, &mut codes, limit)?;
    }
    codes.sort_unstable();
    Ok(codes)
}

/// The coupons of `codes` with a row of this day that is redeemed or void; with `now` only those
/// that are closed by then.
pub(super) fn coupons_of(
    txn: &Txn<'_>,
    day: Day,
    codes: &[Code],
    now: Option<Millis>,
) -> rusqlite::Result<Vec<Coupon>> {
    let mut coupons = Vec::with_capacity(codes.len());
    for code in codes {
        let Some(located) = row_of(txn, day, code)? else { continue };
        // Cancelled and redeemed once more since they were named, they can be cancelled again. What
        // is void stays so, whatever the clock said.
        let closed = closed_at(&located.coupon, located.terms().cancel_days);
        let is_closed = closed.is_some_and(|(at, _)| {
            matches!(located.coupon.state(), State::Void { .. }) || now.is_none_or(|now| at <= now)
        });
        if is_closed {
            coupons.push(located.coupon);
        }
    }
    Ok(coupons)
}

pub(super) fn evict(txn: &Txn<'_>, day: Day, copied: &[(Code, u64)]) -> rusqlite::Result<u64> {
    let mut evicted = 0;
    if txn.is_sealed(day)? {
        // The end of the day takes them.
        return Ok(evicted);
    }
    for (code, version) in copied {
        let removed = txn
            .statement(
                "DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2 AND version = ?3 \
                 AND state IN ('redeemed', 'void') RETURNING campaign, state",
            )?
            .query_row(params![day.0, code.as_str(), signed(*version)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let Some((campaign, state)) = removed else { continue };
        txn.statement(
            "INSERT INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![day.0, code.as_str(), signed(*version)])?;
        txn.count_moved(campaign, &state);
        evicted += 1;
    }
    Ok(evicted)
}

pub(super) fn seal(txn: &Txn<'_>, day: Day, now: Millis) -> rusqlite::Result<bool> {
    txn.statement(
        "UPDATE partition_plan SET closing = 1, sealed = 1 \
         WHERE expiry_day = ?1 AND seal_after < ?2 AND sealed = 0",
    )?
    .execute(params![day.0, now.0])?;
    txn.forget_terms();
    txn.is_sealed(day)
}

pub(super) fn residue(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<Residue>> {
    let mut pointers = pointers_behind(txn, day, after, limit)?;
    let mut archived_markers = archived_markers(txn, day, after, limit)?;
    if pointers.len() + archived_markers.len() > limit {
        // Of both together no more than `limit`, so that nothing is left out in between.
        let of_pointers = pointers.iter().map(|pointer| &pointer.code);
        let mut codes: Vec<&Code> =
            of_pointers.chain(archived_markers.iter().map(|(code, _)| code)).collect();
        codes.sort_unstable();
        let last = codes[limit - 1].clone();
        pointers.retain(|pointer| pointer.code <= last);
        archived_markers.retain(|(code, _)| *code <= last);
    }
    let rows = in_the_order_they_lie(txn, pointers)?;
    let archived_markers = archived_markers
        .into_iter()
        .map(|(code, version)| Residue::ArchivedMarker { code, version });
    if archived_markers.len() == 0 {
        return Ok(rows);
    }
    let mut residue: Vec<Residue> = rows.into_iter().chain(archived_markers).collect();
    residue.sort_by(|one, other| one.code().cmp(other.code()));
    Ok(residue)
}

/// Where a row lies.
struct RowPointer {
    code: Code,
    number: i64,
}

/// The coupons of these rows, in the same order. They are read in the order in which they lie and
/// not in that of their codes, which is as good as random: a page of the table is read once for all
/// of its rows.
fn in_the_order_they_lie(
    txn: &Txn<'_>,
    pointers: Vec<RowPointer>,
) -> rusqlite::Result<Vec<Residue>> {
    let mut order: Vec<usize> = (0..pointers.len()).collect();
    order.sort_unstable_by_key(|at| pointers[*at].number);
    let sql = concat!("SELECT ", rows::coupon_columns!(), " FROM coupon WHERE number = ?1");
    let mut statement = txn.statement(sql)?;
    let mut found: Vec<Option<Residue>> = pointers.iter().map(|_| None).collect();
    for at in order {
        let mut rows = statement.query([pointers[at].number])?;
        // What cannot be true does not become final.
        let located = rows.next()?.map(|row| checked(txn, row)).transpose()?;
        found[at] = located.map(|located| Residue::Coupon(Box::new(located.coupon)));
    }
    Ok(found.into_iter().flatten().collect())
}

fn pointers_behind(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<RowPointer>> {
    let mut statement = txn.statement(
        "SELECT code, number FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    let asked = params![day.0, after.map_or("", Code::as_str), limit as i64];
    let pointers = statement.query_map(asked, |row| {
        Ok(RowPointer { code: rows::parsed(row, 0)?, number: row.get(1)? })
    })?;
    pointers.collect()
}

pub(super) fn archived_markers(
    txn: &Txn<'_>,
    day: Day,
    after: Option<&Code>,
    limit: usize,
) -> rusqlite::Result<Vec<(Code, u64)>> {
    let mut statement = txn.statement(
        "SELECT code, version FROM archived_marker WHERE expiry_day = ?1 AND code > ?2 ORDER BY code LIMIT ?3",
    )?;
    let asked = params![day.0, after.map_or("", Code::as_str), limit as i64];
    let archived_markers = statement.query_map(asked, |row| {
        Ok((rows::parsed(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    archived_markers.collect()
}

/// One archive commit of removing, of so many rows; `None` when there is nothing left.
///
/// First in the order of the expiry, which is the order in which rows and most index entries lie:
/// in any other, each row would touch five pages of its own. Then what expires on another day than
/// that of its partition, then the archived markers.
pub(super) fn remove(
    txn: &Txn<'_>,
    day: Day,
    so_far: &Emptying,
    rows: i64,
) -> rusqlite::Result<Option<Emptying>> {
    if !txn.is_sealed(day)? {
        return Err(super::failure::damaged("sealed", "a partition is emptied that is not sealed"));
    }
    if !so_far.walked {
        return remove_by_expiry(txn, day, so_far, rows).map(Some);
    }
    let mut statement = txn.statement(
        "SELECT number, campaign, state FROM coupon INDEXED BY coupon_by_code \
         WHERE expiry_day = ?1 LIMIT ?2",
    )?;
    let left = statement.query_map(params![day.0, rows], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
    })?;
    let left = left.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut removed = left.len() as u64;
    for (number, campaign, state) in left {
        remove_row(txn, number, campaign, &state)?;
    }
    if removed == 0 {
        removed = txn
            .statement(
                "DELETE FROM archived_marker WHERE expiry_day = ?1 AND code IN \
                 (SELECT code FROM archived_marker WHERE expiry_day = ?1 LIMIT ?2)",
            )?
            .execute(params![day.0, REMOVE_ARCHIVED_MARKERS_MAX])? as u64;
    }
    Ok((removed > 0).then(|| Emptying { removed: so_far.removed + removed, ..so_far.clone() }))
}

fn remove_by_expiry(
    txn: &Txn<'_>,
    day: Day,
    so_far: &Emptying,
    rows: i64,
) -> rusqlite::Result<Emptying> {
    let from = so_far.after.clone().unwrap_or(ListPosition {
        // Expiries are exclusive: midnight belongs to the day before.
        expires_at: Day(day.0 - 1).end(),
        tie: u64::MAX >> 1,
    });
    let mut statement = txn.statement(
        "SELECT number, campaign, state, expiry_day, expires_at FROM coupon \
         INDEXED BY coupon_by_expiry \
         WHERE (expires_at, number) > (?1, ?2) AND expires_at <= ?3 \
         ORDER BY expires_at, number LIMIT ?4",
    )?;
    let asked = params![from.expires_at.0, signed(from.tie), day.end().0, rows];
    let found = statement.query_map(asked, |row| {
        let at = ListPosition {
            expires_at: Millis(row.get(4)?),
            tie: row.get::<_, i64>(0)?.unsigned_abs(),
        };
        Ok((at, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, Day(row.get(3)?)))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut after = so_far.clone();
    after.walked = found.is_empty();
    for (at, campaign, state, partition) in found {
        if partition == day {
            remove_row(txn, signed(at.tie), campaign, &state)?;
            after.removed += 1;
        }
        after.after = Some(at);
    }
    Ok(after)
}

fn remove_row(txn: &Txn<'_>, number: i64, campaign: i64, state: &str) -> rusqlite::Result<()> {
    txn.statement("DELETE FROM coupon WHERE number = ?1")?.execute([number])?;
    txn.count_moved(campaign, state);
    Ok(())
}

pub(super) fn finish(
    txn: &Txn<'_>,
    day: Day,
    archive_commit: u64,
    emptied: bool,
) -> rusqlite::Result<()> {
    txn.statement(
        "UPDATE partition_plan SET archive_commit = max(archive_commit, ?2), emptied = max(emptied, ?3) WHERE expiry_day = ?1",
    )?
    .execute(params![day.0, signed(archive_commit), emptied])?;
    Ok(())
}

/// Whether there is so much free space that it is worth giving back: a quarter of the file.
pub(super) fn has_room_to_give(txn: &Txn<'_>) -> rusqlite::Result<bool> {
    let number = |pragma: &str| txn.conn.pragma_query_value(None, pragma, |row| row.get(0));
    let (free, pages): (i64, i64) = (number("freelist_count")?, number("page_count")?);
    Ok(free > FREE_PAGES_KEPT && free > pages / 4)
}

/// Whether any was given: a file that was rebuilt by other means may not be able to.
pub(super) fn give_room_back(txn: &Txn<'_>) -> rusqlite::Result<bool> {
    let free = || txn.conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let before = free()?;
    let mut statement = txn.conn.prepare(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free()? < before)
}

pub(super) fn cold_mark(txn: &Txn<'_>) -> rusqlite::Result<ColdMark> {
    let version = |name: &str| -> rusqlite::Result<Option<u64>> {
        let text = accounts::setting(txn, name)?;
        text.map(|text| text.parse().map_err(|why| super::failure::damaged(name, why))).transpose()
    };
    Ok(ColdMark { begun: version(BEGUN)?, committed: version(COMMITTED)? })
}

pub(super) fn raise_cold_mark(txn: &Txn<'_>, mark: &ColdMark) -> rusqlite::Result<()> {
    let here = cold_mark(txn)?;
    for (name, here, new) in
        [(BEGUN, here.begun, mark.begun), (COMMITTED, here.committed, mark.committed)]
    {
        if let Some(new) = new.filter(|new| here.cmp(&Some(*new)) == Ordering::Less) {
            accounts::set(txn, name, &new.to_string())?;
        }
    }
    Ok(())
}
