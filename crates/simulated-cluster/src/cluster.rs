//! Nodes, the network between them, and their coordinators.
//!
//! Every node of three has every partition, or of five every partition is on three; two of three are a
//! quorum. [`NetworkWeather`] draws what happens to
//! each message; the calls of [`SimulatedCluster`] order the rest: which node is frozen, down, or cut off.
//! In calm weather a statement is one step: it waits once and then runs without a pause.

mod commitlog;
mod conditional;
mod coordinator;
mod messages;
mod node;
mod paxos;
mod placement;
mod quiet;
mod reads;
#[cfg(test)]
mod tests;
mod turns;
mod weather;
mod writes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cql_session::{BoundValue, CqlEngine};
use scylla::errors::DbError;
use scylla::statement::Consistency;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::cql::{CqlStatement, KeyspaceSchema, ReplicaData};
use crate::rng::Rng;
use crate::trace::Trace;
use coordinator::StatementCoordinator;
use node::ClusterState;
pub use placement::ClusterShape;
pub use weather::NetworkWeather;

/// How long a statement takes in calm weather.
const CALM: Duration = Duration::from_millis(1);

/// A simulated cluster. Its clones share it.
#[derive(Clone)]
pub struct SimulatedCluster(Arc<SharedCluster>);

struct SharedCluster {
    engine: CqlEngine,
    schema: Arc<KeyspaceSchema>,
    trace: Trace,
    began: Instant,
    state: Mutex<ClusterState>,
    /// A node thawed, died or came back.
    changed: Notify,
    /// The faults end: what is late arrives at once.
    hurry: Notify,
    prepared: Mutex<HashMap<String, Arc<CqlStatement>>>,
}

/// How a statement is sent.
#[derive(Clone, Debug)]
pub struct ExecutionOptions {
    /// At which level it reads or writes.
    pub consistency: Consistency,
    /// Which page of the answer; `None` for all of it.
    pub page: Option<PageRequest>,
}

/// A page of an answer.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Where the page before it ended; `None` for the first one.
    pub after: Option<Vec<u8>>,
    /// Its most rows.
    pub rows: usize,
}

/// What a coordinator answers.
#[derive(Clone, Debug, Default)]
pub struct CoordinatorAnswer {
    /// Encoded rows, as in [`cql_session::RowPage`].
    pub rows: Vec<Vec<u8>>,
    /// Where this page ended; `None` after the last one.
    pub next: Option<Vec<u8>>,
}

/// Why a coordinator did not answer with rows.
#[derive(Clone, Debug)]
pub enum CoordinatorFailure {
    /// It refused, or gave up waiting for replicas.
    Refused(DbError, String),
    /// It died.
    Broken,
}

/// Whether a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeReach {
    Ready,
    Frozen(Instant),
    Gone,
}

/// Counts a task as long as it lives.
struct InFlightTask(SimulatedCluster);

impl Drop for InFlightTask {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.0.state.lock() {
            state.in_flight -= 1;
        }
    }
}

impl SimulatedCluster {
    /// Three nodes of Apache Cassandra without rows.
    pub fn new(
        schema: Arc<KeyspaceSchema>,
        rng: Rng,
        trace: Trace,
        weather: NetworkWeather,
    ) -> SimulatedCluster {
        let (engine, shape) = (CqlEngine::Cassandra, ClusterShape::THREE);
        SimulatedCluster::of_engine(engine, shape, schema, rng, trace, weather)
    }

    /// A cluster of one of the engines without rows.
    pub fn of_engine(
        engine: CqlEngine,
        shape: ClusterShape,
        schema: Arc<KeyspaceSchema>,
        rng: Rng,
        trace: Trace,
        weather: NetworkWeather,
    ) -> SimulatedCluster {
        let began = Instant::now();
        SimulatedCluster(Arc::new(SharedCluster {
            engine,
            schema,
            trace,
            began,
            state: Mutex::new(ClusterState::new(shape, rng, weather, began)),
            changed: Notify::new(),
            hurry: Notify::new(),
            prepared: Mutex::default(),
        }))
    }

    /// The statement of a text.
    ///
    /// # Errors
    /// The schema does not know it, or the engine refuses it.
    pub fn prepare(&self, cql: &str) -> Result<Arc<CqlStatement>, String> {
        let mut prepared = self.0.prepared.lock().expect("no parser panics with it");
        if let Some(statement) = prepared.get(cql) {
            return Ok(Arc::clone(statement));
        }
        let statement = self.0.schema.prepare_for(self.0.engine, cql)?;
        prepared.insert(cql.to_owned(), Arc::clone(&statement));
        Ok(statement)
    }

