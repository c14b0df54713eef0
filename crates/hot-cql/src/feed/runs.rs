//! Runs of the feed: what one read of index rows has settled, shared by all readers of this process.
//!
//! A row that is settled says the same for ever, and a row that is written behind the mark is nothing. So a run is the
//! answer for every reader that stands anywhere in it, whatever its limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hot::bounded_join;
use hot::feed::{FeedEvent, Happened};

use super::changes::AnnouncedChange;
use super::resolving::SeenCoupon;
use crate::CqlStore;
use crate::announcing::{FeedState, SPAN_SLOTS};
use cql_session::feed_cursor::{FeedPosition, ShardRow};
use cql_session::{KeyedLock, Result};

const AT_ONCE: usize = 32;

/// Rows that a run settles if there are so many: somebody who reads one event at a time asks for them next.
const ROWS_MIN: usize = 16;

/// Rows that one statement reads.
const ROWS_MAX: usize = 500;

/// Events that a process remembers, some 700 bytes each.
const EVENTS_KEPT: usize = 8_192;

/// Runs that it remembers; those at the end of a quiet feed have no events.
const RUNS_KEPT: usize = 256;

/// What a run is read for.
#[derive(Clone, Copy)]
pub(super) struct RunBounds<'a> {
    pub(super) epoch: &'a str,
    /// The first slot that is not over.
    pub(super) end: i64,
    /// Events that are wanted.
    pub(super) limit: usize,
}

/// Every event between two places.
pub(super) struct SettledRun {
    epoch: String,
    from: FeedPosition,
    pub(super) to: FeedPosition,
    /// In the order of their places.
    events: Vec<(FeedPosition, FeedEvent)>,
    /// Of which some did not happen.
    rows: usize,
}

impl SettledRun {
    /// Its events behind a place.
    pub(super) fn behind(&self, place: &FeedPosition) -> &[(FeedPosition, FeedEvent)] {
        let first = self.events.partition_point(|(at, _)| at <= place);
        self.events.get(first..).unwrap_or_default()
    }

    /// Moves its end behind the last of some rows of one code, of which these have happened.
    fn add(&mut self, last: ShardRow, settled: Vec<AnnouncedChange>) -> Result<()> {
        let (slot, shard) = (self.to.slot, self.to.shard);
        let behind = |row| FeedPosition { slot, shard, after: Some(row) };
        let mut events = Vec::new();
        for change in settled {
            let at = behind(change.place());
            // An earlier change that was put before another one comes at its own place, too.
            if self.events.last().map_or(&self.from, |(last, _)| last) < &at {
                let event = event_at(&at, &self.epoch, change)?;
                events.push((at, event));
            }
        }
        self.events.extend(events);
        self.to = behind(last);
        Ok(())
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

    fn of(&self, epoch: &str, place: &FeedPosition) -> Option<Arc<SettledRun>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let has =
            |run: &&Arc<SettledRun>| run.epoch == epoch && run.from <= *place && *place < run.to;
        runs.iter().rev().find(has).cloned()
    }

    fn keep(&self, run: &Arc<SettledRun>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
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
        if let Some(run) = cache.of(bounds.epoch, from) {
            return Ok(run);
        }
        let _place = cache.places.lock(from).await?;
        // Somebody may have read it meanwhile.
        if let Some(run) = cache.of(bounds.epoch, from) {
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
        let spans = self.spans_from(from.slot.div_euclid(SPAN_SLOTS), 1).await?;
        // Where no later run is listed: a writer that lists one now meets the mark.
        let begins = spans.first().map_or(i64::MAX, |span| span * SPAN_SLOTS).min(bounds.end);
        let mut run = SettledRun {
            epoch: bounds.epoch.to_owned(),
            from: from.clone(),
            to: FeedPosition::at(begins).max(from.clone()),
            events: Vec::new(),
            rows: 0,
        };
        if begins >= bounds.end {
            return Ok(run);
        }
        let until = begins.saturating_add(SPAN_SLOTS).min(bounds.end);
        match self.walk_slots(feed, &mut run, until, bounds.limit.max(ROWS_MIN)).await {
            Err(error) if run.to == run.from => Err(error),
            // What was settled before it is told.
            Ok(()) | Err(_) => Ok(run),
        }
    }

    async fn walk_slots(
        &self,
        feed: &FeedState,
        run: &mut SettledRun,
        until: i64,
        want: usize,
    ) -> Result<()> {
        let slots: Vec<i64> = (run.to.slot..until).collect();
        for (slot, shard) in self.slots_with_changes(&slots, feed.shards).await? {
            if (slot, shard) < (run.to.slot, run.to.shard) {
                continue;
            }
            if (slot, shard) != (run.to.slot, run.to.shard) {
                run.to = FeedPosition { slot, shard, after: None };
            }
            self.walk_rows(run, want).await?;
            if run.rows >= want {
                return Ok(());
            }
        }
        // Only now is every row of these slots settled: an earlier cursor would lose events.
        run.to = FeedPosition::at(until);
        Ok(())
    }

    async fn walk_rows(&self, run: &mut SettledRun, want: usize) -> Result<()> {
        let (slot, shard) = (run.to.slot, run.to.shard);
        loop {
            let limit = want.saturating_sub(run.rows).clamp(ROWS_MIN, ROWS_MAX);
            let after = run.to.after.clone();
            let (rows, has_more) =
                self.changes_behind((slot, shard), after.as_ref(), limit).await?;
            run.rows += rows.len();
            let groups = by_code(rows);
            let ends: Vec<_> = groups
                .iter()
                .filter_map(|group| group.last())
                .map(AnnouncedChange::place)
                .collect();
            let looks = self.looks(&groups).await?.into_iter();
            let settled = groups.into_iter().zip(looks).map(|(group, look)| async move {
                // A group that cannot be judged ends the run before it, and no other one.
                Ok(self.settled_group(shard, group, look).await)
            });
            let settled: Vec<Result<Vec<AnnouncedChange>>> = bounded_join(AT_ONCE, settled).await?;
            for (end, settled) in ends.into_iter().zip(settled) {
                run.add(end, settled?)?;
            }
            if !has_more || run.rows >= want {
                return Ok(());
            }
        }
    }

    /// Those rows of one code that have happened, in their order. `look`: its coupon, read after the rows.
    async fn settled_group(
        &self,
        shard: i32,
        group: Vec<AnnouncedChange>,
        look: Result<Option<SeenCoupon>>,
    ) -> Result<Vec<AnnouncedChange>> {
        let (look, mut coupon, mut settled) = (look?, Vec::new(), Vec::new());
        for found in group {
            match found {
                AnnouncedChange::Coupon(change) => coupon.push(change),
                AnnouncedChange::AuditEvent(audit_event) => {
                    if self.audit_event_happened(&audit_event).await? {
                        settled.push(AnnouncedChange::AuditEvent(audit_event));
                    }
                }
            }
        }
        let coupon = self.settled(shard, coupon, look).await?;
        settled.extend(coupon.into_iter().map(AnnouncedChange::Coupon));
        settled.sort_by_key(AnnouncedChange::place);
        Ok(settled)
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

/// The changes of each coupon, and those of each campaign, in their order.
fn by_code(rows: Vec<AnnouncedChange>) -> Vec<Vec<AnnouncedChange>> {
    let mut all: Vec<Vec<AnnouncedChange>> = Vec::new();
    for row in rows {
        let code = row.place().code;
        match all.last_mut() {
            Some(last) if last.first().is_some_and(|first| first.place().code == code) => {
                last.push(row)
            }
            _ => all.push(vec![row]),
        }
    }
    all
}
