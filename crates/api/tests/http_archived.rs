//! The same cases with every coupon in cold as early as possible: finished coupons are archived
//! before each request. Replays and refusals must be the same.

#[path = "http/archived.rs"]
mod archived;
#[path = "http/cases.rs"]
mod cases;
#[path = "http/cold_away.rs"]
mod cold_away;
#[path = "http/mixed_lists.rs"]
mod mixed_lists;

use cases::{contract, service};

/// Every coupon that may be archived is in cold.
const ARCHIVED: bool = true;
