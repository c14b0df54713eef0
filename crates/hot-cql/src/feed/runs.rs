//! Runs of the feed: what one read of index rows has settled, shared by all readers of this process.
//!
//! A row that is settled says the same for ever, and a row that is written behind the mark is nothing. So a run is the
//! answer for every reader that stands anywhere in it, whatever its limit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hot::bounded_join;
use hot::feed::{FeedEvent, Happened};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::ROWS_MAX;
use super::bounds::{PassedSlots, RunBounds, UnreadPlace};
use super::resolving::CouponLook;
use crate::CqlStore;
use crate::announcing::{FeedState, SPAN_SLOTS};
use cql_session::feed_changes::{AnnouncedChange, ChangeRow};
use cql_session::feed_cursor::{FeedPosition, ShardRow};
use cql_session::{FeedList, KeyedLock, Result};

const AT_ONCE: usize = 32;

/// Rows that a run settles if there are so many: somebody who reads one event at a time asks for them next.
const ROWS_MIN: usize = 16;

/// Events that a process remembers, some 700 bytes each.
const EVENTS_KEPT: usize = 8_192;

/// Runs that it remembers; those at the end of a quiet feed have no events.
const RUNS_KEPT: usize = 256;

/// Rows of one code, with the place of the last one.
type ChangeGroup = (ShardRow, Vec<ChangeRow>);

/// Events of one code, each with its place.
type SettledEvents = Vec<(FeedPosition, FeedEvent)>;

/// Every event between two places.
pub(super) struct SettledRun {
    epoch: String,
    began: Instant,
    from: FeedPosition,
    pub(super) to: FeedPosition,
    /// Whether rows before `to` were put aside: only a call that begins now knows of them.
    pub(super) is_cut: bool,
    /// In the order of their places.
    events: SettledEvents,
    /// Of which some did not happen.
    rows: usize,
}

impl SettledRun {
    pub(super) fn behind(&self, place: &FeedPosition) -> &[(FeedPosition, FeedEvent)] {
        let first = self.events.partition_point(|(at, _)| at <= place);
        self.events.get(first..).unwrap_or_default()
    }

    /// Moves its end behind some rows of one code, of which these have happened.
    fn add(&mut self, last: ShardRow, settled: SettledEvents) {
        for (at, event) in settled {
            // An earlier change that was put before another one comes at its own place, too.
            if self.events.last().map_or(&self.from, |(last, _)| last) < &at {
                self.events.push((at, event));
            }
        }
        self.to.after = Some(last);
    }
}

/// The last runs of this process, oldest first.
pub(crate) struct RunCache {
    runs: Mutex<VecDeque<Arc<SettledRun>>>,
    /// One reader at a time reads on from a place.
    places: KeyedLock,
}

impl RunCache {
    /// Readers at one place wait for each other for `limit` at most.
    pub(crate) fn new(limit: Duration) -> RunCache {
        RunCache { runs: Mutex::default(), places: KeyedLock::new(limit) }
    }

    fn of(&self, bounds: RunBounds<'_>, place: &FeedPosition) -> Option<Arc<SettledRun>> {
        let runs = self.runs.lock();
        let has = |run: &&Arc<SettledRun>| {
            // An earlier run may not know of a row that this reader has passed since it was put aside.
            let is_calm = bounds.aside.is_empty() && bounds.unread.is_empty();
            let knows = is_calm || run.began >= bounds.began;
            knows && run.epoch == bounds.epoch && run.from <= *place && *place < run.to
        };
        runs.iter().rev().find(has).cloned()
    }

    fn keep(&self, run: &Arc<SettledRun>) {
        let mut runs = self.runs.lock();
        runs.push_back(Arc::clone(run));
        let mut events: usize = runs.iter().map(|run| run.events.len()).sum();
        while events > EVENTS_KEPT || runs.len() > RUNS_KEPT {
            events -= runs.pop_front().map_or(0, |run| run.events.len());
        }
    }
}

