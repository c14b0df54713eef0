//! The event feed: what happened to coupons, found again from index rows in the order of time.
//!
//! Before a change of a coupon is written, its index row is: [`crate::announcing`]. It lies in the *slot* of the
//! writer's clock. Readers go from slot to slot, and the coupon says of each row whether it happened:
//! [`reading`], [`resolving`]. The writer looks for the readers' mark behind its row, and a reader looks
//! for rows behind its mark. So at least one of the two sees the other, whichever was frozen in between.

mod aside;
mod audit_events;
mod changes;
mod epoch;
mod reading;
mod resolving;
mod runs;

pub(crate) use aside::FeedTrouble;
use coupon::time::Millis;
pub(crate) use runs::RunCache;
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

/// How much longer than a slot a reader waits. Fewer writers are too late for their slot then; nothing
/// else depends on it.
const MARGIN_MS: i64 = 500;

/// A UUID of the seventh version that is the same for the same event.
fn named_at(at: Millis, event: &str) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&xxh3_128(event.as_bytes()).to_le_bytes()[..10]);
    Builder::from_unix_timestamp_millis(at.0.unsigned_abs(), &random).into_uuid()
}
