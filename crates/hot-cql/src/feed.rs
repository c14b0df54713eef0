//! The event feed: what happened to coupons, found again from index rows in the order of time.
//!
//! Before a change of a coupon is written, its index row is: [`writing`]. It lies in the *slot* of the
//! writer's clock. Readers go from slot to slot, and the coupon says of each row whether it happened:
//! [`reading`], [`resolving`]. The writer looks for the readers' mark behind its row, and a reader looks
//! for rows behind its mark. So at least one of the two sees the other, whichever was frozen in between.

mod audit_events;
mod changes;
mod epoch;
mod reading;
mod resolving;
mod writing;

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use coupon::code::Code;
use xxhash_rust::xxh3::xxh3_64;

use cql_session::FeedMarks;
pub(crate) use writing::{CouponAnnouncement, MadeValue, made_by};

/// The one CQL partition of a table that has one.
const PART: i32 = 0;

/// Time of one slot. An event comes this much later at least, and each reader asks as often.
const SLOT_MS: i64 = 2_000;

/// How much longer than a slot a reader waits. Fewer writers are too late for their slot then; nothing
/// else depends on it.
const MARGIN_MS: i64 = 500;

/// Slots of one row in `change_span`: two minutes.
const SPAN_SLOTS: i64 = 64;

/// Over how many CQL partitions the rows of a slot are spread: at 50,000 changes a second 6,250 rows
/// in each, or 1 MB.
pub const FEED_SHARDS: i32 = 16;

/// How much longer than the events an index row is kept: while it is there, whatever a frozen process
/// writes for it is found.
const KEPT_LONGER: Duration = Duration::from_secs(2 * 86_400);

/// What a process knows of the feed. Without one it writes no index rows.
pub(crate) struct FeedState {
    keep: Duration,
    shards: i32,
    marks: FeedMarks,
    /// The last run of slots that this process has entered.
    span: AtomicI64,
}

impl FeedState {
    pub(crate) fn new(keep: Duration, shards: i32) -> FeedState {
        let (marks, span) = (FeedMarks::default(), AtomicI64::new(i64::MIN));
        FeedState { keep, shards: shards.max(1), marks, span }
    }

    fn shard_of(&self, code: &Code) -> i32 {
        let hash = xxh3_64(code.as_str().as_bytes());
        i32::try_from(hash % u64::from(self.shards.unsigned_abs())).unwrap_or(0)
    }

    /// Seconds after which an index row deletes itself.
    fn ttl(&self) -> i32 {
        let seconds = self.keep.saturating_add(KEPT_LONGER).as_secs();
        // ScyllaDB and Cassandra take twenty years at most.
        i32::try_from(seconds).unwrap_or(i32::MAX).min(630_720_000)
    }
}

fn slot_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(SLOT_MS)
}
