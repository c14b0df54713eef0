//! The dispatcher of webhooks on the simulated cluster, in two processes that share the posting. The receivers are
//! functions.
//!
//! A seed decides what happens: coupons of two campaigns change while nodes freeze and die, processes are killed or
//! stopped and start again, a clock is ahead, and one receiver fails, asks for a pause, hangs, or is away for an hour.
//! Then all is well again, everything arrives, and the promises of `docs/webhooks.md` are checked.

#[path = "dispatcher/receiver.rs"]
mod receiver;
#[path = "dispatcher/shop.rs"]
mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coupon::code::Code;
use hot::HotStore;
use hot_conformance::kit::{Kit, MemoryArchive};
use simulated_cluster::cluster::NetworkWeather;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::SimulatedProcess;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use webhooks::{
    Delivery, DeliveryFilter, DeliveryState, Event, NewEndpoint, Options, Read, Secret, Secrets,
    Source, Start, Webhooks,
};

use crate::own_process;
use crate::simulated::ClusterFixture;
use crate::store_events::StoreEvents;
use receiver::{Arrival, SimulatedReceiver, carrier};
use shop::Shop;

/// Fails, and is away now and then. It asks for the order.
const TROUBLED: &str = "troubled";
/// Another campaign, and a receiver that accepts everything.
const WELL: &str = "well";
/// The campaign of [`WELL`]; paused in the middle.
const PAUSED: &str = "paused";
/// The same; deleted in the middle.
const DELETED: &str = "deleted";

/// By then everything has arrived at a receiver that is well: two leases and a round of a process that was killed, the
/// longest outage of a node, and the pause of the feed.
const LATE: Duration = Duration::from_secs(120);

/// A process that posts may learn so late of a change by another process: it renews a lease every third of its time.
const NOTICED_AFTER: Duration = Duration::from_secs(15);

/// An hour away, the pause of the attempt after that, and the next one.
const ALL_ARRIVED_AFTER: Duration = Duration::from_secs(8 * 3_600);

/// A process that posts.
struct ServeProcess {
    process: SimulatedProcess,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ServeProcess {
    fn kill(&self) {
        self.process.kill();
        self.task.abort();
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }
}

/// While much happens.
const OFTEN: Duration = Duration::from_secs(2);

/// While hours pass in which only retries are due, so that they cost little.
const SELDOM: Duration = Duration::from_secs(30);

/// What all processes share.
struct PostingScene {
    fixture: ClusterFixture,
    archive: Arc<MemoryArchive>,
    receivers: BTreeMap<String, Arc<SimulatedReceiver>>,
}

fn url(name: &str) -> String {
    format!("https://{name}.example/")
}

impl PostingScene {
    fn new(seed: u64, rng: &Rng) -> PostingScene {
        let receivers = [(TROUBLED, 400), (WELL, 0), (PAUSED, 0), (DELETED, 0)];
        let receivers = receivers.map(|(name, faults)| {
            (url(name), Arc::new(SimulatedReceiver::new(rng.fork(name), faults)))
        });
        PostingScene {
            fixture: ClusterFixture::calm(seed),
            archive: Arc::default(),
            receivers: receivers.into(),
        }
    }

    fn receiver(&self, name: &str) -> &SimulatedReceiver {
        &self.receivers[&url(name)]
    }

    /// A process that answers calls. It waits until the cluster lets it in.
    async fn opened(
        &self,
        process: &SimulatedProcess,
        look_every: Duration,
    ) -> (Arc<dyn HotStore>, Arc<Webhooks>) {
        let hot = loop {
            let (options, archive) = (ClusterFixture::options(), Arc::clone(&self.archive) as _);
            match self.fixture.open_as(process.clone(), options, archive, None).await {
                Ok(hot) => break hot as Arc<dyn HotStore>,
                Err(_) => sleep(Duration::from_secs(2)).await,
            }
        };
        let (process, receivers) = (process.clone(), self.receivers.clone());
        let clock = process.clone();
        let options = Options {
            look_every,
            lease: Options::default().lease.max(look_every * 3),
            page: 20,
            clock: Arc::new(move || clock.now_ms()),
            ..Options::default()
        };
        let webhooks = Webhooks::new(hot.tables(), options).expect("a client");
        let webhooks = webhooks.with_carrier(carrier(process, receivers));
        webhooks.trust_clock(true);
        (hot, Arc::new(webhooks))
    }

