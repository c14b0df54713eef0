//! The same cases once more, with every coupon in cold as soon as the rules allow that: before each
//! request whatever is finished is moved. A replay is a replay, a refusal the same refusal.

#[path = "http/archived.rs"]
mod archived;
#[path = "http/cases.rs"]
mod cases;
#[path = "http/cold_away.rs"]
mod cold_away;
#[path = "http/mixed_lists.rs"]
mod mixed_lists;

use cases::{contract, service};

/// Nothing lies in hot that may lie in cold.
const ARCHIVED: bool = true;
