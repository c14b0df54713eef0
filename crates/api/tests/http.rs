//! The service through its front door: every promise of the interface, asked for over HTTP.

#[path = "http/cases.rs"]
mod cases;

use cases::{contract, service};

/// Every coupon lies in hot, but for those that a case moves itself.
const ARCHIVED: bool = false;
