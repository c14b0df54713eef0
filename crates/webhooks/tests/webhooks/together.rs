//! What is in the log, and several processes at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hot::HotError;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync, Tables};
use serde_json::json;
use webhooks::{Announcement, DeliveryFilter, DeliveryState, Options, WebhookError, Webhooks};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, endpoint, endpoint_until, log_has, log_until, quick};

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
    let all = log_until(&webhooks, "a", |found| {
        found.len() == 6 && found.iter().all(|it| it.ended_at.is_some())
    })
    .await;
    running.stop().await;
    let number = |nth: usize| all[6 - nth].number;
    let cases: [(_, _, _, _, &[usize]); 7] = [
        ("all", None, None, 100, &[6, 5, 4, 3, 2, 1]),
        ("some", None, None, 2, &[6, 5]),
        ("the next ones", None, Some(5), 2, &[4, 3]),
        ("none is left", None, Some(1), 2, &[]),
        ("delivered", Some(DeliveryState::Delivered), None, 100, &[6, 4, 3, 1]),
        ("failed, the next ones", Some(DeliveryState::Failed), Some(5), 100, &[2]),
        ("gaps", Some(DeliveryState::Gap), None, 100, &[]),
    ];
    for (name, state, before, limit, want) in cases {
        let filter = DeliveryFilter { state, before: before.map(number) };
        let found = webhooks.deliveries("a", filter, limit).await.unwrap();
        let found: Vec<i64> = found.iter().map(|it| it.number).collect();
        assert_eq!(found, want.iter().map(|&nth| number(nth)).collect::<Vec<i64>>(), "{name}");
    }
    let (found, body) = webhooks.delivery("a", number(2)).await.unwrap();
    assert_eq!(found.event_id.as_deref(), Some("event-2"));
    assert!(body.is_some_and(|body| body.contains("event-2")));
    assert!(matches!(webhooks.delivery("a", 7).await, Err(WebhookError::NoDelivery)));
}