    /// Sends a statement to a coordinator and waits for its answer, for ever if that is lost. Who
    /// stops waiting does not stop the coordinator. More than one row of values is one batch.
    ///
    /// # Errors
    /// Too few replicas answered, or the coordinator died. The statement may have been applied.
    pub async fn execute(
        &self,
        node: usize,
        statement: &Arc<CqlStatement>,
        rows: &[Vec<BoundValue>],
        options: ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        if self.with(|state| state.is_calm()) {
            sleep(CALM).await;
            if self.with(|state| state.is_calm()) {
                return StatementCoordinator::new(self, node).run(statement, rows, &options).await;
            }
        }
        let (out, back, is_up, mut deaths) = self.with(|state| {
            let out = state.weather.client_delay(&mut state.rng);
            let back = state.weather.client_delay(&mut state.rng);
            let node = &state.nodes[node];
            (out, back, node.up, node.deaths.subscribe())
        });
        if !is_up {
            return Err(CoordinatorFailure::Broken);
        }
        let (sender, receiver) = oneshot::channel();
        match out {
            Some(out) => {
                let work = StatementCoordinator::new(self, node);
                let (statement, rows) = (Arc::clone(statement), rows.to_vec());
                let in_flight = self.in_flight();
                tokio::spawn(async move {
                    work.cluster.pause(out).await;
                    sleep(CALM).await;
                    let answer = work.run(&statement, &rows, &options).await;
                    work.send_back(answer, back, sender).await;
                    drop(in_flight);
                });
            }
            None => self.trace().fault("statement lost"),
        }
        let answered = async {
            match receiver.await {
                Ok(answer) => answer,
                // Nobody tells a client that its answer was lost.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answered => answer,
            _ = deaths.changed() => Err(CoordinatorFailure::Broken),
        }
    }

    /// Changes the rates of faults. What is on its way is not changed.
    pub fn set_weather(&self, weather: NetworkWeather) {
        self.with(|state| state.weather = weather);
    }

    /// Stops a node for a while. What is sent to it waits.
    pub fn freeze(&self, node: usize, time: Duration) {
        if !self.is_up(node) {
            return;
        }
        self.trace().fault("node frozen");
        self.say(node, || format!("freezes for {time:?}"));
        self.with(|state| {
            let until = Instant::now() + time;
            let lag = state.lag();
            let node = &mut state.nodes[node];
            node.frozen_until = node.frozen_until.max(Some(until));
            node.suspicion.begin(Instant::now() + lag);
            node.suspicion.end(until + lag);
        });
    }

    /// Kills a node. What it coordinates ends where it is; its rows and promises stay on its disk.
    pub fn kill(&self, node: usize) {
        self.trace().fault("node killed");
        self.say(node, || "dies".to_owned());
        self.with(|state| {
            let noticed = Instant::now() + state.lag();
            let node = &mut state.nodes[node];
            node.up = false;
            node.frozen_until = None;
            node.suspicion.begin(noticed);
            node.turns.clear();
            node.deaths.send_modify(|deaths| *deaths += 1);
        });
        self.changed().notify_waiters();
    }

    /// Starts a node with what it had.
    pub fn start(&self, node: usize) {
        self.say(node, || "starts".to_owned());
        let lag = self.with(|state| {
            let lag = state.lag();
            state.nodes[node].up = true;
            state.nodes[node].suspicion.end(Instant::now() + lag);
            lag
        });
        self.changed().notify_waiters();
        self.deliver_hints(node, u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
    }

    /// Whether a node runs; a frozen one does.
    pub fn is_up(&self, node: usize) -> bool {
        self.with(|state| state.nodes[node].up)
    }

    /// Whether a client takes a node for one that it can send to.
    pub fn is_connected(&self, node: usize) -> bool {
        self.with(|state| state.nodes[node].up && !state.suspected(node))
    }

    /// No message passes between two nodes.
    pub fn cut(&self, a: usize, b: usize) {
        self.trace().fault("nodes cut off");
        self.say(a, || format!("does not reach node {b}"));
        self.with(|state| state.cuts.insert((a.min(b), a.max(b))));
    }

    /// Messages pass between two nodes again.
    pub fn mend(&self, a: usize, b: usize) {
        self.with(|state| state.cuts.remove(&(a.min(b), a.max(b))));
    }

    /// Sets how far the clock of a node is ahead.
    pub fn set_clock(&self, node: usize, ahead_ms: i64) {
        if ahead_ms != 0 {
            self.trace().fault("clock of a node");
        }
        self.say(node, || format!("has a clock that is {ahead_ms} ms ahead"));
        self.with(|state| state.nodes[node].ahead_ms = ahead_ms);
    }

    /// Sets how many copies of each row the keyspace has from now on, and how many are confirmed. Rows
    /// move to other nodes only when the cluster is repaired.
    pub fn set_copies(&self, copies: u32, confirmed: u32) {
        self.with(|state| {
            state.copies = (copies, confirmed);
            state.are_equal = false;
        });
    }

    /// How many copies of each row the keyspace has, and how many are confirmed.
    pub fn copies(&self) -> (u32, u32) {
        self.with(|state| state.copies)
    }

    /// What all nodes together have: a backup.
    pub fn data(&self) -> ReplicaData {
        self.with(|state| {
            let mut all = ReplicaData::default();
            for node in &state.nodes {
                all.merge_from(&node.data);
            }
            all
        })
    }

    /// Puts a backup into every node, each its own partitions.
    pub fn load(&self, backup: &ReplicaData) {
        self.with(|state| {
            for node in 0..state.nodes.len() {
                let mut data = state.share(node, backup);
                data.merge_from(&state.nodes[node].data);
                state.nodes[node].take(data);
            }
        });
    }

    /// Which engine its nodes run.
    pub fn engine(&self) -> CqlEngine {
        self.0.engine
    }

    /// When the cluster began: the start of simulated time.
    pub fn began(&self) -> Instant {
        self.0.began
    }

    fn with<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        work(&mut self.0.state.lock().expect("nothing panics with the state in its hand"))
    }

    fn in_flight(&self) -> InFlightTask {
        self.with(|state| state.in_flight += 1);
        InFlightTask(self.clone())
    }

    fn trace(&self) -> &Trace {
        &self.0.trace
    }

    fn changed(&self) -> &Notify {
        &self.0.changed
    }

    fn hurry(&self) -> &Notify {
        &self.0.hurry
    }

    /// Adds a line, and builds its text only if lines are kept.
    fn say(&self, node: usize, what: impl FnOnce() -> String) {
        if self.trace().on() {
            self.trace().say(format!("node {node}"), what());
        }
    }
}
