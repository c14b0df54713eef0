//! Partitions as they are emptied into cold: what is closed, archived markers, seals, and the end
//! of a partition.
//!
//! A bucket is sealed by one conditional write, which Paxos orders among all others of its
//! partition: what was accepted before it is there to be copied, and nothing is accepted after it.
//! Rows are removed by a range delete with the seal's own write time, so that no clock can make it
//! take more.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::OperationId;
use coupon::time::{Day, Millis};
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::Store;
use super::bounded_join::bounded_join;
use super::merging::{Page, Wanted, Window};
use super::outcome::Cas;
use super::partitions::PlanRow;
use super::session::{Result, StatementProfile};
use super::spread::Spread;
use super::values::{CouponRow, coupon_columns, date, instant, millis, parsed, signed};
use hot::protocol::closed_at;
use hot::{ClosedPartition, ColdMark, Emptying, HotError, ListPosition, PartitionPlan, Residue};

/// Buckets, or coupons, that are worked on at a time.
const AT_ONCE: usize = 32;

/// Partitions whose queues are looked at at a time.
const PARTITIONS_AT_ONCE: usize = 4;

/// Buckets that one call of removing empties: some 25,000 coupons in a full partition.
const BUCKETS_AT_ONCE: u64 = 4;

/// So long after it was due a queue's entry has long been written: its writer has given up by then.
const QUEUED_MS: i64 = 30_000;

/// Coupons that are read of a queue past its part: where the parts are small they are uneven.
const QUEUED_MORE: u64 = 64;

/// Coupons that are remembered to have become archived markers, at some 100 bytes each.
const GONE_MAX: usize = 1_000_000;

pub(super) const BEGUN: &str = "cold_begun";
pub(super) const COMMITTED: &str = "cold_committed";

/// Which rows a merge lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Every one.
    All,
    /// Coupons and archived markers, not what was moved.
    Residue,
    /// Archived markers alone.
    ArchivedMarkers,
}

impl Listed {
    fn lists(self, row: &CouponRow) -> bool {
        match self {
            Listed::All => true,
            Listed::Residue => row.forward_to().is_none(),
            Listed::ArchivedMarkers => row.is_archived_marker(),
        }
    }
}

/// Closed coupons that were found so far in all queues of a day, which may have thousands.
struct Counted {
    codes: AtomicU64,
    enough: u64,
}

impl Counted {
    fn is_enough(&self) -> bool {
        self.codes.load(Ordering::Relaxed) >= self.enough
    }
}

/// The buckets of a sealed partition, merged in the order of codes; what was read ahead is kept for
/// the next page.
pub(super) struct Merge {
    day: Day,
    listed: Listed,
    /// Behind which code it stands.
    after: Option<Code>,
    window: Window<CouponRow>,
}

impl Store {
    pub(super) async fn partition_plans(&self) -> Result<Vec<PartitionPlan>> {
        let plans = self.plans().await?;
        Ok(plans.iter().filter(|plan| !plan.is_emptied()).map(partition_plan).collect())
    }

    pub(super) async fn partition_plan(&self, day: Day) -> Result<Option<PartitionPlan>> {
        Ok(self.plan(StatementProfile::Read, day).await?.as_ref().map(partition_plan))
    }

    pub(super) async fn partition_archive_commits(&self) -> Result<Vec<(Day, u64)>> {
        let plans = self.plans().await?;
        let moved = plans.iter().filter(|plan| plan.archive_commit() > 0);
        Ok(moved.map(|plan| (plan.day(), plan.archive_commit())).collect())
    }

    pub(super) async fn closed_partitions(
        &self,
        now: Millis,
        enough: u64,
    ) -> Result<Vec<ClosedPartition>> {
        self.write_closed().await;
        let open: Vec<Day> =
            self.plans().await?.iter().filter(|it| !it.is_closing()).map(PlanRow::day).collect();
        let partitions = open.into_iter().map(|day| self.closed_partition(day, now, enough));
        let partitions: Vec<Option<ClosedPartition>> =
            bounded_join(PARTITIONS_AT_ONCE, partitions).await?;
        Ok(partitions.into_iter().flatten().collect())
    }

