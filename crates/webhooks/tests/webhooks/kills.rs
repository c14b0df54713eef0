//! Processes that are killed and frozen at random moments: each event arrives, in the order of its code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;
use webhooks::{
    DeliveryFilter, DeliveryState, Event, NewEndpoint, Options, Read, Source, Start, Webhooks,
};

use crate::place::{Place, open_named};
use crate::receiver::{Answer, Receiver};
use crate::world::{World, endpoint, quick};

const EVENTS: usize = 3_000;
const CODES: usize = 50;
const ROUNDS: usize = 8;
const NAME: &str = "COUPONRY_TEST_WEBHOOKS";

/// The same events in every process.
struct Fixed;

#[async_trait]
impl Source for Fixed {
    async fn read(&self, after: Start<'_>, limit: usize) -> Read {
        let Start::After(after) = after else { panic!("every endpoint has a cursor") };
        let after: usize = after.parse().unwrap();
        let next = (after + limit).min(EVENTS);
        let event = |nth: usize| Event {
            id: format!("event-{nth}"),
            cursor: nth.to_string(),
            event_type: "coupon.redeemed".to_owned(),
            only_by_name: false,
            at_ms: 0,
            campaign: None,
            code: Some(format!("CODE{}", nth % CODES)),
            data: json!({ "nth": nth }),
        };
        let events = (after + 1..=next).map(event).collect();
        Read::Page { events, next: next.to_string(), is_end: next == EVENTS }
    }
}

fn options() -> Options {
    Options { page: 37, pending_max: 100, lease: Duration::from_secs(2), ..quick() }
}

/// The process that is killed: not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the other test"]
async fn killed_process() {
    let Ok(name) = std::env::var(NAME) else { return };
    let webhooks = Arc::new(open_named(&name, options()).await);
    webhooks.run(Arc::new(Fixed), std::future::pending()).await;
}

/// Ends with the test, also with one that panics.
struct Process(Child);

impl Process {
    fn start(name: &str) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::killed_process", "--ignored"])
            .env(NAME, name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// One that is slow, or fails, now and then.
async fn receiver() -> Receiver {
    Receiver::start(|_, nth| match nth % 4 {
        0 => Answer::Status(500),
        1 => Answer::Slow(Duration::from_millis(20), 200),
        _ => Answer::Status(200),
    })
    .await
}

fn random(below: u64) -> u64 {
    Uuid::new_v4().as_u64_pair().0 % below
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost() {
    if Place::find().is_none() {
        return;
    }
    let world = World::new(options());
    let name = world.place.name();
    let webhooks = world.open();
    let receivers = [receiver().await, receiver().await];
    for (name, receiver) in ["a", "b"].into_iter().zip(&receivers) {
        let new = NewEndpoint { ordered: true, ..endpoint(name, &receiver.url()) };
        webhooks.create(new).await.unwrap();
    }
    let mut processes = [(); 3].map(|()| Process::start(&name));
    for nth in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(700 + random(1_500))).await;
        let process = &mut processes[nth % 3];
        match random(2) {
            0 => *process = Process::start(&name),
            // For longer than its leases last, and it goes on in the middle of what it did.
            _ => {
                process.signal("-STOP");
                tokio::time::sleep(Duration::from_millis(3_500)).await;
                process.signal("-CONT");
            }
        }
    }
    for receiver in &receivers {
        assert_in_order(&receiver.accepts(EVENTS).await);
    }
    while webhooks.gauge().await.unwrap().pending > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for name in ["a", "b"] {
        assert_eq!(logged(&webhooks, name).await.len(), EVENTS, "{name}");
    }
}

fn assert_in_order(accepted: &[String]) {
    let mut codes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for id in accepted {
        let nth: usize = id.strip_prefix("event-").unwrap().parse().unwrap();
        codes.entry(nth % CODES).or_default().push(nth);
    }
    for found in codes.values() {
        assert!(found.is_sorted(), "{found:?}");
    }
}

async fn logged(webhooks: &Webhooks, name: &str) -> BTreeSet<String> {
    let (mut found, mut before) = (BTreeSet::new(), None);
    loop {
        let filter = DeliveryFilter { state: Some(DeliveryState::Delivered), before };
        let page = webhooks.deliveries(name, filter, 1_000).await.unwrap();
        let Some(last) = page.last() else { return found };
        before = Some(last.number);
        found.extend(page.into_iter().filter_map(|it| it.event_id));
    }
}
