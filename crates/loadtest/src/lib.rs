//! The load harness: requests over HTTP to any server with couponry's API, sent on a schedule and
//! timed from the moment at which they were due.

pub mod stock;