    async fn closed_partition(
        &self,
        day: Day,
        now: Millis,
        enough: u64,
    ) -> Result<Option<ClosedPartition>> {
        let (mut waiting, mut first) = (0, None::<Millis>);
        let Some(bits) = self.bits(day).await? else { return Ok(None) };
        let partitions = self.partitions(Spread::Closed { bucket_bits: bits }, day).await?;
        let all = Counted { codes: AtomicU64::new(0), enough };
        let queues =
            partitions.into_iter().map(|shard| self.closed_in(day, shard, now, enough, &all));
        for codes in bounded_join(AT_ONCE, queues).await? {
            for (_, since) in &codes {
                first = Some(first.map_or(*since, |first| first.min(*since)));
            }
            waiting = (waiting + codes.len() as u64).min(enough);
        }
        Ok(first.map(|since| ClosedPartition { day, waiting, since }))
    }

    /// Up to `limit` closed coupons of one queue, with the instant since which each is final. Reads
    /// no further once `all` queues together have enough.
    async fn closed_in(
        &self,
        day: Day,
        shard: i32,
        now: Millis,
        limit: u64,
        all: &Counted,
    ) -> Result<Vec<(Code, Millis)>> {
        if all.is_enough() {
            return Ok(Vec::new());
        }
        let cql = "SELECT done_until FROM closed WHERE expiry_day = ? AND shard = ? LIMIT 1";
        let done: Option<(Option<CqlTimestamp>,)> =
            self.cluster.row(StatementProfile::Read, cql, (date(day), shard)).await?;
        let done = done.and_then(|(done,)| done).map_or(Millis(i64::MIN / 4), millis);
        let slice = i32::try_from(limit).unwrap_or(i32::MAX).clamp(16, 500);
        let (mut found, mut after, mut is_first) = (Vec::new(), (done, String::new()), true);
        let mut known = HashSet::new();
        loop {
            let cql = "SELECT closed_at, code FROM closed WHERE expiry_day = ? AND shard = ? \
                       AND (closed_at, code) > (?, ?) AND closed_at <= ? LIMIT ?";
            let (at, code) = (instant(after.0), after.1.as_str());
            let values = (date(day), shard, at, code, instant(now), slice);
            let rows: Vec<(CqlTimestamp, String)> =
                self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
            let Some((at, code)) = rows.last() else { break };
            after = (millis(*at), code.clone());
            let looks = rows.iter().map(|(_, code)| async move {
                let code: Code = parsed("closed.code", code)?;
                if self.gone.lock().is_ok_and(|gone| gone.contains(&(day, code.clone()))) {
                    return Ok(None);
                }
                let closed = self.final_since(day, &code, now).await?;
                Ok::<_, HotError>(closed.map(|since| (code, since)))
            });
            let looks: Vec<Option<(Code, Millis)>> = bounded_join(AT_ONCE, looks).await?;
            if is_first && looks.iter().all(Option::is_none) && after.0 < now.plus_ms(-QUEUED_MS) {
                // All of it has been seen to, or was cancelled and is queued anew when it is due.
                self.queue_done(day, shard, after.0.plus_ms(-1)).await?;
            } else {
                is_first = false;
            }
            // A coupon that was cancelled and redeemed again is queued twice.
            let before = found.len();
            found.extend(looks.into_iter().flatten().filter(|one| known.insert(one.0.clone())));
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            all.codes.fetch_add((found.len() - before) as u64, Ordering::Relaxed);
            if found.len() as u64 >= limit || all.is_enough() {
                break;
            }
        }
        Ok(found)
    }

    async fn queue_done(&self, day: Day, shard: i32, until: Millis) -> Result<()> {
        let cql = "UPDATE closed SET done_until = ? WHERE expiry_day = ? AND shard = ?";
        self.cluster.write(cql, (instant(until), date(day), shard)).await
    }