    /// A process that posts.
    async fn started(&self, look_every: Duration) -> ServeProcess {
        let process = SimulatedProcess::new("serve", 0);
        let (hot, webhooks) = self.opened(&process, look_every).await;
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(webhooks.run(Arc::new(StoreEvents(hot)), stopped));
        ServeProcess { process, stop, task }
    }

    /// Breaks something, waits, and mends it.
    async fn trouble(&self, rng: &mut Rng, processes: &mut Vec<ServeProcess>) {
        let cluster = &self.fixture.cluster;
        let node = usize::try_from(rng.below(cluster.nodes() as u64)).unwrap();
        let seconds = |rng: &mut Rng, most| Duration::from_secs(rng.between(1, most));
        match rng.below(6) {
            0 => cluster.freeze(node, seconds(rng, 15)),
            1 => {
                cluster.kill(node);
                sleep(seconds(rng, 30)).await;
                cluster.start(node);
            }
            2 => {
                processes.remove(0).kill();
                sleep(seconds(rng, 30)).await;
                processes.push(self.started(OFTEN).await);
            }
            3 => {
                processes.remove(0).stop().await;
                sleep(seconds(rng, 30)).await;
                processes.push(self.started(OFTEN).await);
            }
            4 => {
                let ahead = *rng.pick(&[900, 60_000, 3_600_000]);
                processes[0].process.set_clock(ahead);
                sleep(seconds(rng, 60)).await;
                processes[0].process.set_clock(0);
            }
            _ => self.receiver(TROUBLED).leaves_for(match rng.chance(300) {
                true => Duration::from_secs(3_600),
                false => seconds(rng, 600),
            }),
        }
    }

