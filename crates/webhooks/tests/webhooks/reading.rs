//! Where an endpoint begins, and several processes on one file.

use std::collections::BTreeSet;
use std::time::Duration;

use webhooks::{NewEndpoint, Options, Webhooks};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, endpoint, quick};

#[tokio::test]
async fn begins_at_its_cursor_or_at_the_newest() {
    let [from_two, newest] = [Receiver::good().await, Receiver::good().await];
    let world = World::new(quick());
    let webhooks = world.open();
    world.feed.push_many(5);
    let new = |name: &str, receiver: &Receiver, cursor: Option<&str>| NewEndpoint {
        cursor: cursor.map(str::to_owned),
        ..endpoint(name, &receiver.url())
    };
    webhooks.create(new("two", &from_two, Some("2"))).await.unwrap();
    webhooks.create(new("newest", &newest, None)).await.unwrap();
    let running = world.run(&webhooks);
    from_two.accepts(3).await;
    // It has begun when it is at the end: events that come then are seen.
    let mut pushed = Vec::new();
    while newest.accepted().is_empty() {
        pushed.extend(world.feed.push_many(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    from_two.accepts(3 + pushed.len()).await;
    let first = newest.accepted()[0].clone();
    assert!(pushed.contains(&first), "{first}");
    running.stop().await;
}

#[tokio::test]
async fn two_processes_share_the_endpoints() {
    let receivers: Vec<Receiver> =
        [Receiver::good().await, Receiver::good().await, Receiver::good().await].into();
    let world = World::new(quick());
    let first = world.open();
    for nth in 0..12 {
        let url = receivers[nth % 3].url();
        first.create(endpoint(&format!("e{nth}"), &url)).await.unwrap();
    }
    let second = world.open();
    let running = [world.run(&first), world.run(&second)];
    // Until both have taken part.
    let delivered = async |of: &Webhooks| of.gauge().await.unwrap().delivered;
    let mut ids = BTreeSet::new();
    while delivered(&first).await == 0 || delivered(&second).await == 0 {
        ids.extend(world.feed.push_many(1));
        receivers[0].accepts(ids.len()).await;
    }
    ids.extend(world.feed.push_many(50));
    for receiver in &receivers {
        // Four endpoints each.
        let seen = receiver.sees(4 * ids.len()).await;
        // A machine that stalls may cause a few repeats.
        assert!(seen.len() < 5 * ids.len(), "{} requests for {} events", seen.len(), ids.len());
        let found: BTreeSet<String> = seen.iter().map(|it| it.id().to_owned()).collect();
        assert_eq!(found, ids);
    }
    let all = 12 * ids.len() as u64;
    while delivered(&first).await + delivered(&second).await < all {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One ends in good order, the other one takes over at once; then without order.
    let [a, b] = running;
    a.stop().await;
    world.feed.push_many(10);
    receivers[0].accepts(ids.len() + 10).await;
    b.abort().await;
    let running = world.run(&first);
    world.feed.push_many(10);
    receivers[1].accepts(ids.len() + 20).await;
    running.stop().await;
}

#[tokio::test]
async fn cut_off_in_the_middle() {
    let receiver = Receiver::start(|_, nth| match nth % 3 {
        0 => Answer::Status(500),
        1 => Answer::Close,
        _ => Answer::Status(200),
    })
    .await;
    let world = World::new(Options { page: 13, lease: Duration::from_millis(50), ..quick() });
    let ids: BTreeSet<String> = world.feed.push_many(300).into_iter().collect();
    world.open().create(endpoint("a", &receiver.url())).await.unwrap();
    for nth in 0..30 {
        let webhooks = world.open();
        let running = world.run(&webhooks);
        receiver.sees(nth * 7).await;
        running.abort().await;
    }
    let webhooks = world.open();
    let running = world.run(&webhooks);
    let accepted: BTreeSet<String> = receiver.accepts(300).await.into_iter().collect();
    assert_eq!(accepted, ids);
    running.stop().await;
}
