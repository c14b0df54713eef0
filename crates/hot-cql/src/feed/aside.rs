//! Rows that nobody can judge now are put aside, so that the feed goes on without them.
//!
//! A reader that meets them for a while writes them once more, in the first slot of the next run of slots, and goes on.
//! All processes take the same slot, so a row is there once. Every reader meets it there, whatever it has passed, and
//! puts it aside again if it still cannot be judged. The run is in a list of its own: before a change of a coupon a
//! reader tells those earlier ones that were put aside to behind it, or puts it aside, too.
//!
//! A CQL partition of index rows that nobody can read is listed as unread, and every reader goes on without it. Who can
//! read it later puts its rows aside. Until then a reader looks into it before a change whose coupon names it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use hot::{HotError, bounded_join};
use tokio::time::Instant;

use super::ROWS_MAX;
use super::bounds::{RunBounds, UnreadPlace};
use crate::CqlStore;
use crate::announcing::{FeedState, SLOT_MS, SPAN_SLOTS, TRIES, slot_of};
use cql_session::feed_changes::ChangeRow;
use cql_session::{FeedList, Result};

/// Most runs with rows that were put aside that a call reads: those of twelve days in which it happened all the time.
const ASIDES: i32 = 8_192;

/// Most CQL partitions that are listed as unread; then the feed waits. Of twelve nodes two are down for a day and a
/// half. Cassandra reads no list with more than 100,000 deleted entries.
const UNREAD_MAX: usize = 50_000;

/// An entry of that list is the slot times this, and the shard.
const SHARDS_MAX: i64 = 1_024;

const AT_ONCE: usize = 16;

/// A process takes up so many of them at once, in so long a time, and waits after one that it could not read.
const TAKEN_MAX: usize = 256;
const TAKEN_FOR: Duration = Duration::from_secs(1);
const TAKEN_EVERY: Duration = Duration::from_secs(10);

/// What waits to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventsAside {
    /// Events whose coupons could not be read, about.
    pub events: usize,
    /// Parts of the feed that could not be read: those of two seconds, and of one coupon in sixteen.
    pub parts: usize,
    /// The age of the oldest of all.
    pub oldest: Duration,
}

impl CqlStore {
    /// The slots from the run of a slot on in which rows are that were put aside.
    pub(super) async fn asides_from(&self, slot: i64) -> Result<Vec<i64>> {
        let from = slot.div_euclid(SPAN_SLOTS);
        let spans = self.session.listed(FeedList::Asides, from, ASIDES).await?;
        Ok(spans.into_iter().map(|span| span * SPAN_SLOTS).collect())
    }

    /// The partitions that are listed as unread.
    pub(super) async fn unread_places(&self) -> Result<BTreeSet<UnreadPlace>> {
        let listed = self.session.listed(FeedList::Unread, i64::MIN, i32::MAX).await?;
        let place = |it: i64| (it.div_euclid(SHARDS_MAX), it.rem_euclid(SHARDS_MAX) as i32);
        Ok(listed.into_iter().map(place).collect())
    }

