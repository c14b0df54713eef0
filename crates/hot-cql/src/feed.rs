//! The event feed: what happened to coupons, found again from index rows in the order of time.
//!
//! Before a change of a coupon is written, its index row is: [`crate::announcing`]. It lies in the *slot* of the
//! writer's clock. Readers go from slot to slot, and the coupon says of each row whether it happened:
//! [`reading`], [`resolving`]. The writer looks for the readers' mark behind its row, and a reader looks
//! for rows behind its mark. So at least one of the two sees the other, whichever was frozen in between.

mod aside;
mod audit_events;
mod bounds;
mod epoch;
mod reading;
mod resolving;
mod runs;

pub use aside::EventsAside;
pub(crate) use runs::RunCache;

/// How much longer than a slot a reader waits. Fewer writers are too late for their slot then; nothing
/// else depends on it.
const MARGIN_MS: i64 = 500;

/// Rows that one statement reads.
const ROWS_MAX: usize = 500;
