//! What arrives, and how it is signed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use webhooks::{
    Announced, Announcement, DeliveryState, EndpointChanges, NewEndpoint, Options, Rotation,
    Secrets, WebhookError,
};

use crate::receiver::{Answer, Receiver, Seen};
use crate::world::{World, clock, deliveries, endpoint, endpoint_until, log_has, log_until, quick};

fn assert_signed(seen: &Seen, secrets: &str) {
    let timestamp = seen.header("webhook-timestamp").parse().unwrap();
    let want = Secrets::read(secrets).unwrap().sign(seen.id(), timestamp, &seen.body);
    assert_eq!(seen.header("webhook-signature"), want);
}

#[tokio::test]
async fn as_in_standard_webhooks() {
    let receiver = Receiver::good().await;
    let world = World::new(quick());
    let webhooks = world.open();
    let (_, secret, is_new) = webhooks.create(endpoint("a", &receiver.url())).await.unwrap();
    assert!(is_new);
    let running = world.run(&webhooks);
    let id = world.feed.push("coupon.redeemed", Some("spring"), Some("CODE1"));
    let seen = receiver.sees(1).await.remove(0);
    assert_eq!(seen.line, "POST /in");
    assert_eq!(seen.header("content-type"), "application/json");
    assert!(seen.header("user-agent").starts_with("couponry/"), "{seen:?}");
    assert_eq!(seen.id(), id);
    assert_signed(&seen, secret.reveal());
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let want = json!({
        "type": "coupon.redeemed",
        "timestamp": "2027-03-08T10:02:30.512Z",
        "data": { "event_id": id, "nth": 1 },
    });
    assert_eq!(body, want);
    let logged = log_has(&webhooks, "a", DeliveryState::Delivered, 1).await.remove(0);
    assert_eq!(
        (logged.event_id, logged.event_type, logged.code, logged.status, logged.attempts),
        (Some(id), Some("coupon.redeemed".into()), Some("CODE1".into()), Some(204), 1)
    );
    running.stop().await;
}

#[tokio::test]
async fn only_what_an_endpoint_asks_for() {
    let receiver = Receiver::good().await;
    let types = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    let new = |name: &str, types: Option<BTreeSet<String>>, campaign: Option<&str>| NewEndpoint {
        types,
        campaign: campaign.map(str::to_owned),
        ..endpoint(name, &receiver.url())
    };
    let world = World::new(quick());
    let webhooks = world.open();
    let cases: [(NewEndpoint, &[usize]); 4] = [
        (new("all", None, None), &[1, 3, 4, 5]),
        (new("holds", types(&["coupon.held"]), None), &[2]),
        (new("spring", None, Some("spring")), &[1, 4]),
        (new("both", types(&["coupon.issued"]), Some("spring")), &[4]),
    ];
    for (new, _) in &cases {
        webhooks.create(new.clone()).await.unwrap();
    }
    let rows = [
        ("coupon.redeemed", Some("spring")),
        ("coupon.held", Some("spring")),
        ("coupon.redeemed", Some("autumn")),
        ("coupon.issued", Some("spring")),
        ("day.archived", None),
    ];
    for (event_type, campaign) in rows {
        world.feed.push(event_type, campaign, None);
    }
    let running = world.run(&webhooks);
    for (new, want) in &cases {
        let name = new.webhook_id.as_deref().unwrap();
        let logged = log_has(&webhooks, name, DeliveryState::Delivered, want.len()).await;
        let ids: Vec<String> = logged.into_iter().rev().filter_map(|it| it.event_id).collect();
        let want: Vec<String> = want.iter().map(|nth| format!("event-{nth}")).collect();
        assert_eq!(ids, want, "{name}");
    }
    // Of what is read from now on.
    let changes = EndpointChanges { campaign: Some(Some("winter".into())), ..Default::default() };
    webhooks.update("spring", changes).await.unwrap();
    world.feed.push("coupon.redeemed", Some("spring"), None);
    world.feed.push("coupon.redeemed", Some("winter"), None);
    let logged = log_has(&webhooks, "spring", DeliveryState::Delivered, 3).await;
    assert_eq!(logged[0].event_id.as_deref(), Some("event-7"));
    running.stop().await;
}

