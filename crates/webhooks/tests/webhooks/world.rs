//! One store, its feed, and the processes that send from it. Shared with the suite on a cluster.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webhooks::{
    Delivery, DeliveryFilter, DeliveryState, Endpoint, Event, NewEndpoint, Options, Read, Source,
    Start, Webhooks,
};

use crate::place::Place;

/// Longest wait for something to happen: a busy machine stalls for some seconds.
const WAIT: Duration = Duration::from_secs(60);

/// A feed in memory. The cursor behind the event number `n`, from 1, is `n`.
#[derive(Default)]
pub(crate) struct MemoryFeed {
    events: Mutex<Vec<Event>>,
    /// Those up to this number are gone.
    gone: AtomicUsize,
    pub(crate) reads: AtomicUsize,
    /// Reads that found events.
    pub(crate) pages: AtomicUsize,
    pub(crate) is_down: AtomicBool,
}

impl MemoryFeed {
    pub(crate) fn push(
        &self,
        event_type: &str,
        campaign: Option<&str>,
        code: Option<&str>,
    ) -> String {
        let mut events = self.events.lock().unwrap();
        let nth = events.len() + 1;
        let id = format!("event-{nth}");
        events.push(Event {
            id: id.clone(),
            cursor: nth.to_string(),
            event_type: event_type.to_owned(),
            only_by_name: event_type == "coupon.held",
            at_ms: 1_804_500_150_512,
            campaign: campaign.map(str::to_owned),
            code: code.map(str::to_owned),
            data: json!({ "event_id": id, "nth": nth }),
        });
        id
    }

    /// So many plain events.
    pub(crate) fn push_many(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.push("coupon.redeemed", Some("spring"), None)).collect()
    }

    /// Forgets what has happened until now.
    pub(crate) fn forget(&self) {
        self.gone.store(self.events.lock().unwrap().len(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Source for MemoryFeed {
    async fn read(&self, after: Start<'_>, limit: usize) -> Read {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Read::Unavailable { why: "the test says so".to_owned() };
        }
        let events = self.events.lock().unwrap();
        let after = match after {
            Start::Newest => events.len(),
            Start::After(cursor) => cursor.parse().unwrap(),
        };
        let gone = self.gone.load(Ordering::SeqCst);
        if after < gone {
            return Read::Gone { next: gone.to_string(), why: "kept for too short".to_owned() };
        }
        let page: Vec<Event> = events[after..].iter().take(limit).cloned().collect();
        let next = after + page.len();
        self.pages.fetch_add(usize::from(next > after), Ordering::SeqCst);
        let is_end = next == events.len();
        Read::Page { events: page, next: next.to_string(), is_end }
    }
}

/// Quick ones, so that no test waits for long.
pub(crate) fn quick() -> Options {
    let pause = Duration::from_millis(10);
    Options {
        allow_private: true,
        retry_pauses: vec![pause; 200],
        probe_pause: pause,
        probe_pause_max: pause,
        look_every: Duration::from_millis(5),
        lease: Duration::from_secs(2),
        clean_every: Duration::from_millis(20),
        stop_within: Duration::from_secs(1),
        ..Options::default()
    }
}

/// A clock that the test sets.
pub(crate) fn clock(at: i64) -> (Arc<AtomicI64>, Arc<dyn Fn() -> i64 + Send + Sync>) {
    let clock = Arc::new(AtomicI64::new(at));
    let mine = Arc::clone(&clock);
    (clock, Arc::new(move || mine.load(Ordering::SeqCst)))
}

pub(crate) fn endpoint(name: &str, url: &str) -> NewEndpoint {
    NewEndpoint {
        webhook_id: Some(name.to_owned()),
        url: url.to_owned(),
        description: None,
        types: None,
        campaign: None,
        ordered: false,
        cursor: Some("0".to_owned()),
    }
}

pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) feed: Arc<MemoryFeed>,
    pub(crate) options: Options,
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        World { place: Place::new(), feed: Arc::default(), options }
    }

    /// Opens the store, as another process would.
    pub(crate) fn open(&self) -> Arc<Webhooks> {
        Arc::new(self.place.open(self.options.clone()))
    }

    /// Sends.
    pub(crate) fn run(&self, webhooks: &Arc<Webhooks>) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let source = Arc::clone(&self.feed) as Arc<dyn Source>;
        let stopped = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(Arc::clone(webhooks).run(source, stopped));
        Running { stop, task }
    }

    /// Opens the store with one endpoint, and sends.
    pub(crate) async fn with(
        options: Options,
        new: NewEndpoint,
    ) -> (World, Arc<Webhooks>, Running) {
        let world = World::new(options);
        let webhooks = world.open();
        webhooks.create(new).await.unwrap();
        let running = world.run(&webhooks);
        (world, webhooks, running)
    }
}

/// A process that sends.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(WAIT, self.task).await.unwrap().unwrap();
    }

    /// Ends in the middle of whatever it does, as by a kill.
    pub(crate) async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) async fn deliveries(webhooks: &Webhooks, name: &str) -> Vec<Delivery> {
    webhooks.deliveries(name, DeliveryFilter::default(), 1_000).await.unwrap()
}

/// Waits until the log of an endpoint is as wanted, and fails once nothing has ended for so long.
pub(crate) async fn log_until(
    webhooks: &Webhooks,
    name: &str,
    wanted: impl Fn(&[Delivery]) -> bool,
) -> Vec<Delivery> {
    let mut ended = (0, Instant::now());
    loop {
        let found = deliveries(webhooks, name).await;
        if wanted(&found) {
            return found;
        }
        let count = found.iter().filter(|it| it.ended_at.is_some()).count();
        ended = if count > ended.0 { (count, Instant::now()) } else { ended };
        assert!(ended.1.elapsed() < WAIT, "the log is {found:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many deliveries of an endpoint are in a state.
pub(crate) async fn log_has(
    webhooks: &Webhooks,
    name: &str,
    state: DeliveryState,
    count: usize,
) -> Vec<Delivery> {
    let in_state = |found: &[Delivery]| found.iter().filter(|it| it.state == state).count();
    log_until(webhooks, name, |found| in_state(found) == count).await
}

/// Waits until an endpoint is as wanted.
pub(crate) async fn endpoint_until(
    webhooks: &Webhooks,
    name: &str,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Endpoint {
    let deadline = Instant::now() + WAIT;
    loop {
        let found = webhooks.get(name).await.unwrap();
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "the endpoint is {found:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
