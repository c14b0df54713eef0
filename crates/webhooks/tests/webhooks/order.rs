//! The order of the events of one code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use webhooks::{NewEndpoint, Options};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, endpoint, quick};

/// Numbers that look random, the same in every run.
fn random(state: &AtomicU64) -> u64 {
    let next = |x: u64| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(next(x))).unwrap() >> 33
}

#[tokio::test]
async fn of_one_code_under_failures() {
    const CODES: u64 = 7;
    let state = AtomicU64::new(4_711);
    let chance = AtomicU64::new(42);
    let receiver = Receiver::start(move |_, _| match random(&chance) % 4 {
        0 => Answer::Status(500),
        1 => Answer::Close,
        _ => Answer::Status(200),
    })
    .await;
    let new = NewEndpoint { ordered: true, ..endpoint("a", &receiver.url()) };
    let (world, _webhooks, running) = World::with(Options { page: 11, ..quick() }, new).await;
    let mut codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..300 {
        let code = format!("CODE{}", random(&state) % CODES);
        let id = world.feed.push("coupon.redeemed", None, Some(&code));
        codes.entry(code).or_default().push(id);
    }
    let accepted = receiver.accepts(300).await;
    for (code, want) in codes {
        let wanted: BTreeSet<&String> = want.iter().collect();
        let found: Vec<String> =
            accepted.iter().filter(|id| wanted.contains(id)).cloned().collect();
        assert_eq!(found, want, "{code}");
    }
    assert!(receiver.seen().len() > 300, "some failed");
    running.stop().await;
}

#[tokio::test]
async fn other_codes_go_on() {
    let receiver = Receiver::start(|seen, _| match seen.body.contains("\"nth\":1}") {
        true => Answer::Status(500),
        false => Answer::Status(200),
    })
    .await;
    let new = NewEndpoint { ordered: true, ..endpoint("a", &receiver.url()) };
    let (world, _webhooks, running) = World::with(quick(), new).await;
    for code in ["BAD", "BAD", "GOOD", "GOOD", "GOOD"] {
        world.feed.push("coupon.redeemed", None, Some(code));
    }
    world.feed.push("campaign.paused", None, None);
    let mut accepted = receiver.accepts(4).await;
    accepted.sort();
    assert_eq!(accepted, ["event-3", "event-4", "event-5", "event-6"]);
    receiver.sees(20).await;
    assert!(receiver.seen().iter().all(|it| it.id() != "event-2"), "it waits");
    receiver.change(|_, _| Answer::Status(200));
    assert_eq!(receiver.accepts(6).await[4..], ["event-1", "event-2"]);
    running.stop().await;
}

#[tokio::test]
async fn without_order_nobody_waits() {
    let receiver = Receiver::start(|seen, _| match seen.id() {
        "event-1" => Answer::Hang,
        _ => Answer::Status(200),
    })
    .await;
    let (world, _webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    for _ in 0..5 {
        world.feed.push("coupon.redeemed", None, Some("CODE"));
    }
    receiver.accepts(4).await;
    running.abort().await;
}
