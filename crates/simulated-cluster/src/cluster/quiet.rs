//! Repair, and the end of all faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::node::{ClusterState, NodeSuspicion};
use super::paxos::{PaxosBallot, PaxosProposal, ballot_of, later, unfinished};
use super::{NetworkWeather, NodeReach, SimulatedCluster};
use crate::cql::{PartitionKey, ReplicaData};

/// The longest time to wait for what is in flight, in milliseconds.
const SETTLED_AFTER_MS: u64 = 60_000;

/// How often a proposal that too few accepted is finished all the same, in permille: a later round
/// may meet a replica that accepted it, or not.
const FINISHED: u32 = 500;

impl SimulatedCluster {
    /// Makes the rows of all nodes equal that run and are not frozen.
    pub fn repair(&self) {
        self.with(|state| {
            let ready =
                (0..state.nodes.len()).filter(|node| state.reach(*node, *node) == NodeReach::Ready);
            let ready: Vec<usize> = ready.collect();
            state.merge(&ready);
        });
        if self.trace().on() {
            self.trace().say("cluster", "is repaired");
        }
    }

    /// A node dies and loses all it had: its rows, its promises, and what others keep for it.
    pub fn lose_disk(&self, node: usize) {
        self.trace().fault("disk of a node lost");
        self.kill(node);
        self.say(node, || "loses its disk".to_owned());
        self.with(|state| {
            state.are_equal = false;
            let node = &mut state.nodes[node];
            node.take(ReplicaData::default());
            node.paxos.clear();
            node.hints.clear();
        });
    }

    /// Starts a node with an empty disk as docs/cluster.md says: the others are repaired first, since
    /// of a change that a quorum made, the lost disk may have had the second copy.
    pub fn replace(&self, node: usize) {
        self.repair();
        self.with(|state| {
            let mut all = ReplicaData::default();
            for other in state.nodes.iter().filter(|other| other.up) {
                all.merge_from(&other.data);
            }
            let share = state.share(node, &all);
            state.nodes[node].take(share);
        });
        self.start(node);
    }

    /// Ends all faults: nodes run with right clocks, every message arrives, every round of Paxos is
    /// finished or ended for good, and all replicas are equal. The weather stays calm.
    pub async fn quiet(&self) {
        self.with(|state| {
            state.weather = NetworkWeather::calm();
            state.cuts.clear();
            state.hurries = true;
            for node in &mut state.nodes {
                node.up = true;
                node.frozen_until = None;
                node.suspicion = NodeSuspicion::default();
                node.ahead_ms = 0;
            }
        });
        self.hurry().notify_waiters();
        self.changed().notify_waiters();
        for _ in 0..SETTLED_AFTER_MS {
            if self.with(|state| state.in_flight == 0) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        self.with(|state| {
            state.finish_rounds();
            for node in &mut state.nodes {
                for mutations in std::mem::take(&mut node.hints) {
                    node.apply(&mutations);
                }
            }
            let all: Vec<usize> = (0..state.nodes.len()).collect();
            state.merge(&all);
            state.hurries = false;
            state.are_equal = state.in_flight == 0;
        });
        if self.trace().on() {
            self.trace().say("cluster", "is quiet");
        }
    }

    /// Drops what is deleted or expired on all nodes that run: `gc_grace_seconds` have passed since the
    /// last write. A node that is down keeps what was deleted meanwhile, and brings it back.
    pub fn compact(&self) {
        self.with(|state| {
            for node in 0..state.nodes.len() {
                let now_s = state.clock_us(node) / 1_000_000;
                let node = &mut state.nodes[node];
                if node.up {
                    let mut data = std::mem::take(&mut node.data);
                    data.purge(now_s);
                    node.take(data);
                    node.hints.clear();
                }
            }
        });
        self.say(0, || "and all that run have dropped what is deleted".to_owned());
    }

    /// The most deletions and expired values that one read of each table has passed.
    pub fn tombstones(&self) -> BTreeMap<Arc<str>, usize> {
        self.with(|state| state.tombstones.clone())
    }

    /// Whether all replicas of each partition have the same rows.
    pub fn replicas_are_equal(&self) -> bool {
        let all = self.data();
        self.with(|state| {
            let mut nodes = state.nodes.iter().enumerate();
            nodes.all(|(node, it)| it.data == state.share(node, &all))
        })
    }
}

impl ClusterState {
    fn merge(&mut self, nodes: &[usize]) {
        let mut all = ReplicaData::default();
        for node in nodes {
            all.merge_from(&std::mem::take(&mut self.nodes[*node].data));
        }
        for node in nodes {
            let share = self.share(*node, &all);
            self.nodes[*node].take(share);
        }
    }

    fn finish_rounds(&mut self) {
        let keys = self.nodes.iter().flat_map(|node| node.paxos.keys().cloned());
        let keys: BTreeSet<PartitionKey> = keys.collect();
        for key in keys {
            self.finish_rounds_of(&key);
        }
    }

    fn finish_rounds_of(&mut self, key: &PartitionKey) {
        let (mut all, mut committed, mut promised) = (Vec::new(), None, PaxosBallot::default());
        let replicas: Vec<usize> = self.replicas(key.token()).collect();
        for node in &replicas {
            let acceptor = self.nodes[*node].acceptor(key);
            all.extend(acceptor.accepted.take());
            committed = later(committed, acceptor.committed.clone());
            promised = acceptor.promised.max(promised);
        }
        let accepted = all.iter().max_by_key(|proposal| proposal.ballot);
        let ballot = ballot_of(accepted);
        let by = all.iter().filter(|proposal| proposal.ballot == ballot).count();
        // With fewer than a quorum it was never decided.
        if let Some(update) = unfinished(accepted, committed.as_ref())
            && (by >= self.quorum() || self.rng.chance(FINISHED))
        {
            committed = Some(PaxosProposal { ballot, update: Some(update) });
        }
        for node in replicas {
            let node = &mut self.nodes[node];
            if let Some(committed) = &committed {
                node.commit(key, committed);
            }
            node.acceptor(key).promised = promised;
        }
    }
}
