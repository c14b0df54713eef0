//! A process that is killed at random moments: each event arrives, and what is left without repeats is each once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use webhooks::{
    DeliveryFilter, DeliveryState, Event, NewEndpoint, Options, Read, Source, Start, Webhooks,
};

use crate::receiver::{Answer, Receiver};
use crate::world::{endpoint, quick};

const EVENTS: usize = 2_000;
const CODES: usize = 50;
const KILLS: usize = 20;
const FILE: &str = "COUPONRY_TEST_WEBHOOKS_FILE";

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
    Options { page: 37, lease: Duration::from_millis(60), ..quick() }
}

/// The process that is killed: not a test of its own.
#[tokio::test]
#[ignore = "run by the other tests"]
async fn killed_process() {
    let Ok(file) = std::env::var(FILE) else { return };
    let webhooks = Arc::new(Webhooks::open(Path::new(&file), options()).unwrap());
    webhooks.run(Arc::new(Fixed), std::future::pending()).await;
}

fn start(file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::killed_process", "--ignored"])
        .env(FILE, file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).unwrap();
    u64::from(u32::from_le_bytes(bytes)) % below
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("webhooks.db");
    let receiver = Receiver::start(|_, nth| match nth % 4 {
        0 => Answer::Status(500),
        1 => Answer::Slow(Duration::from_millis(5), 200),
        _ => Answer::Status(200),
    })
    .await;
    {
        let webhooks = Webhooks::open(&file, options()).unwrap();
        let new = NewEndpoint { ordered: true, ..endpoint("a", &receiver.url()) };
        webhooks.create(new).await.unwrap();
    }
    let mut kills = 0;
    while kills < KILLS || receiver.accepted().len() < EVENTS {
        // Two at once, of which one is killed.
        let mut children = [start(&file), start(&file)];
        let pause = match kills < KILLS {
            true => Duration::from_millis(20 + random(200)),
            false => {
                receiver.accepts(EVENTS).await;
                Duration::from_millis(200)
            }
        };
        tokio::time::sleep(pause).await;
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
    }
    assert_all_in_order(&receiver);
    let webhooks = Arc::new(Webhooks::open(&file, options()).unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    let running = tokio::spawn(Arc::clone(&webhooks).run(Arc::new(Fixed), stopped));
    let pending = || async { webhooks.gauge().await.unwrap().pending };
    while pending().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_all_in_the_log(&webhooks).await;
}

fn assert_all_in_order(receiver: &Receiver) {
    let mut codes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let accepted = receiver.accepted();
    for id in &accepted {
        let nth: usize = id.strip_prefix("event-").unwrap().parse().unwrap();
        codes.entry(nth % CODES).or_default().push(nth);
    }
    assert_eq!(accepted.len(), EVENTS);
    for found in codes.values() {
        assert!(found.is_sorted(), "{found:?}");
    }
}

async fn assert_all_in_the_log(webhooks: &Webhooks) {
    let mut found = BTreeSet::new();
    let mut before = None;
    loop {
        let filter = DeliveryFilter { state: Some(DeliveryState::Delivered), before };
        let page = webhooks.deliveries("a", filter, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        for one in page {
            assert!(found.insert(one.event_id.unwrap()), "twice in the log");
        }
    }
    assert_eq!(found.len(), EVENTS);
}
