//! An endpoint that is slow, down or behind delays no other one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use webhooks::{Announcement, Delivery, NewEndpoint, Options};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, endpoint, endpoint_until, log_until, quick};

#[tokio::test]
async fn slow_ones_delay_nobody() {
    let slow = Receiver::start(|_, _| Answer::Hang).await;
    let good = Receiver::good().await;
    let world = World::new(Options { in_flight_shared: 4, ..quick() });
    let webhooks = world.open();
    for nth in 0..20 {
        webhooks.create(endpoint(&format!("slow{nth}"), &slow.url())).await.unwrap();
    }
    webhooks.create(endpoint("good", &good.url())).await.unwrap();
    let running = world.run(&webhooks);
    world.feed.push_many(200);
    // All before the first attempt at a slow one ends, after 15 s.
    slow.sees(20 + 4).await;
    good.accepts(200).await;
    let first = slow.seen()[0].at;
    let last = good.seen()[199].at;
    assert!(last - first < Duration::from_secs(15), "{:?}", last - first);
    assert_eq!(slow.seen().len(), 24, "one each, and the shared places");
    running.abort().await;
}

#[tokio::test]
async fn one_that_is_down_leaves_events_in_the_feed() {
    let [down, good] = [Receiver::start(|_, _| Answer::Status(500)).await, Receiver::good().await];
    let world = World::new(Options { pending_max: 20, page: 7, ..quick() });
    let webhooks = world.open();
    webhooks.create(endpoint("down", &down.url())).await.unwrap();
    webhooks.create(endpoint("good", &good.url())).await.unwrap();
    let running = world.run(&webhooks);
    let ids = world.feed.push_many(100);
    assert_eq!(good.accepts(100).await.len(), 100);
    let found = endpoint_until(&webhooks, "down", |found| found.pending >= 20).await;
    assert!(found.pending < 20 + 7, "at most a page more: {}", found.pending);
    down.change(|_, _| Answer::Status(200));
    let mut accepted = down.accepts(100).await;
    accepted.sort_by_key(|id| ids.iter().position(|it| it == id));
    assert_eq!(accepted, ids);
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_full_gets_no_announcements() {
    let [down, good] = [Receiver::start(|_, _| Answer::Status(500)).await, Receiver::good().await];
    let world = World::new(Options { announced_max: 3, ..quick() });
    let webhooks = world.open();
    webhooks.create(endpoint("down", &down.url())).await.unwrap();
    webhooks.create(endpoint("good", &good.url())).await.unwrap();
    let running = world.run(&webhooks);
    let announcement = |nth: usize| Announcement {
        id: format!("n{nth}"),
        event_type: "coupons.expiring".to_owned(),
        only_by_name: false,
        at_ms: 0,
        campaigns: Vec::new(),
        data: serde_json::Value::Null,
    };
    for (nth, full) in [(0, 0), (1, 0), (2, 0), (3, 1), (2, 0)] {
        let mut announced = webhooks.announce(announcement(nth)).await.unwrap();
        // While one is taken out of the inbox, it counts twice for a moment.
        while announced.full > full {
            tokio::time::sleep(Duration::from_millis(5)).await;
            announced = webhooks.announce(announcement(nth)).await.unwrap();
        }
        assert_eq!((announced.endpoints, announced.full), (2 - full, full), "{nth}");
        good.accepts(nth + 1).await;
    }
    down.change(|_, _| Answer::Status(200));
    down.accepts(3).await;
    endpoint_until(&webhooks, "down", |found| found.pending == 0).await;
    // It is counted now and then.
    while webhooks.announce(announcement(3)).await.unwrap().full > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    down.accepts(4).await;
    running.stop().await;
}

#[tokio::test]
async fn endpoints_share_reads_of_the_feed() {
    let good = Receiver::good().await;
    let world = World::new(Options { page: 100, ..quick() });
    let webhooks = world.open();
    world.feed.push_many(100);
    for nth in 0..8 {
        let cursor = Some((nth * 10).to_string());
        let new = NewEndpoint { cursor, ..endpoint(&format!("e{nth}"), &good.url()) };
        webhooks.create(new).await.unwrap();
    }
    let running = world.run(&webhooks);
    // On a cluster one is leased after the other: the first hundred bring all of them to one place.
    for (more, pushed) in [(0, 100), (900, 1_000)] {
        world.feed.push_many(more);
        for nth in 0..8 {
            let want = pushed - nth * 10;
            let has_all = |found: &[Delivery]| {
                found.len() == want && found.iter().all(|it| it.ended_at.is_some())
            };
            log_until(&webhooks, &format!("e{nth}"), has_all).await;
        }
    }
    running.stop().await;
    // Alone, each would read ten.
    let pages = world.feed.pages.load(Ordering::SeqCst);
    assert!(pages < 40, "{pages}");
}

#[tokio::test]
async fn a_feed_that_is_down_is_asked_again() {
    let good = Receiver::good().await;
    let world = World::new(quick());
    world.feed.is_down.store(true, Ordering::SeqCst);
    let webhooks = world.open();
    webhooks.create(endpoint("a", &good.url())).await.unwrap();
    let running = world.run(&webhooks);
    world.feed.push_many(3);
    while world.feed.reads.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    // What waits already is sent meanwhile.
    let announcement = Announcement {
        id: "n1".to_owned(),
        event_type: "coupons.expiring".to_owned(),
        only_by_name: false,
        at_ms: 0,
        campaigns: Vec::new(),
        data: serde_json::Value::Null,
    };
    webhooks.announce(announcement).await.unwrap();
    good.accepts(1).await;
    world.feed.is_down.store(false, Ordering::SeqCst);
    good.accepts(4).await;
    running.stop().await;
}
