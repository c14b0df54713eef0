//! Reads the feed: marks what it reads, finds the index rows, and settles each.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use hot::feed::{Feed, FeedEvent, FeedGone, FeedPage, FeedRead, FeedStart, Happened};
use hot::{HotError, bounded_join};

use super::MARGIN_MS;
use super::changes::AnnouncedChange;
use crate::CqlStore;
use crate::announcing::{FeedState, SPAN_SLOTS, slot_of};
use cql_session::feed_cursor::{FeedPosition, ShardRow};
use cql_session::{FeedEpochs, Result};

const AT_ONCE: usize = 32;

const ROWS: usize = 500;

/// Runs of slots that one call reads, at most.
const SPANS_MAX: usize = 64;

struct FeedWalk<'a> {
    epoch: &'a str,
    position: FeedPosition,
    /// The first slot that is not over.
    end: i64,
    limit: usize,
    events: Vec<FeedEvent>,
}

impl FeedWalk<'_> {
    fn is_full(&self) -> bool {
        self.events.len() >= self.limit
    }

    fn push(&mut self, found: AnnouncedChange) -> Result<()> {
        self.position.after = Some(found.place());
        let cursor = self.position.cursor(self.epoch);
        self.events.push(match found {
            AnnouncedChange::Coupon(change) => {
                let (id, at, actor) = (change.event_id(), change.at, change.actor.clone());
                let is_repeat = change.is_repeat || change.slot != self.position.slot;
                let happened = Happened::Coupon(change.happened()?);
                FeedEvent { id, cursor, at, actor, happened, is_repeat }
            }
            AnnouncedChange::AuditEvent(it) => {
                let (id, at, actor) = (it.event_id(), it.at, it.actor);
                let happened = Happened::AuditEvent { audit_event: it.event, reason: it.reason };
                FeedEvent { id, cursor, at, actor, happened, is_repeat: false }
            }
        });
        Ok(())
    }
}

#[async_trait]
impl Feed for CqlStore {
    async fn events(&self, from: FeedStart, limit: usize) -> Result<FeedRead> {
        let none = || HotError::Damaged("the store keeps no events".into());
        let feed = self.feed.as_ref().ok_or_else(none)?;
        let none = || HotError::Damaged("the feed has no epoch".into());
        let epochs = self.session.feed_epochs().await?.ok_or_else(none)?;
        let now = self.now_of_cluster().await?;
        feed.ahead.store(epochs.ahead_at(now), Ordering::Relaxed);
        let end = feed.slot_at(now - MARGIN_MS);
        let position = match start(feed, &epochs, from, now, end) {
            Ok(position) => position,
            Err(read) => return Ok(read),
        };
        let mut walk = FeedWalk { epoch: &epochs.epoch, position, end, limit, events: Vec::new() };
        if walk.position.slot < end {
            // Before anything is read: a writer that does not see the mark has written its rows.
            self.session.set_mark(&feed.marks, end - 1).await?;
            self.walk_feed(feed, &mut walk).await?;
        }
        // The current epoch, also for an older cursor: up to the cut the events are the same.
        let next = walk.position.cursor(&epochs.epoch);
        let is_end = walk.position.slot >= end;
        Ok(FeedRead::Page(FeedPage { events: walk.events, next, is_end }))
    }
}

impl CqlStore {
    /// The time by the clock of this process, after it was compared: a mark that is ahead would make
    /// every writer wait for it.
    async fn now_of_cluster(&self) -> Result<i64> {
        let now = self.session.now_ms();
        self.clock.measure_again(&self.session).await?;
        self.may_write()?;
        Ok(now)
    }

    /// Reads until the page is full, everything is read, or it has taken long.
    async fn walk_feed(&self, feed: &FeedState, walk: &mut FeedWalk<'_>) -> Result<()> {
        let first = walk.position.slot.div_euclid(SPAN_SLOTS);
        let (spans, is_all) = self.spans_from(first).await?;
        let is_all = is_all && spans.len() <= SPANS_MAX;
        for span in spans.into_iter().take(SPANS_MAX) {
            let (begins, ends) = (span * SPAN_SLOTS, (span + 1) * SPAN_SLOTS);
            if begins >= walk.end {
                break;
            }
            if begins > walk.position.slot {
                walk.position = FeedPosition::at(begins);
            }
            self.walk_slots(feed, walk, ends.min(walk.end)).await?;
            if walk.is_full() {
                return Ok(());
            }
        }
        if is_all {
            // No later run is listed: a writer that lists one now meets the mark.
            walk.position = FeedPosition::at(walk.end);
        }
        Ok(())
    }