#[tokio::test]
async fn secrets_change_without_a_break() {
    let receiver = Receiver::good().await;
    let (time, clock) = clock(1_000_000);
    let world = World::new(Options { clock, ..quick() });
    let webhooks = world.open();
    let (_, first, _) = webhooks.create(endpoint("a", &receiver.url())).await.unwrap();
    let running = world.run(&webhooks);
    let rotate = |overlap: u64, name: Option<&str>| {
        let rotate_ref = name.map(str::to_owned);
        webhooks
            .rotate_secret("a", Rotation { rotate_ref, overlap: Duration::from_millis(overlap) })
    };
    let (second, is_made) = rotate(1_000, Some("r1")).await.unwrap();
    let (again, is_made_again) = rotate(1_000, Some("r1")).await.unwrap();
    assert_eq!(second.reveal(), again.reveal(), "a repeat is no second rotation");
    assert_eq!([is_made, is_made_again], [true, false]);
    assert_ne!(first.reveal(), second.reveal());
    let both = format!("{}\n{}", second.reveal(), first.reveal());
    world.feed.push_many(1);
    assert_signed(&receiver.sees(1).await[0], &both);
    // The time of the first is over, but who knows whether the clock is right.
    time.store(1_001_000, Ordering::SeqCst);
    world.feed.push_many(1);
    assert_signed(&receiver.sees(2).await[1], &both);
    webhooks.trust_clock(true);
    world.feed.push_many(1);
    assert_signed(&receiver.sees(3).await[2], second.reveal());
    endpoint_until(&webhooks, "a", |found| found.secrets.len() == 1).await;
    for _ in 0..3 {
        rotate(1_000, None).await.unwrap();
    }
    assert!(matches!(rotate(1_000, None).await, Err(WebhookError::TooManySecrets)));
    let last = rotate(0, None).await.unwrap();
    world.feed.push_many(1);
    assert_signed(&receiver.sees(4).await[3], last.0.reveal());
    running.stop().await;
}

