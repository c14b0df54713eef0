//! Receivers that fail.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use webhooks::{DeliveryState, EndpointChanges, EndpointState, Options};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, clock, deliveries, endpoint, endpoint_until, log_has, log_until, quick};

#[tokio::test]
async fn tried_again_with_the_same_id_and_body() {
    let receiver = Receiver::start(|_, nth| match nth {
        0 => Answer::Status(500),
        1 => Answer::Close,
        2 => Answer::Status(404),
        _ => Answer::Status(200),
    })
    .await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    world.feed.push_many(1);
    receiver.accepts(1).await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 4);
    for one in &seen {
        assert_eq!((one.id(), &one.body), (seen[0].id(), &seen[0].body));
    }
    let logged = log_has(&webhooks, "a", DeliveryState::Delivered, 1).await;
    assert_eq!((logged[0].attempts, logged[0].status, &logged[0].error), (4, Some(200), &None));
    running.stop().await;
    let gauge = webhooks.gauge().await.unwrap();
    assert_eq!((gauge.delivered, gauge.failed, gauge.attempts_failed, gauge.pending), (1, 0, 3, 0));
}

#[tokio::test]
async fn answers() {
    let timeout = Duration::from_millis(300);
    let cases = [
        ("200", Answer::Status(200), true, ""),
        ("204", Answer::Status(204), true, ""),
        ("299", Answer::Status(299), true, ""),
        ("with a long body", Answer::Long(200, 1 << 20), true, ""),
        (
            "a redirect",
            Answer::With(307, "location: http://127.0.0.1:9/".into()),
            false,
            "redirect",
        ),
        ("400", Answer::Status(400), false, "400"),
        ("what it says", Answer::With(500, "x-a: b".into()), false, "why"),
        ("a long error", Answer::Long(500, 1 << 20), false, "xxx"),
        ("no answer", Answer::Hang, false, "no answer within 300ms"),
        ("a late answer", Answer::Slow(10 * timeout, 200), false, "no answer within 300ms"),
        ("a closed connection", Answer::Close, false, ""),
    ];
    for (name, answer, delivered, error) in cases {
        let receiver = Receiver::start(move |_, _| answer.clone()).await;
        let options = Options { retry_pauses: Vec::new(), timeout, ..quick() };
        let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
        world.feed.push_many(1);
        let logged = log_until(&webhooks, "a", |found| {
            found.first().is_some_and(|it| it.state != DeliveryState::Pending)
        })
        .await
        .remove(0);
        assert_eq!(logged.state == DeliveryState::Delivered, delivered, "{name}: {logged:?}");
        assert_eq!(logged.error.is_none(), delivered, "{name}: {logged:?}");
        let said = logged.error.unwrap_or_default();
        assert!(said.contains(error) && said.len() < 300, "{name}: {said}");
        running.stop().await;
    }
}

