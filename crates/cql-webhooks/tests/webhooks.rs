//! Webhooks on Apache Cassandra: the suite of the crate `webhooks`, as far as it is not about its file, and what only
//! several processes on a cluster can show.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "../../webhooks/tests/webhooks/failing.rs"]
mod failing;
#[path = "../../webhooks/tests/webhooks/isolation.rs"]
mod isolation;
#[path = "webhooks/kills.rs"]
mod kills;
#[path = "../../webhooks/tests/webhooks/order.rs"]
mod order;
#[path = "webhooks/place.rs"]
mod place;
#[path = "../../webhooks/tests/webhooks/receiver.rs"]
mod receiver;
#[path = "../../webhooks/tests/webhooks/sending.rs"]
mod sending;
#[path = "webhooks/together.rs"]
mod together;
#[path = "../../webhooks/tests/webhooks/world.rs"]
mod world;