#[tokio::test]
async fn paused_and_resumed() {
    let receiver = Receiver::good().await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    let other = Receiver::good().await;
    webhooks.create(endpoint("b", &other.url())).await.unwrap();
    world.feed.push_many(2);
    receiver.accepts(2).await;
    webhooks.pause("a").await.unwrap();
    webhooks.pause("a").await.unwrap();
    world.feed.push_many(3);
    other.accepts(5).await;
    assert_eq!(receiver.accepted().len(), 2, "nothing comes while it is paused");
    webhooks.resume("a").await.unwrap();
    assert_eq!(receiver.accepts(5).await.len(), 5, "and then all of it");
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_deleted_gets_nothing_more() {
    let receiver = Receiver::start(|_, _| Answer::Hang).await;
    let (world, webhooks, running) = World::with(quick(), endpoint("a", &receiver.url())).await;
    world.feed.push_many(50);
    receiver.sees(8).await;
    webhooks.delete("a").await.unwrap();
    assert!(matches!(webhooks.get("a").await, Err(WebhookError::NotFound)));
    assert!(matches!(webhooks.delete("a").await, Err(WebhookError::NotFound)));
    // A new one of the same name begins anew.
    let good = Receiver::good().await;
    let new = NewEndpoint { cursor: Some("40".to_owned()), ..endpoint("a", &good.url()) };
    webhooks.create(new).await.unwrap();
    assert_eq!(good.accepts(10).await[0], "event-41");
    log_has(&webhooks, "a", DeliveryState::Delivered, 10).await;
    assert_eq!(deliveries(&webhooks, "a").await.len(), 10, "nothing of the old one");
    running.stop().await;
    assert_eq!(receiver.seen().len(), 8);
}

#[tokio::test]
async fn announcements() {
    let [receiver, other] = [Receiver::good().await, Receiver::good().await];
    let world = World::new(quick());
    let webhooks = world.open();
    webhooks.create(endpoint("all", &receiver.url())).await.unwrap();
    let spring = NewEndpoint { campaign: Some("spring".into()), ..endpoint("b", &other.url()) };
    webhooks.create(spring).await.unwrap();
    webhooks.create(endpoint("paused", &other.url())).await.unwrap();
    webhooks.pause("paused").await.unwrap();
    let announcement = |id: &str, campaign: &str| Announcement {
        id: id.to_owned(),
        event_type: "coupons.expiring".to_owned(),
        only_by_name: false,
        at_ms: 0,
        campaigns: vec![campaign.to_owned(), "other".to_owned()],
        data: json!({ "user_id": "ann" }),
    };
    // By a process that does not send.
    let teller = world.open();
    let cases = [
        ("to all of them", announcement("n1", "spring"), 3),
        ("a repeat", announcement("n1", "spring"), 3),
        ("not to one of another campaign", announcement("n2", "autumn"), 2),
        ("to nobody", Announcement { only_by_name: true, ..announcement("n3", "spring") }, 0),
    ];
    for (name, announcement, endpoints) in cases {
        let announced = teller.announce(announcement).await.unwrap();
        assert_eq!(announced, Announced { endpoints, full: 0 }, "{name}");
    }
    drop(teller);
    let running = world.run(&webhooks);
    assert_eq!(receiver.accepts(2).await, ["n1", "n2"]);
    assert_eq!(other.accepts(1).await, ["n1"]);
    log_until(&webhooks, "all", |found| found.iter().all(|it| it.ended_at.is_some())).await;
    teller_repeats(&world, announcement("n1", "spring")).await;
    let changed = Announcement { data: json!(1), ..announcement("n4", "autumn") };
    webhooks.announce(changed).await.unwrap();
    assert_eq!(receiver.accepts(3).await, ["n1", "n2", "n4"]);
    assert_eq!(receiver.seen().len(), 3, "repeats are not posted");
    running.stop().await;
}

async fn teller_repeats(world: &World, announcement: Announcement) {
    let announced = world.open().announce(announcement).await.unwrap();
    assert_eq!(announced.endpoints, 3, "also when it has arrived");
}

#[tokio::test]
async fn tested_by_hand() {
    let receiver = Receiver::start(|_, nth| {
        if nth == 0 { Answer::Status(200) } else { Answer::With(500, "x-a: b".into()) }
    })
    .await;
    let world = World::new(quick());
    let webhooks = world.open();
    let (_, secret, _) = webhooks.create(endpoint("a", &receiver.url())).await.unwrap();
    webhooks.pause("a").await.unwrap();
    let good = webhooks.test("a").await.unwrap();
    let bad = webhooks.test("a").await.unwrap();
    assert_eq!((good.is_delivered, good.status, good.error), (true, Some(200), None));
    let why = Some("500 X why".to_owned());
    assert_eq!((bad.is_delivered, bad.status), (false, Some(500)));
    assert!(
        bad.error.as_deref().is_some_and(|it| it.starts_with("500") && it.ends_with("why")),
        "{bad:?} {why:?}"
    );
    let seen = receiver.seen();
    assert_signed(&seen[0], secret.reveal());
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(
        (&body["type"], &body["data"]),
        (&json!("webhook.test"), &json!({ "webhook_id": "a" }))
    );
    let logged = deliveries(&webhooks, "a").await;
    let states: Vec<DeliveryState> = logged.iter().map(|it| it.state).collect();
    assert_eq!(states, [DeliveryState::Failed, DeliveryState::Delivered]);
    assert_eq!(logged[1].number, good.number);
    assert_eq!(logged[1].event_id, Some(good.event_id));
    assert!(matches!(webhooks.test("b").await, Err(WebhookError::NotFound)));
}