    async fn walk_slots(
        &self,
        feed: &FeedState,
        walk: &mut FeedWalk<'_>,
        until: i64,
    ) -> Result<()> {
        let slots: Vec<i64> = (walk.position.slot..until).collect();
        for (slot, shard) in self.slots_with_changes(&slots, feed.shards).await? {
            if (slot, shard) < (walk.position.slot, walk.position.shard) {
                continue;
            }
            if (slot, shard) != (walk.position.slot, walk.position.shard) {
                walk.position = FeedPosition { slot, shard, after: None };
            }
            self.walk_rows(walk).await?;
            if walk.is_full() {
                return Ok(());
            }
        }
        // Only now is every row of these slots settled: an earlier cursor would lose events.
        walk.position = FeedPosition::at(until);
        Ok(())
    }

    /// Those rows of one code that have happened, in their order.
    async fn settled_group(
        &self,
        shard: i32,
        group: Vec<AnnouncedChange>,
    ) -> Result<Vec<AnnouncedChange>> {
        let (mut coupon, mut settled) = (Vec::new(), Vec::new());
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
        settled.extend(self.settled(shard, coupon).await?.into_iter().map(AnnouncedChange::Coupon));
        settled.sort_by_key(AnnouncedChange::place);
        Ok(settled)
    }

    async fn walk_rows(&self, walk: &mut FeedWalk<'_>) -> Result<()> {
        let (slot, shard) = (walk.position.slot, walk.position.shard);
        let mut after: Option<ShardRow> = walk.position.after.clone();
        loop {
            let (rows, has_more) = self.changes_behind((slot, shard), after.as_ref(), ROWS).await?;
            after = rows.last().map(AnnouncedChange::place).or(after);
            let groups = by_code(rows).into_iter();
            let settled = groups.map(|group| self.settled_group(shard, group));
            let settled: Vec<Vec<AnnouncedChange>> = bounded_join(AT_ONCE, settled).await?;
            for change in settled.into_iter().flatten() {
                if walk.is_full() {
                    return Ok(());
                }
                // An earlier change that was put before another one comes at its own place, too.
                if walk.position.after.as_ref().is_none_or(|last| *last < change.place()) {
                    walk.push(change)?;
                }
            }
            if !has_more {
                return Ok(());
            }
        }
    }
}

/// Where a read begins, or its answer.
fn start(
    feed: &FeedState,
    epochs: &FeedEpochs,
    from: FeedStart,
    now: i64,
    end: i64,
) -> std::result::Result<FeedPosition, FeedRead> {
    let keep = i64::try_from(feed.keep.as_millis()).unwrap_or(i64::MAX);
    let kept_from = now.saturating_sub(keep);
    let oldest = slot_of(kept_from).saturating_add(epochs.ahead_at(kept_from)).max(epochs.began);
    let gone = |why, slot| {
        let go_on = FeedPosition::at(slot).cursor(&epochs.epoch);
        Err(FeedRead::Gone { why, go_on })
    };
    match from {
        FeedStart::Oldest => Ok(FeedPosition::at(oldest)),
        FeedStart::Newest => Ok(FeedPosition::at(end)),
        FeedStart::After(text) => {
            let Some((epoch, position)) = FeedPosition::parse(&text) else {
                return Err(FeedRead::Unknown);
            };
            if epoch != epochs.epoch {
                match epochs.cut_of(epoch) {
                    None => return Err(FeedRead::Unknown),
                    Some(cut) if position >= FeedPosition::at(cut) => {
                        return gone(FeedGone::Restored, cut.max(oldest));
                    }
                    Some(_) => {}
                }
            }
            match position.slot < oldest {
                true => gone(FeedGone::TooOld, oldest),
                false => Ok(position),
            }
        }
    }
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
