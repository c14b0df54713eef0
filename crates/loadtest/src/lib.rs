//! The load harness: requests over HTTP to any server with couponry's API.
//!
//! Requests are sent on a schedule, whatever the server does, and their time counts from the
//! instant at which they were due: a server that does not answer gets as many requests. Every
//! answer is checked, because a coupon that is redeemed twice is not throughput.
//!
//! `stock` names the coupons, `ready` creates them, `schedule` says when a request is due, `scenario`
//! chooses it, `worker` sends it over a `wire`, and `run` starts the workers as a `plan` says. `report`, `plot` and
//! `limit` show the results.

mod answer_counts;
pub mod limit;
mod pacer;
pub mod plan;
pub mod plot;
pub mod ready;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod stock;
pub mod wire;
mod worker;