    /// Lists partitions as unread. Afterwards a reader may pass them.
    ///
    /// # Errors
    /// `error` if there is no room, or if it is too early.
    pub(super) async fn put_unread(
        &self,
        feed: &FeedState,
        places: &[UnreadPlace],
        bounds: RunBounds<'_>,
        error: HotError,
    ) -> Result<()> {
        let is_full = bounds.unread.len() + places.len() > UNREAD_MAX;
        self.may_pass(places.len(), is_full, error)?;
        let writes = places.iter().map(|(slot, shard)| {
            let entry = slot * SHARDS_MAX + i64::from(*shard);
            self.session.list(FeedList::Unread, entry, feed.ttl())
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    /// Takes up some of the partitions that are listed as unread, if they can be read now.
    pub(super) async fn take_up(&self, feed: &FeedState, unread: &BTreeSet<UnreadPlace>) {
        let Ok(mut taken) = self.feed_trouble.taken.try_lock() else { return };
        let began = Instant::now();
        let (last, next) = taken.unwrap_or(((i64::MIN, 0), began));
        if unread.is_empty() || next > began {
            return;
        }
        let behind = unread.range((Bound::Excluded(last), Bound::Unbounded));
        for place in behind.chain(unread.range(..=last)).take(TAKEN_MAX) {
            let next = taken.map_or(began, |(_, next)| next);
            *taken = match self.move_partition(feed, *place).await {
                Ok(()) => Some((*place, next)),
                Err(_) => Some((*place, began + TAKEN_EVERY)),
            };
            if began.elapsed() > TAKEN_FOR {
                break;
            }
        }
    }

    async fn move_partition(&self, feed: &FeedState, (slot, shard): UnreadPlace) -> Result<()> {
        let (mut after, mut has_more) = (None, true);
        while has_more {
            let place = (slot, shard);
            let read = self.session.changes_behind(place, after.as_ref(), ROWS_MAX).await?;
            has_more = read.1;
            let (mut places, rows): (Vec<_>, Vec<_>) = read.0.into_iter().unzip();
            after = places.pop();
            self.move_rows(feed, shard, rows).await?;
        }
        // Every reader meets the rows where they are now: it is before them.
        self.session.unlist(FeedList::Unread, slot * SHARDS_MAX + i64::from(shard)).await
    }

    /// Puts aside rows of a shard that could not be judged. Afterwards a reader may pass them.
    ///
    /// # Errors
    /// `error` if it is too early.
    pub(super) async fn put_aside(
        &self,
        feed: &FeedState,
        shard: i32,
        rows: Vec<ChangeRow>,
        error: HotError,
    ) -> Result<()> {
        self.may_pass(rows.len(), false, error)?;
        self.move_rows(feed, shard, rows).await
    }

    fn may_pass(&self, count: usize, is_full: bool, error: HotError) -> Result<()> {
        if is_full || !self.feed_trouble.allows(count) {
            return Err(error);
        }
        tracing::warn!(error = %error, count, "rows or parts of the event feed are put aside");
        Ok(())
    }

    /// Writes rows once more, in a slot that no reader has passed.
    async fn move_rows(&self, feed: &FeedState, shard: i32, rows: Vec<ChangeRow>) -> Result<()> {
        let now = self.session.now_ms();
        let oldest = slot_of(feed.kept_from(now));
        let next = feed.slot_at(now).div_euclid(SPAN_SLOTS) + 1;
        // One that nobody could judge for as long as events are kept is deleted for its age.
        let kept: Vec<ChangeRow> = rows.into_iter().filter(|it| it.own_slot() >= oldest).collect();
        let mut moved = Ok(kept.is_empty());
        for span in (next..).take(TRIES as usize) {
            if let Ok(true) = moved {
                return Ok(());
            }
            let slot = span * SPAN_SLOTS;
            // Before the rows: a reader that does not see the run listed does not look there.
            self.session.list(FeedList::Runs, span, feed.ttl()).await?;
            self.session.list(FeedList::Asides, span, feed.ttl()).await?;
            moved = match self.session.move_changes(shard, slot, &kept, feed.ttl()).await {
                // As a writer does: a reader marks before it reads, so one sees the other.
                Ok(()) => self.is_in_time(feed, slot).await,
                // The nodes of the next slot may be up.
                Err(error) => Err(error),
            };
        }
        let late = || HotError::Unavailable("readers of the feed were faster each time".into());
        moved.and_then(|moved| moved.then_some(()).ok_or_else(late))
    }

    pub(crate) async fn asides_now(&self, feed: &FeedState) -> Result<EventsAside> {
        let here = feed.slot_at(self.session.now_ms());
        let unread = self.unread_places().await?;
        let mut slots = self.asides_from(here).await?;
        slots.retain(|slot| *slot > here);
        let reads = (0..feed.shards).map(|shard| {
            let read = self.session.moved_to(shard, &slots);
            // What cannot be read is listed when it is over.
            async move { Ok(read.await.unwrap_or_default()) }
        });
        let rows: Vec<Vec<i64>> = bounded_join(AT_ONCE, reads).await?;
        let moved: Vec<i64> = rows.into_iter().flatten().collect();
        let all = moved.iter().chain(unread.first().map(|(slot, _)| slot));
        let oldest_ms = all.min().map_or(0, |slot| (here - slot) * SLOT_MS);
        let oldest = Duration::from_millis(oldest_ms.max(0).unsigned_abs());
        Ok(EventsAside { events: moved.len(), parts: unread.len(), oldest })
    }
}
