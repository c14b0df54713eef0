//! The place where everything runs, and the processes of couponry on it. Only this module knows how
//! the cluster, the network and the object store are set up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cold::ColdStore;
use coupon::minted::CodeKey;
use coupon::time::Millis;
use cql_session::{ConnectError, KeyspaceAddress};
use engine::ColdArchive;
use hot::audit::Act;
use hot::{Archive, NoArchive};
use hot_cql::CqlHot;
use router::Router;
use tokio::sync::Notify;

use super::plan::SeedPlan;
use super::plants::SeedPlant;
use super::stops::ProcessLife;
use crate::bucket::{BucketTamper, BucketWeather, SimulatedBucket};
use crate::side::SideThreads;
use simulated_cluster::EPOCH_MS;
use simulated_cluster::cluster::{ClusterShape, NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::{KeyspaceSchema, ReplicaData};
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession, StatementTamper};
use simulated_cluster::trace::Trace;

/// Pause before a process that could not connect tries again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often it tries.
const TRIES: usize = 30;

/// Longest time in which a process writes what it has in memory: it may be frozen.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// Longer than any seed lasts, so that everything can be read at its end.
const EVENTS_KEEP: Duration = Duration::from_secs(1_000 * 86_400);

/// Replaced files are deleted as soon as a person could have read them.
const RETENTION: Duration = Duration::from_secs(60);

/// The secret bytes of the keys that mint; the last is the newest.
const KEYS: [[u8; 16]; 2] = [*b"an earlier key..", *b"the key of today"];

/// The keys of every process.
pub(crate) fn keys() -> Vec<CodeKey> {
    KEYS.map(CodeKey::new).into()
}

/// The same store with all its records.
fn with_records(hot: CqlHot) -> CqlHot {
    hot.with_records(|tables, source| records::records(tables, source, Some(EVENTS_KEEP)))
}

/// A cluster and an object store.
#[derive(Clone)]
pub(crate) struct SimulatedSite {
    pub(crate) cluster: SimulatedCluster,
    pub(crate) bucket: SimulatedBucket,
    side: Arc<SideThreads>,
    rng: Rng,
    /// Processes started so far.
    starts: Arc<AtomicU64>,
    has_cold: bool,
    options: hot_cql::CqlOptions,
    trace: Trace,
    plant: SeedPlant,
    /// Told whenever a process is about to close a partition.
    pub(crate) closings: Arc<Notify>,
}

/// One process of couponry. It is gone when it is dropped.
pub(crate) struct SimulatedMachine {
    pub(crate) life: Arc<ProcessLife>,
    pub(crate) session: Arc<SimulatedSession>,
    pub(crate) hot: Arc<CqlHot>,
    pub(crate) cold: Arc<ColdStore>,
    pub(crate) router: Router,
}

impl SimulatedSite {
    /// An empty one, without faults.
    pub(crate) fn new(plan: &SeedPlan, trace: &Trace, plant: SeedPlant) -> SimulatedSite {
        let target: KeyspaceAddress =
            "cql://simulated:9042/couponry".parse().expect("this is an address");
        let options = hot_cql::CqlOptions {
            bucket_bits: plan.bucket_bits,
            partition_rows: plan.partition_rows,
            events_keep: Some(EVENTS_KEEP),
            feed_shards: plan.feed.shards,
            ..hot_cql::CqlOptions::of(&target)
        };
        let cluster = SimulatedCluster::of_engine(
            plan.engine,
            plan.shape,
            KeyspaceSchema::couponry(),
            plan.rng("cluster"),
            trace.clone(),
            NetworkWeather::calm(),
        );
        let bucket = SimulatedBucket::new(EPOCH_MS, BucketWeather::calm());
        SimulatedSite {
            cluster,
            bucket,
            rng: plan.rng("processes"),
            starts: Arc::default(),
            side: Arc::new(SideThreads::new()),
            has_cold: plan.jobs.cold,
            options,
            trace: trace.clone(),
            plant,
            closings: Arc::default(),
        }
    }

