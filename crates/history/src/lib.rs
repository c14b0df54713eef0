//! SQL over both tiers.
//!
//! This crate only reads, and it alone knows DataFusion. [`History`] answers one statement at a time over
//! four tables: `coupons` (both tiers as one, each coupon once), `events` and `redemptions` (views of it),
//! and `campaigns`. [`QueryLimits`] bounds each query.

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
pub use query::{History, QueryLimits, SqlAnswer};

/// Microseconds of a millisecond.
const MICROS: i64 = 1_000;
