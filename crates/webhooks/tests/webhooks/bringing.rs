//! The webhooks of one store, brought to another as a copy does: no event is missing, and a call that is cut short
//! leaves no endpoint that is not whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hot::HotError;
use hot::tables::{RecordPart, RecordPut, RecordRange, RecordRow, Tables};
use webhooks::{
    BroughtWebhooks, DeliveryState, EndpointState, NewEndpoint, Rotation, WebhookError, Webhooks,
    bring_webhooks,
};

use crate::receiver::{Answer, Receiver};
use crate::world::{World, deliveries, endpoint, endpoint_until, log_has, quick};

/// Events of the new store from before the copy: no endpoint gets them, and the ids of later ones are new.
const BEFORE: usize = 1_000;

fn new_world() -> World {
    let world = World::new(quick());
    world.feed.push_many(BEFORE);
    world
}

async fn brings(from: &World, to: &World) -> Result<BroughtWebhooks, WebhookError> {
    let old = (from.place.tables(), &*from.feed as _);
    bring_webhooks(old, (to.place.tables(), &*to.feed as _)).await
}

/// Two endpoints whose receivers fail, one that is paused, and one that nobody has ever posted to.
struct Old {
    world: World,
    receivers: [Receiver; 3],
    events: Vec<String>,
}

const NAMES: [&str; 3] = ["failing", "held", "paused"];

fn of(receiver: &Receiver, name: &str) -> NewEndpoint {
    let types = (name == "held").then(|| BTreeSet::from(["coupon.held".to_owned()]));
    NewEndpoint { types, ordered: name == "failing", ..endpoint(name, &receiver.url()) }
}

impl Old {
    /// Killed while some events wait, and before others are read.
    async fn killed() -> Old {
        let world = World::new(quick());
        let webhooks = world.open();
        let failing = || Receiver::start(|_, _| Answer::Status(500));
        let receivers = [failing().await, failing().await, Receiver::good().await];
        for (name, receiver) in NAMES.iter().zip(&receivers) {
            webhooks.create(of(receiver, name)).await.unwrap();
        }
        let rotation =
            Rotation { rotate_ref: Some("r".to_owned()), overlap: Duration::from_secs(60) };
        webhooks.rotate_secret("failing", rotation).await.unwrap();
        webhooks.pause("paused").await.unwrap();
        let mut events = world.feed.push_many(4);
        world.feed.push("coupon.held", None, Some("A"));
        let running = world.run(&webhooks);
        log_has(&webhooks, "failing", DeliveryState::Pending, 4).await;
        log_has(&webhooks, "held", DeliveryState::Pending, 1).await;
        running.abort().await;
        events.extend(world.feed.push_many(5));
        Old { world, receivers, events }
    }

