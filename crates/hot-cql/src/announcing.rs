//! The index rows of a change, written before it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use coupon::code::Code;
use hot::HotError;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::CqlStore;
use cql_session::announcement::{CouponAnnouncement, NEW_CHANGE};
use cql_session::{Cas, FeedList, FeedMarks, Result, StatementProfile};

/// How often a change that came too late for its slot is announced in a later one.
pub(crate) const TRIES: u32 = 10;

/// The one CQL partition of a table that has one.
pub(crate) const PART: i32 = 0;

/// Time of one slot. An event comes this much later at least, and each reader asks as often.
pub(crate) const SLOT_MS: i64 = 2_000;

/// Slots of one row in `change_span`: two minutes.
pub(crate) const SPAN_SLOTS: i64 = 64;

/// Over how many CQL partitions the rows of a slot are spread: at 50,000 changes a second 6,250 rows
/// in each, or 1 MB.
pub const FEED_SHARDS: i32 = 16;

/// A mark may be so far ahead of the slot of now, half a minute, before this process follows it.
const MARK_AHEAD_MAX: i64 = 15;

/// How much longer than events an index row is kept: so readers still find what a frozen process
/// writes for it.
const KEPT_LONGER: Duration = Duration::from_secs(2 * 86_400);

/// What a process knows of the feed. Without one it writes no index rows.
pub(crate) struct FeedState {
    pub(crate) keep: Duration,
    pub(crate) shards: i32,
    pub(crate) marks: FeedMarks,
    /// By how many slots the feed is ahead of the clocks.
    pub(crate) ahead: AtomicI64,
    /// The last run of slots that this process has entered.
    span: AtomicI64,
}

impl FeedState {
    pub(crate) fn new(keep: Duration, shards: i32, process: Uuid) -> FeedState {
        let (marks, span) = (FeedMarks::new(process.as_u128()), AtomicI64::new(i64::MIN));
        FeedState { keep, shards: shards.max(1), marks, ahead: AtomicI64::new(0), span }
    }

    /// The oldest instant of which events are kept, in milliseconds since 1970.
    pub(crate) fn kept_from(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX))
    }

    /// The slot of an instant of the last minutes, in milliseconds since 1970.
    pub(crate) fn slot_at(&self, at: i64) -> i64 {
        slot_of(at).saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    pub(crate) fn shard_of(&self, code: &Code) -> i32 {
        let hash = xxh3_64(code.as_str().as_bytes());
        i32::try_from(hash % u64::from(self.shards.unsigned_abs())).unwrap_or(0)
    }

    /// Seconds after which an index row deletes itself.
    pub(crate) fn ttl(&self) -> i32 {
        let seconds = self.keep.saturating_add(KEPT_LONGER).as_secs();
        // ScyllaDB and Cassandra take twenty years at most.
        i32::try_from(seconds).unwrap_or(i32::MAX).min(630_720_000)
    }
}

pub(crate) fn slot_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(SLOT_MS)
}

impl CqlStore {
    /// Writes the index rows of a change, and makes sure that no reader has passed them: only then the
    /// change may be sent, and only then it may be sent again.
    ///
    /// In this order: the rows are acknowledged, then a read of the mark begins. A reader marks first
    /// and reads then.
    pub(crate) async fn announce(
        &self,
        feed: &FeedState,
        news: &mut CouponAnnouncement<'_>,
    ) -> Result<()> {
        let shard = feed.shard_of(news.before.code());
        // Before the same update is sent again the rows are there: only the mark is read again.
        if let Some(slot) = news.slot.take()
            && self.is_in_time(feed, slot).await?
        {
            news.slot = Some(slot);
            return Ok(());
        }
        let mut tries = 0..TRIES;
        while news.slot.is_none() {
            let slot = self.slot_for(feed, i64::MIN, tries.next()).await?;
            self.session.write_all(NEW_CHANGE, news.rows(shard, slot, feed.ttl())).await?;
            news.slot = self.is_in_time(feed, slot).await?.then_some(slot);
        }
        Ok(())
    }

    /// The slot for new index rows: `first` or a later one. It is listed, once for each process.
    /// Fails after the last try.
    pub(crate) async fn slot_for(
        &self,
        feed: &FeedState,
        first: i64,
        try_number: Option<u32>,
    ) -> Result<i64> {
        if try_number.is_none() {
            let why = "readers of the feed were faster each time";
            return Err(HotError::Unavailable(why.into()));
        }
        // A slow clock would be too late again and again.
        let behind = feed.marks.seen().saturating_add(1).max(first);
        let slot = feed.slot_at(self.session.now_ms()).max(behind);
        // Before the index rows: a reader skips every run of slots that is not listed.
        let span = slot.div_euclid(SPAN_SLOTS);
        if feed.span.load(Ordering::SeqCst) != span {
            self.session.list(FeedList::Runs, span, feed.ttl()).await?;
            // After the acknowledgement: another task of this process relies on it.
            feed.span.store(span, Ordering::SeqCst);
        }
        Ok(slot)
    }

    /// Whether no reader has passed a slot. To be asked after its rows are acknowledged.
    pub(crate) async fn is_in_time(&self, feed: &FeedState, slot: i64) -> Result<bool> {
        let mark = self.session.mark_now(&feed.marks).await?;
        self.follow_mark(feed, mark).await?;
        Ok(mark < slot)
    }

    /// Moves the slots up to a mark that is far ahead of them, for all processes. It was set while the
    /// clocks of the cluster were ahead, and nothing may lower it: without this, rows would stand in one
    /// slot behind it, and no reader would come to them before the clocks do.
    async fn follow_mark(&self, feed: &FeedState, mark: i64) -> Result<()> {
        let now = self.session.now_ms();
        let is_followed = || mark.saturating_sub(feed.slot_at(now)) <= MARK_AHEAD_MAX;
        if is_followed() {
            return Ok(());
        }
        // This process alone may be behind.
        self.clock.measure_again(&self.session).await?;
        self.may_write()?;
        let Some(epochs) = self.session.feed_epochs().await? else { return Ok(()) };
        feed.ahead.store(epochs.ahead_at(now), Ordering::Relaxed);
        if is_followed() {
            return Ok(());
        }
        let ahead = mark.saturating_sub(slot_of(now));
        let cql = "UPDATE feed SET ahead[?] = ? WHERE part = ? IF epoch = ?";
        // All who notice it write one entry.
        let minute = now - now.rem_euclid(60_000);
        let values = (minute, ahead, PART, epochs.epoch.as_str());
        // Not repeated: the next change meets the same mark.
        let written = self.session.change(StatementProfile::Change, cql, values).await?;
        if matches!(written, Cas::Applied) {
            feed.ahead.store(ahead, Ordering::Relaxed);
        }
        Ok(())
    }
}
