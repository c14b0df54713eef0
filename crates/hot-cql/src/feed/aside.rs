//! Rows that nobody can judge now are put aside, so that the feed goes on without them.
//!
//! A reader that meets them for a while writes them once more, in the first slot of the next run of slots, and goes on.
//! All processes take the same slot, so a row is there once. Every reader meets it there, whatever it has passed, and
//! puts it aside again if it still cannot be judged. The run is listed in a part of its own: before a change of a coupon
//! a reader tells those earlier ones that were put aside to behind it, or puts it aside, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hot::{HotError, bounded_join};
use scylla::SerializeRow;
use tokio::time::Instant;

use crate::CqlStore;
use crate::announcing::{FeedState, PART, SLOT_MS, SPAN_SLOTS, TRIES, slot_of};
use cql_session::feed_changes::ChangeRow;
use cql_session::{Result, StatementProfile};

/// The part of `change_span` that lists runs in whose first slot are rows that were put aside.
const ASIDE: i32 = 1;

/// Most runs of that part that a call reads: those of twelve days in which it happened all the time.
const ASIDES: i32 = 8_192;

const AT_ONCE: usize = 16;

/// So often and so long readers of this process try before rows are put aside: longer than a node needs to restart its
/// connections, and shorter than an operator takes to look.
const TRIES_BEFORE: u32 = 5;
const TRIED_FOR: Duration = Duration::from_secs(30);

/// After so long without a row that cannot be judged the next one is tried anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Rows that a process puts aside in two minutes, the time of a run, at most: some 80 a second. If the store answers
/// nobody, readers wait for it.
const ROWS_MAX: usize = 10_000;
const RUN_TIME: Duration = Duration::from_millis((SPAN_SLOTS * SLOT_MS).unsigned_abs());

/// What this process could not judge.
#[derive(Default)]
pub(crate) struct FeedTrouble {
    now: Mutex<Option<TroubleTries>>,
    /// Rows that this process has put aside.
    pub(crate) rows: AtomicU64,
}

struct TroubleTries {
    tries: u32,
    began: Instant,
    last: Instant,
    run_began: Instant,
    rows: usize,
}

impl FeedTrouble {
    /// Whether rows that cannot be judged may be put aside now.
    fn allows(&self, rows: usize) -> bool {
        let mut tries = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known = tries.take().filter(|it| now - it.last < FORGOTTEN_AFTER);
        let new = TroubleTries { tries: 0, began: now, last: now, run_began: now, rows: 0 };
        let it = tries.insert(known.unwrap_or(new));
        (it.tries, it.last) = (it.tries.saturating_add(1), now);
        if now - it.run_began >= RUN_TIME {
            (it.run_began, it.rows) = (now, 0);
        }
        let is_long = it.tries >= TRIES_BEFORE && now - it.began >= TRIED_FOR;
        let allows = is_long && it.rows + rows <= ROWS_MAX;
        it.rows += if allows { rows } else { 0 };
        allows
    }
}

#[derive(Clone, SerializeRow)]
struct MovedChange {
    ttl: i32,
    shard: i32,
    #[scylla(flatten)]
    row: ChangeRow,
}

impl CqlStore {
    /// The slots behind a slot in which rows are that were put aside.
    pub(super) async fn asides_behind(&self, slot: i64) -> Result<Vec<i64>> {
        let spans = self.spans_from(ASIDE, slot.div_euclid(SPAN_SLOTS), ASIDES).await?;
        Ok(spans.into_iter().map(|span| span * SPAN_SLOTS).filter(|aside| *aside > slot).collect())
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
        if !self.feed_trouble.allows(rows.len()) {
            return Err(error);
        }
        tracing::warn!(error = %error, rows = rows.len(), "rows of the event feed are put aside");
        let now = self.session.now_ms();
        let oldest = slot_of(feed.kept_from(now));
        let next = feed.slot_at(now).div_euclid(SPAN_SLOTS) + 1;
        for span in (next..).take(TRIES as usize) {
            let slot = span * SPAN_SLOTS;
            // Before the rows: a reader that does not see the run listed does not look there.
            self.list_span(feed, PART, span).await?;
            self.list_span(feed, ASIDE, span).await?;
            // One that nobody could judge for as long as events are kept is deleted for its age.
            let kept = rows.iter().filter(|row| row.own_slot() >= oldest);
            let writes = kept.map(|row| {
                let row = row.clone().moved_to(slot);
                self.session.write(MOVED_CHANGE, MovedChange { ttl: feed.ttl(), shard, row })
            });
            bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())?;
            // As a writer does: a reader marks before it reads, so one sees the other.
            if self.is_in_time(feed, slot).await? {
                self.feed_trouble.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(error)
    }

    /// How many rows are aside now, and the age of the oldest.
    pub(crate) async fn asides_now(&self, feed: &FeedState) -> Result<(usize, Duration)> {
        let now = self.session.now_ms();
        let here = feed.slot_at(now);
        let slots = self.asides_behind(here).await?;
        let reads = (0..feed.shards).map(|shard| {
            let cql = "SELECT moved_from FROM change WHERE shard = ? AND slot IN ?";
            self.session.rows::<(Option<i64>,)>(StatementProfile::Bulk, cql, (shard, slots.clone()))
        });
        let rows: Vec<Vec<(Option<i64>,)>> = bounded_join(AT_ONCE, reads).await?;
        let moved: Vec<i64> = rows.into_iter().flatten().filter_map(|(moved,)| moved).collect();
        let oldest_ms = moved.iter().min().map_or(0, |slot| (here - slot) * SLOT_MS);
        Ok((moved.len(), Duration::from_millis(oldest_ms.max(0).unsigned_abs())))
    }
}

const MOVED_CHANGE: &str = "UPDATE change USING TTL :ttl SET before = ?, kind = ?, at = ?, \
    actor = ?, operation = ?, campaign_id = ?, batch_id = ?, user_id = ?, reference = ?, reason = ?, \
    until = ?, expiry_day = ?, changes = ?, moved_from = ? WHERE shard = ? AND slot = ? AND code = ? \
    AND version = ? AND number = ? AND attempt = ?";
