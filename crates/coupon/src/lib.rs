//! What a coupon is, and which changes the rules allow.
//!
//! Nothing here reads a clock, a file, a store or a random number: the time, rows and keys come in
//! as values, so a test of a rule is a table of cases. Absent on purpose: tokio, serde, SQL, HTTP.

pub mod apply;
pub mod benefit;
pub mod calendar;
pub mod campaign;
pub mod cell_guard;
pub mod code;
pub mod coupon;
pub mod erasure;
pub mod ff1;
pub mod flat;
pub mod history_validity;
pub mod ids;
pub mod imported;
pub mod language;
pub mod minted;
pub mod money;
pub mod refusal;
pub mod text;
pub mod time;
mod words;
pub mod worth;

pub use apply::apply;
