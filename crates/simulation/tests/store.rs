//! The store on a simulated cluster of which one thing is wrong or slow.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "store/clocks.rs"]
mod clocks;
#[path = "store/copies.rs"]
mod copies;
#[path = "store/costs.rs"]
mod costs;
#[path = "store/dispatcher.rs"]
mod dispatcher;
#[path = "store/erasures.rs"]
mod erasures;
#[path = "store/feed.rs"]
mod feed;
#[path = "store/marks.rs"]
mod marks;
#[path = "common/own_process.rs"]
mod own_process;
#[path = "store/queues.rs"]
mod queues;
#[path = "common/simulated.rs"]
mod simulated;
#[path = "store/sizes.rs"]
mod sizes;
#[path = "common/store_events.rs"]
mod store_events;
#[path = "store/tombstones.rs"]
mod tombstones;
