//! One replica: its data, its part in Paxos, its clock, and whether it can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::commitlog::PeriodicLog;
use super::paxos::{PaxosAcceptor, PaxosBallot, PaxosProposal};
use super::weather::{NetworkWeather, within};
use super::{ClusterShape, NodeReach};
use crate::EPOCH_MS;
use crate::cql::{Mutation, PartitionKey, ReplicaData};
use crate::rng::Rng;

pub(super) struct ReplicaNode {
    pub(super) data: ReplicaData,
    /// What of it a power cut leaves, if not all.
    pub(super) log: Option<PeriodicLog>,
    pub(super) paxos: BTreeMap<PartitionKey, PaxosAcceptor>,
    /// Mutations that other nodes keep for it.
    pub(super) hints: Vec<Arc<[Mutation]>>,
    pub(super) up: bool,
    pub(super) frozen_until: Option<Instant>,
    pub(super) suspicion: NodeSuspicion,
    /// How often it died: whoever waits for it learns that it did.
    pub(super) deaths: watch::Sender<u64>,
    /// As ScyllaDB: who coordinates a conditional update of a key waits for those before it.
    pub(super) turns: BTreeMap<u64, Arc<Mutex<()>>>,
    pub(super) ahead_ms: i64,
    last_us: i64,
}

/// From when to when others think that a node is down.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeSuspicion {
    from: Option<Instant>,
    until: Option<Instant>,
}

impl NodeSuspicion {
    pub(super) fn begin(&mut self, at: Instant) {
        *self = NodeSuspicion { from: Some(at), until: None };
    }

    pub(super) fn end(&mut self, at: Instant) {
        self.until = Some(at);
    }

    fn holds(self, now: Instant) -> bool {
        self.from.is_some_and(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

impl ReplicaNode {
    /// Takes over rows that come as whole files, which are on disk.
    pub(super) fn take(&mut self, data: ReplicaData) {
        if let Some(log) = &mut self.log {
            *log = PeriodicLog::of(&data);
        }
        self.data = data;
    }

    pub(super) fn new() -> ReplicaNode {
        ReplicaNode {
            data: ReplicaData::default(),
            log: None,
            paxos: BTreeMap::new(),
            hints: Vec::new(),
            up: true,
            frozen_until: None,
            suspicion: NodeSuspicion::default(),
            deaths: watch::Sender::new(0),
            turns: BTreeMap::new(),
            ahead_ms: 0,
            last_us: 0,
        }
    }

    pub(super) fn acceptor(&mut self, key: &PartitionKey) -> &mut PaxosAcceptor {
        if !self.paxos.contains_key(key) {
            self.paxos.insert(key.clone(), PaxosAcceptor::default());
        }
        self.paxos.get_mut(key).expect("it was put there")
    }

    pub(super) fn apply(&mut self, mutations: &[Mutation]) {
        for mutation in mutations {
            self.data.apply(mutation);
        }
        if let Some(log) = &mut self.log {
            log.note(mutations);
        }
    }

    pub(super) fn commit(&mut self, key: &PartitionKey, proposal: &PaxosProposal) {
        if let Some(update) = &proposal.update {
            self.data.apply(update);
            if let Some(log) = &mut self.log {
                log.put(update);
            }
        }
        self.acceptor(key).commit(proposal);
    }

    fn frozen(&self, now: Instant) -> Option<Instant> {
        self.frozen_until.filter(|until| *until > now)
    }
}

/// All that changes in a cluster.
pub(super) struct ClusterState {
    pub(super) rng: Rng,
    /// Decides which pages are short: a stream of its own, which a cluster of Cassandra never draws
    /// from.
    pub(super) pages: Rng,
    pub(super) weather: NetworkWeather,
    pub(super) nodes: Vec<ReplicaNode>,
    /// Of each row by the schema, and those that are confirmed.
    pub(super) copies: (u32, u32),
    /// Pairs that do not reach each other, the lower number first.
    pub(super) cuts: BTreeSet<(usize, usize)>,
    /// Whether late messages arrive at once, since the faults end.
    pub(super) hurries: bool,
    /// Whether every message arrived at once since the replicas were equal: so they still are.
    pub(super) are_equal: bool,
    /// The most deletions and expired values that a read of a table has passed.
    pub(super) tombstones: BTreeMap<Arc<str>, usize>,
    /// Tasks that still deliver or coordinate something.
    pub(super) in_flight: u64,
    ballots: u64,
    began: Instant,
}

impl ClusterState {
    pub(super) fn new(
        shape: ClusterShape,
        rng: Rng,
        weather: NetworkWeather,
        began: Instant,
    ) -> ClusterState {
        ClusterState {
            pages: rng.fork("pages"),
            rng,
            weather,
            copies: (shape.copies, shape.copies),
            nodes: (0..shape.nodes).map(|_| ReplicaNode::new()).collect(),
            cuts: BTreeSet::new(),
            hurries: false,
            are_equal: true,
            tombstones: BTreeMap::new(),
            in_flight: 0,
            ballots: 0,
            began,
        }
    }

    /// Whether every message arrives at once, so that a statement needs no tasks.
    pub(super) fn is_calm(&self) -> bool {
        let now = Instant::now();
        self.weather.is_calm()
            && self.cuts.is_empty()
            && self.nodes.iter().all(|node| node.up && node.frozen(now).is_none())
    }

    pub(super) fn reach(&self, from: usize, to: usize) -> NodeReach {
        let node = &self.nodes[to];
        if !node.up || self.cuts.contains(&(from.min(to), from.max(to))) {
            return NodeReach::Gone;
        }
        node.frozen(Instant::now()).map_or(NodeReach::Ready, NodeReach::Frozen)
    }

    pub(super) fn suspected(&self, node: usize) -> bool {
        self.nodes[node].suspicion.holds(Instant::now())
    }

    /// How long it takes until a change of a node is noticed.
    pub(super) fn lag(&mut self) -> Duration {
        Duration::from_millis(within(self.weather.noticed_ms, &mut self.rng))
    }

    pub(super) fn clock_us(&self, node: usize) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        (EPOCH_MS + self.nodes[node].ahead_ms) * 1_000 + elapsed
    }

    /// The timestamp of a plain write: one coordinator gives none twice.
    pub(super) fn stamp(&mut self, node: usize) -> i64 {
        let us = self.clock_us(node).max(self.nodes[node].last_us + 1);
        self.nodes[node].last_us = us;
        us
    }

    /// A ballot above `floor` and above what this node promised. One that lies above its clock does
    /// not move its clock: it came from a node whose clock is ahead.
    pub(super) fn ballot(&mut self, node: usize, key: &PartitionKey, floor: i64) -> PaxosBallot {
        let promised = self.nodes[node].paxos.get(key).map_or(0, |state| state.promised.us);
        let floor = floor.max(promised) + 1;
        let by_clock = self.clock_us(node).max(self.nodes[node].last_us + 1);
        if by_clock >= floor {
            self.nodes[node].last_us = by_clock;
        }
        self.ballots += 1;
        PaxosBallot { us: by_clock.max(floor), number: self.ballots }
    }

    /// A ballot as a node of ScyllaDB makes it: by its clock and above `floor`, whatever the node has
    /// promised (`get_timestamp_for_paxos` in its client_state.hh).
    pub(super) fn ballot_of_clock(&mut self, node: usize, floor: i64) -> PaxosBallot {
        self.ballots += 1;
        PaxosBallot { us: self.stamp(node).max(floor), number: self.ballots }
    }
}
