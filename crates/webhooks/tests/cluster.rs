//! The suite of webhooks on Apache Cassandra.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "webhooks/failing.rs"]
mod failing;
#[path = "webhooks/isolation.rs"]
mod isolation;
#[path = "webhooks/kills.rs"]
mod kills;
#[path = "webhooks/order.rs"]
mod order;
#[path = "cluster/place.rs"]
mod place;
#[path = "webhooks/receiver.rs"]
mod receiver;
#[path = "webhooks/sending.rs"]
mod sending;
#[path = "webhooks/together.rs"]
mod together;
#[path = "webhooks/world.rs"]
mod world;
