//! The log of deliveries.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use webhooks::{DeliveryFilter, DeliveryState, Options, WebhookError, Webhooks, backup};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, clock, deliveries, endpoint, log_has, log_until, quick};

fn numbers(found: &[webhooks::Delivery]) -> Vec<i64> {
    found.iter().map(|it| it.number).collect()
}

#[tokio::test]
async fn found_by_state_newest_first() {
    let receiver = Receiver::start(|seen, _| match seen.id() {
        "event-2" | "event-5" => Answer::Status(500),
        _ => Answer::Status(200),
    })
    .await;
    let options = Options { retry_pauses: Vec::new(), ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(6);
    log_until(&webhooks, "a", |found| {
        found.len() == 6 && found.iter().all(|it| it.ended_at.is_some())
    })
    .await;
    running.stop().await;
    webhooks.redeliver("a", 6).await.unwrap();
    let cases = [
        ("all", None, None, 100, vec![6, 5, 4, 3, 2, 1]),
        ("some", None, None, 2, vec![6, 5]),
        ("the next ones", None, Some(5), 2, vec![4, 3]),
        ("none is left", None, Some(1), 2, vec![]),
        ("delivered", Some(DeliveryState::Delivered), None, 100, vec![4, 3, 1]),
        ("failed", Some(DeliveryState::Failed), None, 100, vec![5, 2]),
        ("failed, the next ones", Some(DeliveryState::Failed), Some(5), 100, vec![2]),
        ("pending", Some(DeliveryState::Pending), None, 100, vec![6]),
        ("gaps", Some(DeliveryState::Gap), None, 100, vec![]),
    ];
    for (name, state, before, limit, want) in cases {
        let filter = DeliveryFilter { state, before };
        let found = webhooks.deliveries("a", filter, limit).await.unwrap();
        assert_eq!(numbers(&found), want, "{name}");
    }
    let none = webhooks.deliveries("b", DeliveryFilter::default(), 1).await;
    assert!(matches!(none, Err(WebhookError::NotFound)));
    let (found, body) = webhooks.delivery("a", 2).await.unwrap();
    assert_eq!(found.event_id.as_deref(), Some("event-2"));
    assert!(body.is_some_and(|body| body.contains("event-2")));
    assert!(matches!(webhooks.delivery("a", 7).await, Err(WebhookError::NoDelivery)));
}

#[tokio::test]
async fn delivered_again_by_hand() {
    let receiver = Receiver::start(|_, nth| Answer::Status(if nth == 0 { 500 } else { 200 })).await;
    let options = Options { retry_pauses: Vec::new(), ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(1);
    let failed = log_has(&webhooks, "a", DeliveryState::Failed, 1).await.remove(0);
    let again = webhooks.redeliver("a", failed.number).await.unwrap();
    assert_eq!((again.state, again.redelivered), (DeliveryState::Pending, 1));
    log_has(&webhooks, "a", DeliveryState::Delivered, 1).await;
    webhooks.redeliver("a", failed.number).await.unwrap();
    let seen = receiver.sees(3).await;
    for one in &seen {
        assert_eq!((one.id(), &one.body), (seen[0].id(), &seen[0].body));
    }
    let logged = log_has(&webhooks, "a", DeliveryState::Delivered, 1).await.remove(0);
    assert_eq!((logged.redelivered, logged.attempts), (2, 1));
    for (name, number) in [("a", 99), ("a", -1)] {
        let none = webhooks.redeliver(name, number).await;
        assert!(matches!(none, Err(WebhookError::NoDelivery)), "{name} {number}");
    }
    running.stop().await;
}

#[tokio::test]
async fn events_that_are_missing_are_in_the_log() {
    let receiver = Receiver::good().await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    world.feed.push_many(2);
    receiver.accepts(2).await;
    webhooks.pause("a").await.unwrap();
    world.feed.push_many(3);
    world.feed.forget();
    world.feed.push_many(1);
    webhooks.resume("a").await.unwrap();
    assert_eq!(receiver.accepts(3).await[2], "event-6");
    let gap = log_has(&webhooks, "a", DeliveryState::Gap, 1).await.remove(1);
    assert_eq!(
        (gap.state, gap.event_id, gap.error.as_deref()),
        (DeliveryState::Gap, None, Some("kept for too short"))
    );
    let again = webhooks.redeliver("a", gap.number).await;
    assert!(matches!(again, Err(WebhookError::NoDelivery)), "there is nothing to deliver");
    running.stop().await;
}

#[tokio::test]
async fn bounded_by_rows() {
    let receiver = Receiver::good().await;
    let options = Options { log_rows_max: 10, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(50);
    receiver.accepts(50).await;
    let logged = log_until(&webhooks, "a", |found| {
        found.len() == 10 && found.iter().all(|it| it.ended_at.is_some())
    })
    .await;
    assert!(logged[0].number > 40, "{logged:?}");
    running.stop().await;
}

#[tokio::test]
async fn bounded_by_age_while_the_clock_is_trusted() {
    let receiver =
        Receiver::start(|seen, _| Answer::Status(if seen.id() == "event-1" { 500 } else { 200 }))
            .await;
    let (time, clock) = clock(1_000_000);
    let options = Options { log_keep: Duration::from_secs(100), clock, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(3);
    log_has(&webhooks, "a", DeliveryState::Delivered, 2).await;
    time.fetch_add(100_001, Ordering::SeqCst);
    // The log is cleaned every 20 ms: another endpoint that is made and deleted proves that it was.
    webhooks.create(endpoint("b", &receiver.url())).await.unwrap();
    log_has(&webhooks, "b", DeliveryState::Delivered, 2).await;
    assert_eq!(deliveries(&webhooks, "a").await.len(), 3, "who knows whether the clock is right");
    webhooks.trust_clock(true);
    let logged = log_until(&webhooks, "a", |found| found.len() == 1).await;
    assert_eq!(logged[0].state, DeliveryState::Pending, "what waits is kept");
    running.stop().await;
}

#[tokio::test]
async fn survives_a_restart_and_a_backup() {
    let receiver = Receiver::good().await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    world.feed.push_many(4);
    log_has(&webhooks, "a", DeliveryState::Delivered, 4).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.place.path()), 0o600);
    let copy = world.place.folder.path().join("copy.db");
    // While it is in use.
    assert!(backup(&world.place.path(), &copy).unwrap());
    assert_eq!(mode(&copy), 0o600);
    assert!(backup(&world.place.path(), &copy).is_err(), "nothing is written over");
    let none = world.place.folder.path().join("none.db");
    assert!(!backup(&none, &world.place.folder.path().join("other.db")).unwrap());
    running.stop().await;
    let before = deliveries(&webhooks, "a").await;
    drop(webhooks);
    for path in [world.place.path(), copy] {
        let webhooks = Webhooks::open(&path, quick()).unwrap();
        assert_eq!(deliveries(&webhooks, "a").await, before, "{}", path.display());
    }
}