    /// Since when a coupon of this partition is final; `None` when it is not, or not here.
    async fn final_since(&self, day: Day, code: &Code, now: Millis) -> Result<Option<Millis>> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
        let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
        let is_here = |row: &CouponRow| !row.is_archived_marker() && row.forward_to().is_none();
        // What is sealed goes as a whole, and an archived marker in its place would be refused.
        let Some(row) = row.filter(|row| is_here(row) && !row.is_sealed()) else {
            return Ok(None);
        };
        let located = self.located(&row, bucket).await?;
        let closed = closed_at(&located.coupon, located.terms().cancel_days);
        Ok(closed.filter(|(at, _)| *at <= now).map(|(_, since)| since))
    }

    pub(super) async fn codes_closed(
        &self,
        day: Day,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<Code>> {
        self.write_closed().await;
        let Some(bits) = self.bits(day).await? else { return Ok(Vec::new()) };
        let partitions = self.partitions(Spread::Closed { bucket_bits: bits }, day).await?;
        // Each queue its part of the limit, and a quarter more because they are not quite even:
        // what is read past it would be read again for the next archive commit.
        let part = (limit as u64).div_ceil(partitions.len().max(1) as u64);
        let each = part + part / 4 + QUEUED_MORE;
        let all = Counted { codes: AtomicU64::new(0), enough: limit as u64 };
        let queues =
            partitions.into_iter().map(|shard| self.closed_in(day, shard, now, each, &all));
        let some = bounded_join(AT_ONCE, queues).await?;
        let mut codes: Vec<Code> = some.into_iter().flatten().map(|(code, _)| code).collect();
        codes.truncate(limit);
        codes.sort_unstable();
        Ok(codes)
    }

    /// The coupons of `codes` with a row of this day that is redeemed or void; with `now` only those
    /// that are final by then.
    pub(super) async fn final_coupons(
        &self,
        day: Day,
        codes: Vec<Code>,
        now: Option<Millis>,
    ) -> Result<Vec<Coupon>> {
        let looks = codes.iter().map(|code| async move {
            let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
            let row = self.row_of(StatementProfile::Read, day, bucket, code).await?;
            let Some(row) =
                row.filter(|row| !row.is_archived_marker() && row.forward_to().is_none())
            else {
                return Ok(None);
            };
            let located = self.located(&row, bucket).await?;
            // Cancelled and redeemed once more since they were named, they can be cancelled again.
            let closed = closed_at(&located.coupon, located.terms().cancel_days);
            let closed = closed.filter(|(at, _)| now.is_none_or(|now| *at <= now));
            Ok::<_, HotError>(closed.map(|_| located.coupon))
        });
        let found: Vec<Option<Coupon>> = bounded_join(AT_ONCE, looks).await?;
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) async fn evict_all(&self, day: Day, copied: Vec<(Code, u64)>) -> Result<u64> {
        let evicted = copied.iter().map(|(code, version)| self.evict_one(day, code, *version));
        let evicted: Vec<bool> = bounded_join(AT_ONCE, evicted).await?;
        Ok(evicted.into_iter().filter(|evicted| *evicted).count() as u64)
    }

    /// Puts an archived marker in the place of a coupon: a change like any other, so that a late
    /// write meets a version that is gone.
    async fn evict_one(&self, day: Day, code: &Code, version: u64) -> Result<bool> {
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(false) };
        let operation = Uuid::now_v7();
        let mut attempts = self.attempts("a coupon's archived marker");
        let mut before = None;
        loop {
            let row =
                attempts.looked(self.row_of(StatementProfile::Read, day, bucket, code).await)?;
            let Some(row) = row else { return Ok(false) };
            if row.is_archived_marker() {
                // Ours, perhaps, of which nobody told us.
                let ours = row.operation() == Some(OperationId(operation.as_u128()));
                if let Some(before) = before.as_ref().filter(|_| ours) {
                    self.evicted(day, before).await?;
                }
                return Ok(ours);
            }
            let closed = matches!(row.state.as_deref(), Some("redeemed" | "void"));
            // The conditional write would be refused for ever; the end of the day takes the row.
            if row.version() != version || !closed || row.is_sealed() {
                return Ok(false);
            }
            let cql = "UPDATE coupon SET version = ?, state = 'archived', archived = ?, operation = ?, \
                       holder = null, hold = null, events = null WHERE expiry_day = ? \
                       AND bucket = ? AND code = ? IF version = :before AND sealed = null";
            let values = ArchivedMarkerValues {
                version: signed(version + 1),
                archived: signed(version),
                operation,
                expiry_day: date(day),
                bucket,
                code: code.as_str(),
                before: signed(version),
            };
            let lock = attempts.looked(self.write_locks.lock((day, bucket)).await)?;
            let cas = self.cluster.change(attempts.profile(), cql, values).await;
            drop(lock);
            let applied = matches!(cas, Ok(Cas::Applied));
            before = Some(row);
            let written = attempts.wrote(cas).await?;
            if written && applied {
                if let Some(row) = &before {
                    self.evicted(day, row).await?;
                }
                return Ok(true);
            }
        }
    }

    /// After a coupon has become an archived marker: it is counted as moved, and its index rows go.
    async fn evicted(&self, day: Day, row: &CouponRow) -> Result<()> {
        let code = row.code()?;
        if let Ok(mut gone) = self.gone.lock() {
            if gone.len() >= GONE_MAX {
                // It only saves reads.
                gone.clear();
            }
            gone.insert((day, code.clone()));
        }
        self.row_cache.forget(&code);
        self.counts.count_moved(&row.campaign_id()?, row.state.as_deref().unwrap_or_default());
        let expires_at = row.expires_at.map_or(Millis(0), millis);
        self.remove_index_rows(row.holder.as_deref(), expires_at, &code).await
    }

    /// Closes a day whose time is over and seals each of its buckets; `false` when it is not over.
    ///
    /// A day closes only when the partitions from which coupons were moved here are sealed and
    /// their moves finished: then nobody can be on his way any more.
    pub(super) async fn seal_partition(&self, day: Day, now: Millis) -> Result<bool> {
        // A chain of days, each later than the one before: no recursion without an end.
        let Some(plan) = self.plan(StatementProfile::Serial, day).await? else { return Ok(false) };
        if plan.is_sealed() {
            return Ok(true);
        }
        if !plan.is_closing() && plan.seal_after() >= now {
            return Ok(false);
        }
        for from in plan.entered().collect::<Vec<_>>() {
            if from < day && !Box::pin(self.seal_partition(from, now)).await? {
                return Ok(false);
            }
        }
        let mut attempts = self.attempts("the end of a day");
        loop {
            let plan = attempts.looked(self.plan(StatementProfile::Serial, day).await)?;
            let Some(plan) = plan else { return Ok(false) };
            if plan.is_closing() {
                break;
            }
            if plan.seal_after() >= now {
                return Ok(false);
            }
            // One more partition may have been entered since: it is looked at before closing, too.
            for from in plan.entered().collect::<Vec<_>>() {
                if from < day && !Box::pin(self.seal_partition(from, now)).await? {
                    return Ok(false);
                }
            }
            let cql = "UPDATE partition_plan SET closing = true WHERE expiry_day = ? IF seal_after = ? \
                       AND closing = null AND entered = ?";
            let entered: Vec<_> = plan.entered().map(date).collect();
            let entered = (!entered.is_empty()).then_some(entered);
            let values = (date(day), instant(plan.seal_after()), entered);
            attempts.wrote(self.cluster.change(attempts.profile(), cql, values).await).await?;
        }
        let buckets = 0..1_i32 << plan.bits().min(30);
        bounded_join(AT_ONCE, buckets.map(|bucket| self.seal_bucket(day, bucket))).await?;
        let mut attempts = self.attempts("the end of a day");
        while !attempts
            .looked(self.plan(StatementProfile::Read, day).await)?
            .is_some_and(|plan| plan.is_sealed())
        {
            let cql =
                "UPDATE partition_plan SET sealed = true WHERE expiry_day = ? IF closing = true";
            attempts
                .wrote(self.cluster.change(attempts.profile(), cql, (date(day),)).await)
                .await?;
        }
        Ok(true)
    }

    /// Seals one bucket, then brings what was moved away from it to where it was moved.
    async fn seal_bucket(&self, day: Day, bucket: i32) -> Result<()> {
        let mut attempts = self.attempts("a seal");
        loop {
            let _lock = attempts.looked(self.write_locks.lock((day, bucket)).await)?;
            let cql = "UPDATE coupon SET sealed = true WHERE expiry_day = ? AND bucket = ? \
                       IF sealed = null";
            let cas = self.cluster.change(attempts.profile(), cql, (date(day), bucket)).await;
            if attempts.wrote(cas).await? || attempts.looked(self.is_sealed(day, bucket).await)? {
                break;
            }
        }
        let cql = concat!(
            "SELECT ",
            coupon_columns!(),
            " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code >= ''"
        );
        let mut from = Some(scylla::response::PagingState::start());
        while let Some(state) = from {
            let (rows, next) =
                self.cluster.page::<CouponRow>(cql, (date(day), bucket), state).await?;
            for row in rows {
                if let Some(to) = row.forward_to() {
                    self.finish_move(&row, to).await?;
                }
            }
            from = next;
        }
        Ok(())
    }

    pub(super) async fn count_partition(&self, day: Day) -> Result<u64> {
        let Some(bits) = self.bits(day).await? else { return Ok(0) };
        let counts = (0..1_i32 << bits).map(|bucket| async move {
            let cql = "SELECT code, state FROM coupon WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            let rows: Vec<(String, Option<String>)> =
                self.cluster.scan(cql, (date(day), bucket)).await?;
            let moved =
                rows.iter().filter(|(_, state)| state.as_deref() == Some("forwarding")).count();
            Ok::<_, HotError>((rows.len() - moved) as u64)
        });
        let counts: Vec<u64> = bounded_join(AT_ONCE, counts).await?;
        Ok(counts.into_iter().sum())
    }

    /// What stands in a partition behind `after`, in the order of codes, and in which bucket.
    pub(super) async fn merged(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
        listed: Listed,
    ) -> Result<Vec<(i32, CouponRow)>> {
        let Some(bits) = self.bits(day).await? else { return Ok(Vec::new()) };
        let mut merges = self.merge.lock().await;
        let residue = merges
            .take()
            .filter(|merge| merge.day == day && merge.listed == listed && merge.after == after);
        let mut merge = match residue {
            Some(merge) if after.is_some() => merge,
            _ => Merge { day, listed, window: Window::new(1 << bits, after.as_ref()), after },
        };
        let mut rows = Vec::new();
        while rows.len() < limit {
            let wanted = merge.window.wanted();
            if !wanted.is_empty() {
                self.read_ahead(&mut merge, wanted).await?;
                continue;
            }
            let Some((bucket, code, row)) = merge.window.pop() else { break };
            merge.after = Some(code);
            rows.push((i32::try_from(bucket).unwrap_or(i32::MAX), row));
        }
        *merges = (!rows.is_empty()).then_some(merge);
        Ok(rows)
    }

    async fn read_ahead(&self, merge: &mut Merge, wanted: Vec<Wanted>) -> Result<()> {
        let (day, listed) = (merge.day, merge.listed);
        let reads = wanted.into_iter().map(|wanted| async move {
            let cql = concat!(
                "SELECT ",
                coupon_columns!(),
                " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ? LIMIT ?"
            );
            let after = wanted.after.as_ref().map_or("", Code::as_str);
            let bucket = i32::try_from(wanted.bucket).unwrap_or(i32::MAX);
            let limit = i32::try_from(wanted.limit).unwrap_or(i32::MAX);
            let values = (date(day), bucket, after, limit);
            let read: Vec<CouponRow> =
                self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
            let ended = read.len() < wanted.limit;
            let last = read.last().map(CouponRow::code).transpose()?;
            let listed = read.into_iter().filter(|row| listed.lists(row));
            let rows = listed.map(|row| Ok((row.code()?, row))).collect::<Result<Vec<_>>>()?;
            Ok::<_, HotError>((wanted.bucket, Page { rows, last, ended }))
        });
        for (bucket, page) in bounded_join(AT_ONCE, reads).await? {
            merge.window.fill(bucket, page);
        }
        Ok(())
    }

    pub(super) async fn residue_page(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<Residue>> {
        let rows = self.merged(day, after, limit, Listed::Residue).await?;
        let mut residue = Vec::with_capacity(rows.len());
        for (_, row) in rows {
            residue.push(match row.is_archived_marker() {
                true => Residue::ArchivedMarker { code: row.code()?, version: row.archived() },
                // The bucket is not looked at.
                false => Residue::Coupon(Box::new(self.located(&row, 0).await?.coupon)),
            });
        }
        Ok(residue)
    }

    pub(super) async fn archived_markers_page(
        &self,
        day: Day,
        after: Option<Code>,
        limit: usize,
    ) -> Result<Vec<(Code, u64)>> {
        // A partition that is not sealed changes: nothing is kept from page to page.
        *self.merge.lock().await = None;
        let rows = self.merged(day, after, limit, Listed::ArchivedMarkers).await?;
        rows.iter().map(|(_, row)| Ok((row.code()?, row.archived()))).collect()
    }

    /// Empties some buckets of a sealed partition; `None` when there is none left.
    pub(super) async fn remove_some(
        &self,
        day: Day,
        so_far: &Emptying,
    ) -> Result<Option<Emptying>> {
        let plan = self.plan(StatementProfile::Read, day).await?;
        let Some(plan) = plan.filter(|plan| plan.is_sealed()) else {
            return Err(HotError::Damaged("a partition is emptied that is not sealed".into()));
        };
        *self.merge.lock().await = None;
        let buckets = 1_u64 << plan.bits();
        let first = so_far.after.as_ref().map_or(0, |after| after.tie);
        if first >= buckets {
            return Ok(None);
        }
        let end = (first + BUCKETS_AT_ONCE).min(buckets);
        let removed = (first..end)
            .map(|bucket| self.remove_bucket(day, i32::try_from(bucket).unwrap_or(i32::MAX)));
        let removed: Vec<u64> = bounded_join(AT_ONCE, removed).await?;
        Ok(Some(Emptying {
            removed: so_far.removed + removed.into_iter().sum::<u64>(),
            after: Some(ListPosition { expires_at: day.end(), tie: end }),
            walked: false,
        }))
    }

    async fn remove_bucket(&self, day: Day, bucket: i32) -> Result<u64> {
        let cql =
            "SELECT WRITETIME(sealed) FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1";
        let time: Option<(Option<i64>,)> =
            self.cluster.row(StatementProfile::Read, cql, (date(day), bucket)).await?;
        let Some((Some(time),)) = time else {
            return Err(HotError::Damaged(format!(
                "bucket {bucket} of a sealed partition has no seal"
            )));
        };
        let start = scylla::response::PagingState::start();
        let (mut removed, mut after, mut from) = (0, String::new(), Some(start.clone()));
        while let Some(state) = from {
            let cql = concat!(
                "SELECT ",
                coupon_columns!(),
                " FROM coupon WHERE expiry_day = ? AND bucket = ? AND code > ?"
            );
            let values = (date(day), bucket, after.as_str());
            let (rows, next) = self.cluster.page::<CouponRow>(cql, values, state).await?;
            let last = rows.last().map(CouponRow::code).transpose()?;
            // Rows before their index rows: a coupon that has a row and no index row is in no list,
            // neither here nor in cold. The range and not the partition: the seal stays for ever.
            from = match (last, next) {
                // To the end of the bucket, also where there are no rows: an imported row is
                // written with a time of long ago, and one that a frozen process writes later stays
                // away.
                (_, None) => {
                    let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                               AND bucket = ? AND code > ?";
                    let values = (time, date(day), bucket, after.as_str());
                    self.cluster.write(cql, values).await?;
                    None
                }
                (Some(last), Some(_)) => {
                    let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? \
                               AND bucket = ? AND code > ? AND code <= ?";
                    let values = (time, date(day), bucket, after.as_str(), last.as_str());
                    self.cluster.write(cql, values).await?;
                    after = last.to_string();
                    Some(start.clone())
                }
                // A page of removed rows alone.
                (None, Some(next)) => Some(next),
            };
            // Nobody finds the rows again: each is seen to before an error of one is returned.
            let counted: Vec<Result<u64>> = rows.iter().map(|row| self.count_gone(row)).collect();
            let index_rows =
                rows.iter().map(|row| async move { Ok(self.remove_index_rows_of_gone(row).await) });
            let index_rows: Vec<Result<()>> = bounded_join(AT_ONCE, index_rows).await?;
            index_rows.into_iter().collect::<Result<()>>()?;
            removed += counted.into_iter().sum::<Result<u64>>()?;
        }
        Ok(removed)
    }

    /// Counts a row of a sealed day that was removed; 1 if it was a coupon or a marker of one.
    fn count_gone(&self, row: &CouponRow) -> Result<u64> {
        let is_row = row.forward_to().is_none();
        self.row_cache.forget(&row.code()?);
        if is_row && !row.is_archived_marker() {
            let state = row.state.as_deref().unwrap_or_default();
            self.counts.count_moved(&row.campaign_id()?, state);
        }
        Ok(u64::from(is_row))
    }

    /// Removes the index rows of a row of a sealed day that was removed.
    async fn remove_index_rows_of_gone(&self, row: &CouponRow) -> Result<()> {
        if row.forward_to().is_some() || row.is_archived_marker() {
            return Ok(());
        }
        let expires_at = row.expires_at.map_or(Millis(0), millis);
        self.remove_index_rows(row.holder.as_deref(), expires_at, &row.code()?).await
    }

    pub(super) async fn finish(&self, day: Day, archive_commit: u64, emptied: bool) -> Result<()> {
        if let Ok(mut gone) = self.gone.lock() {
            gone.retain(|(of, _)| *of != day || !emptied);
        }
        let mut attempts = self.attempts("an archive commit of a partition");
        loop {
            let plan = attempts.looked(self.plan(StatementProfile::Read, day).await)?;
            let Some(plan) = plan else { return Ok(()) };
            let wanted = plan.archive_commit().max(archive_commit);
            let emptied = plan.is_emptied() || emptied;
            if plan.archive_commit() == wanted && plan.is_emptied() == emptied {
                break;
            }
            let cql = "UPDATE partition_plan SET archive_commit = ?, emptied = ? WHERE expiry_day = ? \
                       IF archive_commit = :before";
            let values = ArchiveCommitValues {
                archive_commit: signed(wanted),
                emptied,
                expiry_day: date(day),
                before: (plan.archive_commit() > 0).then(|| signed(plan.archive_commit())),
            };
            attempts.wrote(self.cluster.change(attempts.profile(), cql, values).await).await?;
        }
        if emptied {
            let bits = self.bits(day).await?.unwrap_or(0);
            for shard in self.partitions(Spread::Closed { bucket_bits: bits }, day).await? {
                let cql = "DELETE FROM closed WHERE expiry_day = ? AND shard = ?";
                self.cluster.write(cql, (date(day), shard)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mark(&self) -> Result<ColdMark> {
        Ok(ColdMark {
            begun: self.setting_number(BEGUN).await?,
            committed: self.setting_number(COMMITTED).await?,
        })
    }

    pub(super) async fn raise_mark(&self, mark: ColdMark) -> Result<()> {
        for (name, new) in [(BEGUN, mark.begun), (COMMITTED, mark.committed)] {
            let Some(new) = new else { continue };
            self.change_number(name, |here| here.is_none_or(|here| here < new).then_some(new))
                .await?;
        }
        Ok(())
    }
}

pub(super) fn partition_plan(plan: &PlanRow) -> PartitionPlan {
    PartitionPlan {
        day: plan.day(),
        seal_after: plan.seal_after(),
        sealed: plan.is_sealed(),
        archive_commit: plan.archive_commit(),
        emptied: plan.is_emptied(),
    }
}

#[derive(scylla::SerializeRow)]
struct ArchivedMarkerValues<'a> {
    version: i64,
    archived: i64,
    operation: Uuid,
    expiry_day: scylla::value::CqlDate,
    bucket: i32,
    code: &'a str,
    before: i64,
}

#[derive(scylla::SerializeRow)]
struct ArchiveCommitValues {
    archive_commit: i64,
    emptied: bool,
    expiry_day: scylla::value::CqlDate,
    before: Option<i64>,
}

/// One merge at a time is kept.
pub(super) type Merges = Arc<tokio::sync::Mutex<Option<Merge>>>;