/// A call at one process, to an endpoint to which another one posts.
#[tokio::test]
async fn delivered_again_by_hand_and_missing_events() {
    let receiver = Receiver::start(|_, nth| Answer::Status(if nth == 0 { 500 } else { 200 })).await;
    let options = Options { retry_pauses: Vec::new(), ..quick() };
    let (world, _webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    let other = world.open();
    world.feed.push_many(1);
    let failed = log_has(&other, "a", DeliveryState::Failed, 1).await.remove(0);
    let again = other.redeliver("a", failed.number).await.unwrap();
    assert_eq!((again.state, again.redelivered), (DeliveryState::Pending, 1));
    log_has(&other, "a", DeliveryState::Delivered, 1).await;
    other.redeliver("a", failed.number).await.unwrap();
    let seen = receiver.sees(3).await;
    for one in &seen {
        assert_eq!((one.id(), &one.body), (seen[0].id(), &seen[0].body));
    }
    log_until(&other, "a", |found| {
        found.len() == 1 && (found[0].redelivered, found[0].attempts) == (2, 1)
    })
    .await;
    for (name, number) in [("a", 99), ("a", -1)] {
        let none = other.redeliver(name, number).await;
        assert!(matches!(none, Err(WebhookError::NoDelivery)), "{name} {number}");
    }
    other.pause("a").await.unwrap();
    world.feed.push_many(3);
    world.feed.forget();
    world.feed.push_many(1);
    other.resume("a").await.unwrap();
    receiver.accepts(2).await;
    let gap = log_has(&other, "a", DeliveryState::Gap, 1).await;
    let gap = gap.into_iter().find(|it| it.state == DeliveryState::Gap).unwrap();
    assert_eq!((gap.event_id, gap.error.as_deref()), (None, Some("kept for too short")));
    let again = other.redeliver("a", gap.number).await;
    assert!(matches!(again, Err(WebhookError::NoDelivery)), "there is nothing to deliver");
    running.stop().await;
}

#[tokio::test]
async fn processes_share_the_endpoints_and_take_over() {
    let receiver = Receiver::good().await;
    let world = World::new(quick());
    let first = world.open();
    for nth in 0..6 {
        first.create(endpoint(&format!("e{nth}"), &receiver.url())).await.unwrap();
    }
    let second = world.open();
    let running = [world.run(&first), world.run(&second)];
    // Until both have taken part.
    let delivered = async |of: &Webhooks| of.gauge().await.unwrap().delivered;
    let mut ids = BTreeSet::new();
    while delivered(&first).await == 0 || delivered(&second).await == 0 {
        ids.extend(world.feed.push_many(1));
        receiver.sees(6 * ids.len()).await;
    }
    // One ends in good order, the other one takes over at its next renewal; then without order.
    let [a, b] = running;
    a.stop().await;
    ids.extend(world.feed.push_many(10));
    receiver.sees(6 * ids.len()).await;
    for nth in 0..6 {
        log_has(&first, &format!("e{nth}"), DeliveryState::Delivered, ids.len()).await;
    }
    b.abort().await;
    let running = world.run(&first);
    ids.extend(world.feed.push_many(10));
    for nth in 0..6 {
        let name = format!("e{nth}");
        let logged = log_until(&first, &name, |found| {
            found.iter().filter_map(|it| it.event_id.clone()).collect::<BTreeSet<_>>() == ids
        })
        .await;
        // What was posted in the last moment is posted again.
        assert!(logged.len() < 2 * ids.len(), "{}", logged.len());
    }
    running.stop().await;
}

/// Also when the process that had it gave it back meanwhile.
#[tokio::test]
async fn what_waited_is_due_at_once_after_a_resume() {
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let long = Duration::from_secs(3_600);
    let options = Options { retry_pauses: vec![long; 3], ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(3);
    receiver.sees(3).await;
    endpoint_until(&webhooks, "a", |found| found.failures == 3).await;
    webhooks.pause("a").await.unwrap();
    running.stop().await;
    receiver.change(|_, _| Answer::Status(200));
    webhooks.resume("a").await.unwrap();
    let running = world.run(&world.open());
    receiver.accepts(3).await;
    running.stop().await;
}

/// What waits for long is not in one process's memory alone.
#[tokio::test]
async fn what_waits_survives_the_process_that_has_read_it() {
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let pause = Duration::from_millis(500);
    let options = Options { retry_pauses: vec![pause; 100], probe_pause: pause, ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(50);
    // Only the first ones are tried at a receiver that is down; all of them are read.
    endpoint_until(&webhooks, "a", |found| found.pending == 50).await;
    log_has(&world.open(), "a", DeliveryState::Pending, 50).await;
    running.abort().await;
    // The feed forgets, so that they can only be in the store.
    world.feed.forget();
    receiver.change(|_, _| Answer::Status(200));
    let running = world.run(&world.open());
    assert_eq!(receiver.accepts(50).await.len(), 50);
    running.stop().await;
}

/// So that much happens between the look into an inbox and what follows from it.
struct SlowInbox(Arc<dyn Tables>);

#[async_trait]
impl Tables for SlowInbox {
    async fn get(&self, part: &RecordPart, key: &[u8]) -> Result<Option<Vec<u8>>, HotError> {
        self.0.get(part, key).await
    }

    async fn scan(
        &self,
        part: &RecordPart,
        range: RecordRange,
    ) -> Result<Vec<RecordRow>, HotError> {
        let found = self.0.scan(part, range).await;
        if part.kind.name == "webhook.inbox" {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        found
    }

    async fn put(&self, part: &RecordPart, rows: Vec<RecordPut>) -> Result<(), HotError> {
        self.0.put(part, rows).await
    }

    async fn replace(
        &self,
        part: &RecordPart,
        seen: Option<&[u8]>,
        next: RecordPut,
    ) -> Result<bool, HotError> {
        self.0.replace(part, seen, next).await
    }

    async fn drop_below(&self, part: &RecordPart, key: Option<&[u8]>) -> Result<(), HotError> {
        self.0.drop_below(part, key).await
    }

    async fn forget_expired(&self) -> Result<bool, HotError> {
        self.0.forget_expired().await
    }
}

/// Announcements while one process after the other has the endpoint.
#[tokio::test]
async fn what_is_left_survives_a_change_of_hands() {
    let receiver = Receiver::good().await;
    let world = World::new(Options { lease: Duration::from_millis(200), ..quick() });
    let caller = world.open();
    caller.create(endpoint("a", &receiver.url())).await.unwrap();
    let mut ids = BTreeSet::new();
    for round in 0..8 {
        let slow = || Arc::new(SlowInbox(world.place.tables()));
        let process = || Arc::new(Webhooks::new(slow(), world.options.clone()).unwrap());
        let running = [world.run(&process()), world.run(&process())];
        for nth in 0..20 {
            let id = format!("n{round}-{nth}");
            let announcement = Announcement {
                id: id.clone(),
                event_type: "coupons.expiring".to_owned(),
                only_by_name: false,
                at_ms: 0,
                campaigns: Vec::new(),
                data: serde_json::Value::Null,
            };
            assert_eq!(caller.announce(announcement).await.unwrap().endpoints, 1);
            ids.insert(id);
            match nth % 10 {
                3 => drop(caller.pause("a").await.unwrap()),
                9 => drop(caller.resume("a").await.unwrap()),
                _ => {}
            }
            // Some leases end meanwhile.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        for (nth, one) in running.into_iter().enumerate() {
            match nth == round % 2 {
                true => one.abort().await,
                false => one.stop().await,
            }
        }
    }
    let running = world.run(&world.open());
    let accepted: BTreeSet<String> = receiver.accepts(ids.len()).await.into_iter().collect();
    assert_eq!(accepted, ids);
    running.stop().await;
}

#[tokio::test]
async fn a_late_attempt_of_a_delivery_that_has_ended() {
    // What waits for good keeps the rows of both.
    let receiver = Receiver::start(|seen, nth| match seen.id() {
        "event-2" if nth > 1 => Answer::Status(200),
        _ => Answer::Status(500),
    })
    .await;
    // In the middle of a block, so that both are in one.
    let begun = Instant::now();
    let now = move || 1_800_000_000_000 + begun.elapsed().as_millis() as i64;
    let options = Options { clock: Arc::new(now), ..quick() };
    let (world, webhooks, running) = World::with(options, endpoint("a", &receiver.url())).await;
    world.feed.push_many(2);
    let arrived = log_has(&webhooks, "a", DeliveryState::Delivered, 1).await;
    let arrived = arrived.into_iter().find(|it| it.state == DeliveryState::Delivered).unwrap();
    running.stop().await;
    write_late(&world, "a", arrived.number).await;
    let other = world.open();
    receiver.change(|_, _| Answer::Status(200));
    let running = world.run(&other);
    log_has(&other, "a", DeliveryState::Delivered, 2).await;
    log_has(&other, "a", DeliveryState::Pending, 0).await;
    assert_eq!(receiver.accepts(2).await.len(), 2, "the late one is not posted");
    running.stop().await;
}

/// Writes the next attempt of a delivery that has ended, as a process does that was frozen before that.
async fn write_late(world: &World, name: &str, number: i64) {
    let tables = world.place.tables();
    let part = |kind, name: Vec<u8>| RecordKind { name: kind, sync: RecordSync::Later }.part(name);
    let row = tables.get(&part("webhook", Vec::new()), name.as_bytes()).await.unwrap();
    let row: serde_json::Value = serde_json::from_slice(&row.unwrap()).unwrap();
    let webhook = row["number"].as_i64().unwrap().to_be_bytes();
    // Its block is known, since something else waits there.
    let progress = tables.get(&part("webhook.progress", webhook.into()), b"").await.unwrap();
    let progress: serde_json::Value = serde_json::from_slice(&progress.unwrap()).unwrap();
    let block = number >> 31 << 4 | number >> 18 & 15;
    assert!(progress["blocks"].as_array().unwrap().contains(&json!(block)), "{progress}");
    let facts = json!({
        "id": "late", "event_type": "coupon.redeemed", "code": null, "created_at": 0, "attempts": 1,
        "redelivered": 0, "tried_at": 0, "status": 500, "error": null, "duration_ms": 1,
        "next_at": 0, "ended_at": null, "announced": false,
    });
    let key = [&[0], number.to_be_bytes().as_slice()].concat();
    let row = RecordPut::new(key, facts.to_string());
    let waiting = part("webhook.waiting", [webhook, block.to_be_bytes()].concat());
    tables.put(&waiting, vec![row]).await.unwrap();
}
