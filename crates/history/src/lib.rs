//! SQL over both tiers.
//!
//! [`History`] answers one statement at a time over four tables: `coupons`, both tiers as one with
//! each coupon once; `events` and `redemptions`, which are made of it; and `campaigns`. It only
//! reads, and [`Limits`] says how much a query may take. This is the only crate that knows
//! DataFusion.

mod campaigns;
mod cli;
mod columns;
mod coupons;
mod error;
pub mod formats;
mod last_day;
mod merged;
mod pruning;
mod query;
mod redemptions;
mod scanned;
pub mod serve;
mod tiers;
mod values;

pub use cli::main;
pub use error::HistoryError;
pub use query::{Answer, History, Limits};
