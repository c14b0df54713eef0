//! Every promise of the interface, tested over HTTP.

#[path = "http/cases.rs"]
mod cases;

use cases::{contract, service};

/// Every coupon is in hot, except those that a case archives itself.
const ARCHIVED: bool = false;
