//! The log of deliveries.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use webhooks::{DeliveryState, Options};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, clock, deliveries, endpoint, log_has, log_until, quick};

/// An hour is some blocks: only whole ones are dropped, and never the newest.
#[tokio::test]
async fn bounded_by_rows() {
    let receiver = Receiver::good().await;
    let (time, clock) = clock(1_800_000_000_000);
    let options = Options { log_rows_max: 25, clock, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    for nth in 1..=5 {
        world.feed.push_many(10);
        let newest = format!("event-{}", nth * 10);
        log_until(&webhooks, "a", |found| {
            found.iter().any(|it| it.event_id.as_ref() == Some(&newest) && it.ended_at.is_some())
        })
        .await;
        time.fetch_add(3_600_000, Ordering::SeqCst);
    }
    let logged = log_until(&webhooks, "a", |found| found.len() == 30).await;
    let first = logged.iter().filter_map(|it| it.event_id.as_deref()).min();
    assert_eq!(first, Some("event-21"), "the oldest blocks went");
    running.stop().await;
}

#[tokio::test]
async fn bounded_by_age_while_the_clock_is_trusted() {
    let receiver =
        Receiver::start(|seen, _| Answer::Status(if seen.id() == "event-1" { 500 } else { 200 }))
            .await;
    let (time, clock) = clock(1_800_000_000_000);
    let options = Options { log_keep: Duration::from_secs(3_600), clock, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(3);
    log_has(&webhooks, "a", DeliveryState::Delivered, 2).await;
    time.fetch_add(3 * 3_600_000, Ordering::SeqCst);
    // The log is cleaned every 20 ms: one that arrives at another endpoint proves that it was.
    webhooks.create(endpoint("b", &receiver.url())).await.unwrap();
    log_has(&webhooks, "b", DeliveryState::Delivered, 2).await;
    assert_eq!(deliveries(&webhooks, "a").await.len(), 3, "who knows whether the clock is right");
    webhooks.trust_clock(true);
    let logged = log_until(&webhooks, "a", |found| found.len() == 1).await;
    assert_eq!(logged[0].state, DeliveryState::Pending, "what waits is kept");
    running.stop().await;
}

#[tokio::test]
async fn survives_a_restart() {
    let receiver = Receiver::good().await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    world.feed.push_many(4);
    log_has(&webhooks, "a", DeliveryState::Delivered, 4).await;
    let mode = world.place.path().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    running.stop().await;
    let before = deliveries(&webhooks, "a").await;
    drop(webhooks);
    assert_eq!(deliveries(&world.open(), "a").await, before);
}
