//! The load harness: requests over HTTP to any server with couponry's API.
//!
//! Requests are sent on a schedule, whatever the server does, and their time counts from the moment
//! at which they were due: a server that stands still is not asked less for it. Every answer is
//! compared with what it has to be, since a coupon redeemed twice is no throughput.
//!
//! `stock` says which coupons there are, `ready` makes them, `schedule` says when something is
//! due, `scenario` what, `worker` sends it over a `wire`, `run` puts workers together, and
//! `report`, `plot` and `limit` say what came of it.

mod answer_counts;
pub mod limit;
mod pacer;
pub mod plot;
pub mod ready;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod stock;
pub mod wire;
mod worker;