impl CqlStore {
    /// The run in which a place is, or one that begins there. To be called after the mark.
    pub(super) async fn run_at(
        &self,
        feed: &FeedState,
        from: &FeedPosition,
        bounds: RunBounds<'_>,
    ) -> Result<Arc<SettledRun>> {
        let cache = &self.feed_runs;
        if let Some(run) = cache.of(bounds, from) {
            return Ok(run);
        }
        let _place = cache.places.lock(from).await?;
        // Somebody may have read it meanwhile.
        if let Some(run) = cache.of(bounds, from) {
            return Ok(run);
        }
        let run = Arc::new(self.read_run(feed, from, bounds).await?);
        cache.keep(&run);
        Ok(run)
    }

    /// Reads some more rows than are wanted, or a run of slots that has fewer.
    async fn read_run(
        &self,
        feed: &FeedState,
        from: &FeedPosition,
        bounds: RunBounds<'_>,
    ) -> Result<SettledRun> {
        let span = from.slot.div_euclid(SPAN_SLOTS);
        let spans = self.session.listed(FeedList::Runs, span, 1).await?;
        // Where no later run is listed: a writer that lists one now meets the mark.
        let begins = spans.first().map_or(i64::MAX, |span| span * SPAN_SLOTS).min(bounds.end);
        let mut run = SettledRun {
            epoch: bounds.epoch.to_owned(),
            began: bounds.began,
            is_cut: false,
            from: from.clone(),
            to: FeedPosition::at(begins).max(from.clone()),
            events: Vec::new(),
            rows: 0,
        };
        if begins >= bounds.end {
            return Ok(run);
        }
        let until = begins.saturating_add(SPAN_SLOTS).min(bounds.end);
        match self.walk_slots(feed, &mut run, until, bounds).await {
            Err(error) if run.to == run.from => Err(error),
            // What was settled before it is returned.
            Ok(()) | Err(_) => Ok(run),
        }
    }

    async fn walk_slots(
        &self,
        feed: &FeedState,
        run: &mut SettledRun,
        until: i64,
        bounds: RunBounds<'_>,
    ) -> Result<()> {
        let slots: Vec<i64> = (run.to.slot..until).collect();
        let mut looks = self.session.slots_with_changes(&slots, feed.shards, bounds.unread).await?;
        looks.retain(|(place, _)| *place >= (run.to.slot, run.to.shard));
        let failed = looks.iter().filter(|(_, error)| error.is_some());
        let failed: Vec<UnreadPlace> = failed.map(|(place, _)| *place).collect();
        for ((slot, shard), error) in looks {
            if (slot, shard) != (run.to.slot, run.to.shard) {
                run.to = FeedPosition { slot, shard, after: None };
            }
            if let Some(error) = error {
                run.is_cut = true;
                return self.put_unread(feed, &failed, bounds, error).await;
            }
            if self.walk_rows(feed, run, bounds).await? {
                return Ok(());
            }
        }
        // Only now is every row of these slots settled: an earlier cursor would lose events.
        run.to = FeedPosition::at(until);
        Ok(())
    }

    /// Settles the rows of a slot and a shard. Whether the run ends among them.
    async fn walk_rows(
        &self,
        feed: &FeedState,
        run: &mut SettledRun,
        bounds: RunBounds<'_>,
    ) -> Result<bool> {
        let want = bounds.limit.max(ROWS_MIN);
        loop {
            let limit = want.saturating_sub(run.rows).clamp(ROWS_MIN, ROWS_MAX);
            let (slot, shard, after) = (run.to.slot, run.to.shard, run.to.after.as_ref());
            let read = match self.session.changes_behind((slot, shard), after, limit).await {
                Ok(read) => read,
                Err(error) => {
                    run.is_cut = true;
                    let place = [(slot, shard)];
                    return self.put_unread(feed, &place, bounds, error).await.map(|()| true);
                }
            };
            let (rows, has_more) = read;
            run.rows += rows.len();
            let groups = by_code(rows);
            let settled = self.settled_groups((slot, shard), bounds, &groups).await?;
            let failed = groups.iter().zip(&settled).filter(|(_, settled)| settled.is_err());
            let failed: Vec<ChangeRow> = failed.flat_map(|((_, rows), _)| rows).cloned().collect();
            for ((last, _), settled) in groups.into_iter().zip(settled) {
                match settled {
                    Ok(settled) => run.add(last, settled),
                    Err(error) => {
                        if !run.is_cut {
                            self.put_aside(feed, shard, failed.clone(), error).await?;
                            run.is_cut = true;
                        }
                        run.add(last, Vec::new());
                    }
                }
            }
            if run.rows >= want || run.is_cut {
                return Ok(true);
            }
            if !has_more {
                return Ok(false);
            }
        }
    }

