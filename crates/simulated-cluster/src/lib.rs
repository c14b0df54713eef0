//! A cluster of Cassandra or ScyllaDB in memory: nodes, the network between them, and a driver, all
//! decided by one number.
//!
//! Read in this order: `cql` (what statements mean), `cluster` (replicas and the network), `session`
//! (what the driver does). Nothing here knows what couponry does with it: `simulation` runs couponry on
//! it.

pub mod cluster;
pub mod cql;
pub mod rng;
pub mod session;
pub mod texts;
pub mod trace;

/// When a seed begins, in milliseconds since 1970: 2026-03-01T00:00:00Z.
pub const EPOCH_MS: i64 = 1_772_323_200_000;