#[tokio::test]
async fn given_up_after_the_last_attempt() {
    let receiver = Receiver::start(|_, _| Answer::Status(503)).await;
    let retry_pauses = vec![Duration::from_millis(10); 3];
    let options = Options { retry_pauses, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(2);
    let logged = log_has(&webhooks, "a", DeliveryState::Failed, 2).await;
    assert!(logged.iter().all(|it| it.attempts == 4), "{logged:?}");
    assert_eq!(receiver.seen().len(), 8);
    running.stop().await;
    assert_eq!(webhooks.gauge().await.unwrap().failed, 2);
}

#[tokio::test]
async fn gone_disables_until_it_is_resumed() {
    let receiver = Receiver::start(|_, nth| Answer::Status(if nth < 2 { 200 } else { 410 })).await;
    let options = Options { in_flight_each: 1, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(5);
    let disabled = |found: &webhooks::Endpoint| found.state != EndpointState::Active;
    let found = endpoint_until(&webhooks, "a", disabled).await;
    let EndpointState::Disabled { why, since } = found.state else { panic!("{found:?}") };
    assert!(why.contains("410") && since > 0, "{why} {since}");
    let seen = receiver.seen().len();
    assert_eq!((seen, found.pending), (3, 3), "one attempt was enough");
    assert_eq!(webhooks.gauge().await.unwrap().disabled, 1);
    world.feed.push_many(2);
    receiver.change(|_, _| Answer::Status(200));
    assert_eq!(webhooks.resume("a").await.unwrap().state, EndpointState::Active);
    assert_eq!(receiver.accepts(7).await.len(), 7);
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_down_is_tried_now_and_then() {
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let options = Options {
        retry_pauses: vec![Duration::from_millis(1); 10_000],
        probe_pause: Duration::from_millis(100),
        probe_pause_max: Duration::from_millis(100),
        ..quick()
    };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    let ids = world.feed.push_many(500);
    // Ten failures, what was under way beside them, and then one after the other.
    let seen = receiver.sees(25).await;
    for pair in seen[19..].windows(2) {
        let pause = pair[1].at - pair[0].at;
        assert!(pause >= Duration::from_millis(80), "{pause:?}");
    }
    assert_eq!(webhooks.gauge().await.unwrap().down, 1);
    receiver.change(|_, _| Answer::Status(200));
    let accepted: BTreeSet<String> = receiver.accepts(500).await.into_iter().collect();
    assert_eq!(accepted, ids.into_iter().collect());
    running.stop().await;
    assert_eq!(webhooks.gauge().await.unwrap().down, 0);
}

#[tokio::test]
async fn another_url_is_tried_at_once() {
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let long = Duration::from_secs(3_600);
    let options = Options {
        retry_pauses: vec![long; 3],
        probe_pause: long,
        probe_pause_max: long,
        ..quick()
    };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(30);
    endpoint_until(&webhooks, "a", |found| found.failures >= 10).await;
    let good = Receiver::good().await;
    let changes = EndpointChanges { url: Some(good.url()), ..EndpointChanges::default() };
    webhooks.update("a", changes).await.unwrap();
    good.accepts(30).await;
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_pause() {
    let receiver = Receiver::start(|_, nth| match nth {
        0 => Answer::With(429, "retry-after: 1".into()),
        _ => Answer::Status(200),
    })
    .await;
    let options = Options { in_flight_each: 1, ..quick() };
    let (world, _webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(3);
    receiver.accepts(3).await;
    let seen = receiver.seen();
    let pause = seen[1].at - seen[0].at;
    assert!(pause >= Duration::from_millis(990), "{pause:?}");
    running.stop().await;
}

/// Only the wall clock jumps, so the pauses of the probes stay short.
#[tokio::test]
async fn what_waited_for_three_days_is_given_up_while_the_clock_is_trusted() {
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let (time, clock) = clock(1_000_000);
    let hour = Duration::from_secs(3_600);
    let options = Options { retry_pauses: vec![hour; 72], clock, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(50);
    endpoint_until(&webhooks, "a", |found| found.failures >= 12).await;
    time.fetch_add(73 * 3_600_000, Ordering::SeqCst);
    let seen = receiver.seen().len();
    receiver.sees(seen + 5).await;
    let logged = deliveries(&webhooks, "a").await;
    assert!(logged.iter().all(|it| it.state == DeliveryState::Pending), "{logged:?}");
    webhooks.trust_clock(true);
    let logged = log_has(&webhooks, "a", DeliveryState::Failed, 50).await;
    assert!(logged.iter().all(|it| it.error.is_some()), "{logged:?}");
    world.feed.push_many(1);
    receiver.change(|_, _| Answer::Status(200));
    assert_eq!(receiver.accepts(1).await, ["event-51"]);
    webhooks.redeliver("a", logged[0].number).await.unwrap();
    receiver.accepts(2).await;
    running.stop().await;
}

#[tokio::test]
async fn no_address_is_posted_to_that_is_not_public() {
    let receiver = Receiver::good().await;
    let world = World::new(quick());
    let webhooks = world.open();
    webhooks.create(endpoint("a", &receiver.url())).await.unwrap();
    webhooks.create(endpoint("b", &receiver.url().replace("http", "https"))).await.unwrap();
    drop(webhooks);
    // Another setting at the next start.
    let options = Options { allow_private: false, ..quick() };
    let world = World { options, ..world };
    let webhooks = world.open();
    let running = world.run(&webhooks);
    world.feed.push_many(1);
    for (name, want) in [("a", "want https"), ("b", "not a public address")] {
        let tried = |found: &[webhooks::Delivery]| found.iter().any(|it| it.error.is_some());
        let logged = log_until(&webhooks, name, tried).await;
        let error = logged[0].error.as_deref().unwrap_or_default();
        assert!(error.contains(want), "{name}: {error}");
        let tested = webhooks.test(name).await.unwrap();
        assert!(tested.error.is_some_and(|error| error.contains(want)), "{name}");
    }
    running.stop().await;
    assert_eq!(receiver.seen().len(), 0);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let inside = Receiver::good().await;
    let location = format!("location: {}", inside.url());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let receiver = Receiver::start(move |_, _| Answer::With(status, location.clone())).await;
        let options = Options { retry_pauses: Vec::new(), ..quick() };
        let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
        world.feed.push_many(1);
        let logged = log_has(&webhooks, "a", DeliveryState::Failed, 1).await;
        assert_eq!(logged[0].status, Some(status));
        running.stop().await;
    }
    assert_eq!(inside.seen().len(), 0);
}
