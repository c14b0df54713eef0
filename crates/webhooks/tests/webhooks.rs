//! Endpoints, and real receivers on this machine: what arrives, when, and what the log says of it.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "webhooks/bringing.rs"]
mod bringing;
#[path = "webhooks/calls.rs"]
mod calls;
#[path = "webhooks/failing.rs"]
mod failing;
#[path = "webhooks/isolation.rs"]
mod isolation;
#[path = "webhooks/kills.rs"]
mod kills;
#[path = "webhooks/log.rs"]
mod log;
#[path = "webhooks/names.rs"]
mod names;
#[path = "webhooks/order.rs"]
mod order;
#[path = "webhooks/place.rs"]
mod place;
#[path = "webhooks/property.rs"]
mod property;
#[path = "webhooks/reading.rs"]
mod reading;
#[path = "webhooks/receiver.rs"]
mod receiver;
#[path = "webhooks/sending.rs"]
mod sending;
#[path = "webhooks/together.rs"]
mod together;
#[path = "webhooks/world.rs"]
mod world;