    async fn troubles(&self, rng: &mut Rng, processes: &mut Vec<ServeProcess>, until: Instant) {
        while Instant::now() < until {
            sleep(Duration::from_secs(rng.between(1, 60))).await;
            self.trouble(rng, processes).await;
        }
    }
}

/// Creates the webhooks, before anything happens. Returns where they begin, and their secrets.
async fn created(
    events: &StoreEvents,
    caller: &Webhooks,
    shop: &Shop,
) -> (String, BTreeMap<&'static str, Secret>) {
    let Read::Page { next: begin, .. } = events.read(Start::Newest, 1).await else {
        panic!("a calm cluster has a feed")
    };
    let mut secrets = BTreeMap::new();
    for name in [TROUBLED, WELL, PAUSED, DELETED] {
        let campaign = &shop.campaigns[usize::from(name != TROUBLED)];
        let new = NewEndpoint {
            webhook_id: Some(name.to_owned()),
            url: url(name),
            description: None,
            types: None,
            campaign: Some(campaign.id.to_string()),
            ordered: name == TROUBLED,
            cursor: Some(begin.clone()),
        };
        let (_, secret, is_new) = caller.create(new).await.unwrap();
        assert!(is_new);
        secrets.insert(name, secret);
    }
    (begin, secrets)
}

/// Everything that the feed has behind `begin`.
async fn told(events: &StoreEvents, begin: String) -> Vec<Event> {
    let (mut after, mut told) = (begin, Vec::new());
    loop {
        match events.read(Start::After(&after), 100).await {
            Read::Page { events, next, is_end } => {
                told.extend(events);
                after = next;
                if is_end {
                    return told;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn listed(caller: &Webhooks, name: &str) -> Vec<Delivery> {
    caller.deliveries(name, DeliveryFilter::default(), 1_000).await.unwrap()
}

/// What a seed has seen.
struct PostingEnd {
    shop: Shop,
    secrets: BTreeMap<&'static str, Secret>,
    events: Vec<Event>,
    paused_at: Instant,
    deleted_at: Instant,
    logs: BTreeMap<&'static str, (u64, Vec<Delivery>)>,
    arrivals: BTreeMap<&'static str, Vec<Arrival>>,
}

impl PostingEnd {
    /// What the seed has reached, for `--nocapture`.
    fn summary(&self) {
        for (name, arrivals) in &self.arrivals {
            let accepted = arrivals.iter().filter(|it| it.is_accepted).count();
            let (events, all) = (self.accepted(name).len(), arrivals.len());
            println!("{name}: {events} events, {accepted} accepted of {all} requests");
        }
    }

    /// The events that a webhook has to get.
    fn wanted(&self, name: &str) -> BTreeMap<&str, &Event> {
        let campaign = self.shop.campaigns[usize::from(name != TROUBLED)].id.to_string();
        let wants =
            |event: &&Event| event.campaign.as_ref() == Some(&campaign) && !event.only_by_name;
        self.events.iter().filter(wants).map(|event| (event.id.as_str(), event)).collect()
    }

    /// Only events that it asked for come to a receiver, as they are, signed by the clock of who posts.
    fn only_what_was_asked_for(&self) {
        for (name, arrivals) in &self.arrivals {
            let wanted = self.wanted(name);
            let secrets = Secrets::read(self.secrets[name].reveal()).unwrap();
            for arrival in arrivals {
                let event = wanted.get(arrival.id());
                let event = event.unwrap_or_else(|| panic!("{name} did not want {arrival:?}"));
                assert_eq!(arrival.data(), event.data, "{name}");
                let at: i64 = arrival.headers["webhook-timestamp"].parse().unwrap();
                assert!((at - arrival.posted_ms / 1_000).abs() <= 1, "{name}: {arrival:?}");
                let signature = secrets.sign(arrival.id(), at, &arrival.body);
                assert_eq!(arrival.headers["webhook-signature"], signature, "{name}");
            }
        }
    }

    fn accepted(&self, name: &str) -> BTreeMap<&str, Instant> {
        let mut accepted = BTreeMap::new();
        for arrival in self.arrivals[name].iter().filter(|it| it.is_accepted) {
            accepted.entry(arrival.id()).or_insert(arrival.at);
        }
        accepted
    }

    /// Each event of the campaign arrives, and what the log has is what has happened.
    fn everything_arrived(&self) {
        for name in [TROUBLED, WELL] {
            let wanted: BTreeSet<&str> = self.wanted(name).into_keys().collect();
            let accepted: BTreeSet<&str> = self.accepted(name).into_keys().collect();
            assert_eq!(accepted, wanted, "{name}");
            let (pending, log) = &self.logs[name];
            assert_eq!(*pending, 0, "{name}");
            let ended = log.iter().all(|it| it.state == DeliveryState::Delivered);
            assert!(ended, "{name}: {log:#?}");
            let logged: BTreeSet<&str> =
                log.iter().filter_map(|it| it.event_id.as_deref()).collect();
            assert_eq!(logged, wanted, "{name}: the log");
        }
    }

    /// What the shop was told is what the feed has.
    fn events_are_those_of_the_shop(&self) {
        let told = |event: &Event| Some((event.code.clone()?, event.data["version"].as_u64()?));
        let told: BTreeSet<_> = self.events.iter().filter_map(told).collect();
        let accepted = self.shop.accepted.keys();
        let accepted: BTreeSet<_> =
            accepted.map(|(code, version)| (code.to_string(), *version)).collect();
        assert_eq!(told, accepted);
    }

    /// With `ordered`, an event waits until all earlier ones of its coupon have arrived.
    fn each_coupon_is_in_order(&self) {
        let wanted = self.wanted(TROUBLED);
        let accepted = self.accepted(TROUBLED);
        for arrival in &self.arrivals[TROUBLED] {
            let event = wanted[arrival.id()];
            let version = event.data["version"].as_u64();
            for (id, earlier) in &wanted {
                let is_earlier = event.code.is_some()
                    && earlier.code == event.code
                    && earlier.data["version"].as_u64() < version;
                assert!(
                    !is_earlier || accepted[id] <= arrival.at,
                    "{earlier:?} has not arrived before {arrival:?}"
                );
            }
        }
    }

    /// Whatever another receiver does.
    fn nobody_waits_for_another_receiver(&self) {
        let accepted = self.accepted(WELL);
        for (id, event) in self.wanted(WELL) {
            let Some(version) = event.data["version"].as_u64() else { continue };
            let code: Code = event.code.as_ref().unwrap().parse().unwrap();
            let waited =
                accepted[id].saturating_duration_since(self.shop.accepted[&(code, version)]);
            assert!(waited <= LATE, "{event:?} has arrived after {waited:?}");
        }
    }

    /// A paused webhook keeps what waits, and of a deleted one nothing is left.
    fn nothing_is_posted_after_the_end(&self) {
        for (name, ended) in [(PAUSED, self.paused_at), (DELETED, self.deleted_at)] {
            let last = self.arrivals[name].last().map(|it| it.at);
            let late = last.map(|last| last.saturating_duration_since(ended));
            assert!(late.is_none_or(|late| late <= NOTICED_AFTER), "{name}: {late:?}");
        }
        let (pending, log) = &self.logs[PAUSED];
        let waits = log.iter().filter(|it| it.state == DeliveryState::Pending).count();
        assert_eq!(*pending, waits as u64, "what waits at a paused webhook");
    }
}

/// Until the receivers have everything that they asked for.
async fn all_arrived(scene: &PostingScene, caller: &Webhooks, count: impl Fn(&str) -> usize) {
    let until = Instant::now() + ALL_ARRIVED_AFTER;
    for name in [WELL, TROUBLED] {
        loop {
            let arrivals = scene.receiver(name).arrivals();
            let accepted = arrivals.iter().filter(|it| it.is_accepted);
            let accepted: BTreeSet<&str> = accepted.map(Arrival::id).collect();
            let pending = caller.get(name).await.unwrap().pending;
            if accepted.len() >= count(name) && pending == 0 {
                break;
            }
            let found = accepted.len();
            assert!(Instant::now() < until, "{name} has {found}, {pending} wait");
            sleep(SELDOM).await;
        }
    }
}

async fn posting(seed: u64) -> PostingEnd {
    let rng = Rng::new(seed);
    let scene = PostingScene::new(seed, &rng);
    let (hot, caller) = scene.opened(&SimulatedProcess::new("caller", 0), OFTEN).await;
    let events = StoreEvents(Arc::clone(&hot));
    let mut shop = Shop::new(Kit::numbered(hot, Arc::clone(&scene.archive), seed));
    let (begin, secrets) = created(&events, &caller, &shop).await;
    shop.opens().await;
    let mut processes = vec![scene.started(OFTEN).await, scene.started(OFTEN).await];
    let weather = NetworkWeather { noticed_ms: (100, 5_000), ..NetworkWeather::calm() };
    scene.fixture.cluster.set_weather(weather);

    let mut rng_of_shop = rng.fork("shop");
    let mut rng_of_troubles = rng.fork("troubles");
    let middle = Instant::now() + Duration::from_secs(300);
    let end = middle + Duration::from_secs(300);
    tokio::join!(
        shop.sells(&mut rng_of_shop, middle),
        scene.troubles(&mut rng_of_troubles, &mut processes, middle),
    );
    while caller.pause(PAUSED).await.is_err() {}
    let paused_at = Instant::now();
    while caller.delete(DELETED).await.is_err() {}
    let deleted_at = Instant::now();
    tokio::join!(
        shop.sells(&mut rng_of_shop, end),
        scene.troubles(&mut rng_of_troubles, &mut processes, end),
    );

    scene.fixture.cluster.quiet().await;
    scene.receiver(TROUBLED).is_well();
    // An event appears in the feed some seconds after its change.
    sleep(Duration::from_secs(30)).await;
    processes.remove(0).kill();
    processes.remove(0).stop().await;
    processes.push(scene.started(SELDOM).await);
    let told = told(&events, begin).await;
    let mut end = PostingEnd {
        shop,
        secrets,
        events: told,
        paused_at,
        deleted_at,
        logs: BTreeMap::new(),
        arrivals: BTreeMap::new(),
    };
    all_arrived(&scene, &caller, |name| end.wanted(name).len()).await;
    for process in processes {
        process.stop().await;
    }
    for name in [TROUBLED, WELL, PAUSED] {
        let pending = caller.get(name).await.unwrap().pending;
        end.logs.insert(name, (pending, listed(&caller, name).await));
    }
    for name in [TROUBLED, WELL, PAUSED, DELETED] {
        end.arrivals.insert(name, scene.receiver(name).arrivals());
    }
    end
}

fn run(seed: u64, test: &str) {
    own_process::run(seed, test, || async move {
        let end = posting(seed).await;
        end.events_are_those_of_the_shop();
        end.only_what_was_asked_for();
        end.everything_arrived();
        end.each_coupon_is_in_order();
        end.nobody_waits_for_another_receiver();
        end.nothing_is_posted_after_the_end();
        end.summary();
    });
}

/// One test for each seed: a failure names the seed.
macro_rules! seeds {
    ($($name:ident $seed:literal)+) => {$(
        #[test]
        fn $name() {
            run($seed, concat!("dispatcher::", stringify!($name)));
        }
    )+};
}

seeds! {
    seed_1 1 seed_2 2 seed_3 3 seed_4 4 seed_5 5 seed_6 6 seed_7 7 seed_8 8 seed_9 9 seed_10 10
    seed_11 11 seed_12 12 seed_13 13 seed_14 14 seed_15 15 seed_16 16 seed_17 17 seed_18 18 seed_19 19 seed_20 20
}