    /// What has happened of the rows of each code. One that cannot be judged fails no other one.
    async fn settled_groups(
        &self,
        place: (i64, i32),
        bounds: RunBounds<'_>,
        groups: &[ChangeGroup],
    ) -> Result<Vec<Result<SettledEvents>>> {
        let read = groups
            .iter()
            .map(|group| async move { Ok(self.with_asides(place, bounds, group).await) });
        let read: Vec<Result<Vec<AnnouncedChange>>> = bounded_join(AT_ONCE, read).await?;
        let looks = self.looks(&read).await?;
        let passed = &PassedSlots::of(place.1, bounds);
        let settled = read.into_iter().zip(looks).map(|(group, look)| async move {
            Ok(self.settled_group(place, bounds.epoch, group, look, passed).await)
        });
        bounded_join(AT_ONCE, settled).await
    }

    /// The rows of a code, and before them those that were put aside to behind them.
    async fn with_asides(
        &self,
        (slot, shard): (i64, i32),
        bounds: RunBounds<'_>,
        (last, rows): &ChangeGroup,
    ) -> Result<Vec<AnnouncedChange>> {
        let mut all = rows.clone();
        let is_behind = |it: &i64| *it > slot && !bounds.unread.contains(&(*it, shard));
        let behind: Vec<i64> = bounds.aside.iter().copied().filter(is_behind).collect();
        let moved = self.session.change_rows(shard, &behind, &last.code).await?.into_iter();
        all.extend(moved.filter(|row| row.version.unsigned_abs() < last.version));
        all.retain(|row| !row.is_refused());
        all.into_iter().map(ChangeRow::found).collect()
    }

    /// Those rows of one code that have happened, in their order. `look`: at its coupon, after the rows were read.
    async fn settled_group(
        &self,
        (slot, shard): (i64, i32),
        epoch: &str,
        group: Result<Vec<AnnouncedChange>>,
        look: Result<Option<CouponLook>>,
        passed: &PassedSlots,
    ) -> Result<SettledEvents> {
        let (mut coupon, mut settled) = (Vec::new(), Vec::new());
        for found in group? {
            match found {
                AnnouncedChange::Coupon(change) => coupon.push(change),
                AnnouncedChange::AuditEvent(audit_event) => {
                    if self.audit_event_happened(&audit_event).await? {
                        settled.push(AnnouncedChange::AuditEvent(audit_event));
                    }
                }
            }
        }
        let coupon = self.settled(shard, coupon, look?, passed).await?;
        settled.extend(coupon.into_iter().map(AnnouncedChange::Coupon));
        settled.sort_by_key(AnnouncedChange::place);
        let events = settled.into_iter().map(|change| {
            let at = FeedPosition { slot, shard, after: Some(change.place()) };
            Ok((at.clone(), event_at(&at, epoch, change)?))
        });
        events.collect()
    }
}

fn event_at(at: &FeedPosition, epoch: &str, change: AnnouncedChange) -> Result<FeedEvent> {
    let cursor = at.cursor(epoch);
    Ok(match change {
        AnnouncedChange::Coupon(change) => {
            let (id, actor) = (change.event_id(), change.actor.clone());
            let is_repeat = change.is_repeat || change.slot != at.slot;
            let (at, happened) = (change.at, Happened::Coupon(change.happened()?));
            FeedEvent { id, cursor, at, actor, happened, is_repeat }
        }
        AnnouncedChange::AuditEvent(it) => {
            let (id, at, actor) = (it.event_id(), it.at, it.actor);
            let happened = Happened::AuditEvent { audit_event: it.event, reason: it.reason };
            FeedEvent { id, cursor, at, actor, happened, is_repeat: false }
        }
    })
}

/// The rows of each coupon and of each campaign, in their order, with the last place.
fn by_code(rows: Vec<(ShardRow, ChangeRow)>) -> Vec<ChangeGroup> {
    let mut all: Vec<ChangeGroup> = Vec::new();
    for (place, row) in rows {
        match all.last_mut() {
            Some((last, rows)) if last.code == place.code => {
                *last = place;
                rows.push(row);
            }
            _ => all.push((place, vec![row])),
        }
    }
    all
}
