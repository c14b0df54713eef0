//! SQL over both tiers.
//!
//! [`History`] answers one statement at a time over four tables: `coupons`, both tiers as one with
//! each coupon once; `events` and `redemptions`, which are made of it; and `campaigns`. It only
//! reads, and [`Limits`] says how much a query may take. This is the only crate that knows
//! DataFusion.

mod campaigns;
mod columns;
mod coupons;
mod last_day;
mod merged;
mod pruning;
mod query;
mod redemptions;
mod tiers;
mod wrong;

pub use query::{Answer, History, Limits};
pub use wrong::Wrong;