    /// Another, empty cluster with the same object store.
    pub(crate) fn beside(&self, rng: Rng) -> SimulatedSite {
        let cluster = SimulatedCluster::of_engine(
            self.cluster.engine(),
            ClusterShape::THREE,
            KeyspaceSchema::couponry(),
            rng,
            self.trace.clone(),
            NetworkWeather::calm(),
        );
        SimulatedSite { cluster, ..self.clone() }
    }

    /// Fills an empty cluster from a snapshot of another one.
    pub(crate) fn load(&self, snapshot: &ReplicaData) {
        self.cluster.load(snapshot);
    }

    /// What all nodes together have now.
    pub(crate) fn snapshot(&self) -> ReplicaData {
        self.cluster.data()
    }

    pub(crate) fn set_weather(&self, rng: &mut Rng) {
        self.cluster.set_weather(NetworkWeather::drawn(rng));
    }

    pub(crate) fn set_bucket_weather(&self, rng: &mut Rng) {
        self.bucket.set_weather(BucketWeather::drawn(rng));
    }

    /// Ends every fault and delivers what is under way.
    pub(crate) async fn quiet(&self) {
        self.cluster.set_weather(NetworkWeather::calm());
        self.bucket.quiet();
        self.cluster.quiet().await;
    }

    /// Starts a process; `None` if it could not connect for a minute.
    pub(crate) async fn start(&self, name: String, clock_ms: i64) -> Option<Arc<SimulatedMachine>> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed).to_string();
        let (rng, trace) = (self.rng.fork(&start), &self.trace);
        let process = SimulatedProcess::new(&name, clock_ms);
        let life =
            Arc::new(ProcessLife::new(process.clone(), trace.clone(), Arc::clone(&self.closings)));
        let session = SimulatedSession::new(
            self.cluster.clone(),
            process.clone(),
            rng.fork("session"),
            trace.clone(),
        );
        let session = Arc::new(session.with_tamper(Arc::clone(&life) as Arc<dyn StatementTamper>));
        let cluster = self.plant.over(Arc::clone(&session));
        let tamper = Arc::clone(&life) as Arc<dyn BucketTamper>;
        let bucket =
            self.bucket.for_process(process.clone(), tamper, rng.fork("bucket"), trace.clone());
        let cold = Arc::new(ColdStore::with_store(
            self.plant.over_bucket(bucket),
            "a simulated bucket",
            self.cold_options(),
        ));
        let archive: Arc<dyn Archive> = match self.has_cold {
            true => Arc::new(ColdArchive(Arc::clone(&cold))),
            false => Arc::new(NoArchive),
        };
        for _ in 0..TRIES {
            let (cluster, archive) = (Arc::clone(&cluster), Arc::clone(&archive));
            match CqlHot::on(cluster, self.options.clone(), keys(), archive).await {
                Ok(hot) => {
                    let hot = with_records(hot);
                    trace.say(process.name(), "is started");
                    let (hot, router) = (Arc::new(hot), Router::new(keys()));
                    return Some(Arc::new(SimulatedMachine { life, session, hot, cold, router }));
                }
                Err(ConnectError::Clock(_)) => {
                    trace.reached("a clock was refused at the start");
                    // An operator sets it right; that of a node may still be wrong.
                    process.set_clock(0);
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        None
    }

    fn cold_options(&self) -> cold::ColdOptions {
        cold::ColdOptions {
            retention: RETENTION,
            checkpoint_every: 5,
            runner: Some(Arc::clone(&self.side) as Arc<dyn cold::BlockingRunner>),
            ..cold::ColdOptions::default()
        }
    }
}

impl SimulatedMachine {
    /// The time by its own clock.
    pub(crate) fn now(&self) -> Millis {
        Millis(self.life.process.now_ms())
    }

    /// What somebody who makes or changes campaigns says.
    pub(crate) fn act(&self) -> Act {
        Act::of_system("simulate", self.now())
    }

    /// Writes what it has in memory, as at the end of every command; whether it could.
    pub(crate) async fn flush(&self) -> bool {
        let flush = tokio::time::timeout(FLUSH_MAX, self.hot.flush());
        matches!(self.life.alive(flush).await, Some(Ok(())))
    }
}
