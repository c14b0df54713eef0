//! Reads the feed: marks what it reads, and goes through what is settled of it.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use hot::HotError;
use hot::feed::{Feed, FeedEvent, FeedGone, FeedPage, FeedRead, FeedStart};
use hot::settings::{FEED_EPOCH, FEED_EPOCHS_BEFORE};
use tokio::time::Instant;

use super::MARGIN_MS;
use super::bounds::RunBounds;
use super::runs::SettledRun;
use crate::CqlStore;
use crate::announcing::{FeedState, slot_of};
use cql_session::feed_cursor::FeedPosition;
use cql_session::{FeedEpochs, Result};

/// Runs that one call goes through, at most: each has rows, or a run of slots of which most have none.
const RUNS_MAX: usize = 64;

struct FeedWalk<'a> {
    epoch: &'a str,
    began: Instant,
    position: FeedPosition,
    /// The first slot that is not over.
    end: i64,
    limit: usize,
    events: Vec<FeedEvent>,
}

impl FeedWalk<'_> {
    fn is_over(&self) -> bool {
        self.events.len() >= self.limit || self.position.slot >= self.end
    }

    /// Goes on through a run, to its end or until the page is full.
    fn take(&mut self, run: &SettledRun) {
        for (at, event) in run.behind(&self.position) {
            if self.events.len() >= self.limit {
                return;
            }
            self.position = at.clone();
            self.events.push(event.clone());
        }
        self.position = run.to.clone();
    }
}

#[async_trait]
impl Feed for CqlStore {
    async fn events(&self, from: FeedStart, limit: usize) -> Result<FeedRead> {
        let none = || HotError::Damaged("the store keeps no events".into());
        let feed = self.feed.as_ref().ok_or_else(none)?;
        let began = Instant::now();
        let none = || HotError::Damaged("the feed has no epoch".into());
        let epochs = self.session.feed_epochs().await?.ok_or_else(none)?;
        let now = self.now_of_cluster().await?;
        feed.ahead.store(epochs.ahead_at(now), Ordering::Relaxed);
        let end = feed.slot_at(now - MARGIN_MS);
        let position = match start(feed, &epochs, &from, now, end) {
            Ok(position) => position,
            Err(FeedRead::Unknown) if self.is_of_source(&from).await? => {
                let oldest = start(feed, &epochs, &FeedStart::Oldest, now, end);
                let gone = |oldest: FeedPosition| {
                    let go_on = oldest.cursor(&epochs.epoch);
                    FeedRead::Gone { why: FeedGone::Moved, go_on }
                };
                return Ok(oldest.map_or_else(|read| read, gone));
            }
            Err(read) => return Ok(read),
        };
        let mut walk =
            FeedWalk { epoch: &epochs.epoch, began, position, end, limit, events: Vec::new() };
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
    /// Whether a cursor is of the store from which this one was copied.
    async fn is_of_source(&self, from: &FeedStart) -> Result<bool> {
        let FeedStart::After(cursor) = from else { return Ok(false) };
        let epoch = cursor.split('-').next();
        for name in [FEED_EPOCH, FEED_EPOCHS_BEFORE] {
            let epochs = self.session.setting(name).await?.unwrap_or_default();
            if epochs.split_whitespace().any(|of| of.split('-').next() == epoch) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The time by the clock of this process, after it was compared: a mark that is ahead would make
    /// every writer wait for it.
    async fn now_of_cluster(&self) -> Result<i64> {
        let now = self.session.now_ms();
        self.clock.measure_again(&self.session).await?;
        self.may_write()?;
        Ok(now)
    }

    /// Reads until the page is full, everything is read, or it has taken long. A page ends before what cannot be read
    /// now: only a page that would not move fails.
    async fn walk_feed(&self, feed: &FeedState, walk: &mut FeedWalk<'_>) -> Result<()> {
        let first = walk.position.clone();
        let unread = self.unread_places().await?;
        let oldest = unread.first().map_or(first.slot, |(slot, _)| first.slot.min(*slot));
        // After that list: where the rows of a partition are now is listed before it is taken off.
        let aside = self.asides_from(oldest).await?;
        self.take_up(feed, &unread).await;
        for _ in 0..RUNS_MAX {
            if walk.is_over() {
                break;
            }
            let limit = walk.limit - walk.events.len();
            let (epoch, began, end) = (walk.epoch, walk.began, walk.end);
            let bounds = RunBounds { epoch, began, aside: &aside, unread: &unread, end, limit };
            match self.run_at(feed, &walk.position, bounds).await {
                Ok(run) => {
                    walk.take(&run);
                    if run.is_cut {
                        break;
                    }
                }
                Err(error) if walk.position == first => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Where a read begins, or its answer.
fn start(
    feed: &FeedState,
    epochs: &FeedEpochs,
    from: &FeedStart,
    now: i64,
    end: i64,
) -> std::result::Result<FeedPosition, FeedRead> {
    let kept_from = feed.kept_from(now);
    let oldest = slot_of(kept_from).saturating_add(epochs.ahead_at(kept_from)).max(epochs.began);
    let gone = |why, slot| {
        let go_on = FeedPosition::at(slot).cursor(&epochs.epoch);
        Err(FeedRead::Gone { why, go_on })
    };
    match from {
        FeedStart::Oldest => Ok(FeedPosition::at(oldest)),
        FeedStart::Newest => Ok(FeedPosition::at(end)),
        FeedStart::After(text) => {
            let Some((epoch, position)) = FeedPosition::parse(text) else {
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
            if position.slot < oldest { gone(FeedGone::TooOld, oldest) } else { Ok(position) }
        }
    }
}