    /// Everything arrives from the new store, and then what is new there.
    async fn arrives_from(&self, new: &World) {
        let webhooks = new.open();
        for receiver in &self.receivers {
            receiver.change(|_, _| Answer::Status(204));
        }
        webhooks.resume("paused").await.unwrap();
        let running = new.run(&webhooks);
        let late = new.feed.push_many(2);
        let wanted: BTreeSet<String> = self.events.iter().chain(&late).cloned().collect();
        for (name, receiver) in [("failing", &self.receivers[0]), ("paused", &self.receivers[2])] {
            let accepted = receiver.accepts(wanted.len()).await;
            assert_eq!(accepted.into_iter().collect::<BTreeSet<_>>(), wanted, "{name}");
            log_has(&webhooks, name, DeliveryState::Pending, 0).await;
        }
        assert_eq!(self.receivers[1].accepts(1).await, ["event-5"], "only holds");
        let gaps = deliveries(&webhooks, "failing").await;
        assert!(gaps.iter().all(|it| it.state == DeliveryState::Delivered), "{gaps:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn no_event_is_missing() {
    let old = Old::killed().await;
    let new = new_world();
    let (before, after) = (old.world.open(), new.open());
    // Nine events, of which one has read four; and a hold.
    let want = BroughtWebhooks { endpoints: 3, waiting: 9 + 1 + 9 };
    for pass in ["first", "again"] {
        assert_eq!(brings(&old.world, &new).await.unwrap(), want, "{pass}");
        for (name, receiver) in NAMES.iter().zip(&old.receivers) {
            let [(here, mine), (there, other)] = [
                before
                    .create(of(receiver, name))
                    .await
                    .map(|(it, secret, _)| (it, secret))
                    .unwrap(),
                after.create(of(receiver, name)).await.map(|(it, secret, _)| (it, secret)).unwrap(),
            ];
            assert_eq!(mine.reveal(), other.reveal(), "{pass}: {name}");
            let there = webhooks::Endpoint { pending: here.pending, ..there };
            assert_eq!(there, here, "{pass}: {name}");
        }
        let paused = after.get("paused").await.unwrap();
        assert!(matches!(paused.state, EndpointState::Paused { .. }), "{pass}");
    }
    old.arrives_from(&new).await;
}

/// What the old store has delivered since an earlier copy is not posted again, and what was deleted there goes.
#[tokio::test]
async fn the_last_copy_counts() {
    let old = Old::killed().await;
    let new = new_world();
    brings(&old.world, &new).await.unwrap();
    let webhooks = old.world.open();
    for receiver in &old.receivers {
        receiver.change(|_, _| Answer::Status(204));
    }
    webhooks.delete("held").await.unwrap();
    webhooks.resume("paused").await.unwrap();
    let running = old.world.run(&webhooks);
    for (name, receiver) in [("failing", &old.receivers[0]), ("paused", &old.receivers[2])] {
        receiver.accepts(9).await;
        log_has(&webhooks, name, DeliveryState::Delivered, 9).await;
    }
    running.stop().await;
    let want = BroughtWebhooks { endpoints: 2, waiting: 0 };
    assert_eq!(brings(&old.world, &new).await.unwrap(), want);
    let after = new.open();
    let names: Vec<String> =
        after.list(None, 10).await.unwrap().into_iter().map(|it| it.webhook_id).collect();
    assert_eq!(names, ["failing", "paused"]);
    for name in ["failing", "paused"] {
        let [was, is] = [deliveries(&webhooks, name).await, deliveries(&after, name).await];
        assert_eq!(is, was, "the log of {name}");
    }
    let seen = old.receivers[0].seen().len();
    let running = new.run(&after);
    let late = new.feed.push_many(1);
    old.receivers[0].accepts(10).await;
    assert_eq!(old.receivers[0].seen()[seen..].iter().map(|it| it.id()).collect::<Vec<_>>(), late);
    running.stop().await;
}

/// Fails after so many writes.
struct StoppingTables {
    inner: Arc<dyn Tables>,
    left: AtomicUsize,
}

impl StoppingTables {
    fn writes(&self) -> Result<(), HotError> {
        let less = |left: usize| left.checked_sub(1);
        let taken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.map(drop).map_err(|_| HotError::Unavailable("stopped here".into()))
    }
}

#[async_trait]
impl Tables for StoppingTables {
    async fn get(&self, part: &RecordPart, key: &[u8]) -> Result<Option<Vec<u8>>, HotError> {
        self.inner.get(part, key).await
    }

    async fn scan(
        &self,
        part: &RecordPart,
        range: RecordRange,
    ) -> Result<Vec<RecordRow>, HotError> {
        self.inner.scan(part, range).await
    }

    async fn put(&self, part: &RecordPart, rows: Vec<RecordPut>) -> Result<(), HotError> {
        self.writes()?;
        self.inner.put(part, rows).await
    }

    async fn replace(
        &self,
        part: &RecordPart,
        seen: Option<&[u8]>,
        next: RecordPut,
    ) -> Result<bool, HotError> {
        self.writes()?;
        self.inner.replace(part, seen, next).await
    }

    async fn drop_below(&self, part: &RecordPart, key: Option<&[u8]>) -> Result<(), HotError> {
        self.writes()?;
        self.inner.drop_below(part, key).await
    }

    async fn forget_expired(&self) -> Result<bool, HotError> {
        self.inner.forget_expired().await
    }
}

#[tokio::test]
async fn an_endpoint_is_whole_or_not_there() {
    let old = Old::killed().await;
    let new = new_world();
    let (mut stops, mut partial) = (0, 0);
    loop {
        let left = AtomicUsize::new(stops);
        let to = Arc::new(StoppingTables { inner: new.place.tables(), left });
        let from = (old.world.place.tables(), &*old.world.feed as _);
        match bring_webhooks(from, (to, &*new.feed as _)).await {
            Ok(_) => break,
            Err(WebhookError::Store(_)) => stops += 1,
            Err(error) => panic!("{error}"),
        }
        let found = new.open().list(None, 10).await.unwrap();
        partial += usize::from(!found.is_empty());
        for it in found {
            let want = if it.webhook_id == "held" { 1 } else { 9 };
            assert_eq!(it.pending, want, "{}, stopped after {stops} writes", it.webhook_id);
        }
        assert!(stops < 500, "it comes to an end");
    }
    assert!(stops > 20 && partial > 2, "{stops}, {partial}");
    old.arrives_from(&new).await;
}

async fn refusal(from: &World, to: &World) -> String {
    let error = brings(from, to).await.unwrap_err().to_string();
    assert_eq!(to.open().list(None, 10).await.unwrap(), [], "{error}");
    error
}

#[tokio::test]
async fn what_cannot_be_brought() {
    let (from, to) = (World::new(quick()), new_world());
    let webhooks: Arc<Webhooks> = from.open();
    webhooks.create(endpoint("far", "http://127.0.0.1:9/")).await.unwrap();
    from.feed.is_down.store(true, Ordering::SeqCst);
    assert!(refusal(&from, &to).await.contains("the test says so"));
    from.feed.is_down.store(false, Ordering::SeqCst);
    from.feed.push_many(50_001);
    assert!(refusal(&from, &to).await.contains("webhook far has more than 50000 events"));
    // Events that the old store has deleted are a gap there, and are one here.
    from.feed.forget();
    assert_eq!(brings(&from, &to).await.unwrap(), BroughtWebhooks { endpoints: 1, waiting: 0 });
    let gaps = deliveries(&to.open(), "far").await;
    assert!(matches!(&gaps[..], [gap] if gap.state == DeliveryState::Gap), "{gaps:?}");
    endpoint_until(&to.open(), "far", |it| it.pending == 0).await;
}
