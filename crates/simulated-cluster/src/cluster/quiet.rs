//! Repair, and the end of all faults.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::node::{ClusterState, NodeSuspicion};
use super::paxos::{PaxosBallot, PaxosProposal, ballot_of, later, unfinished};
use super::{NODES, NetworkWeather, NodeReach, QUORUM, SimulatedCluster};
use crate::cql::PartitionKey;

/// The longest time to wait for what is in flight, in milliseconds.
const SETTLED_AFTER_MS: u64 = 60_000;

/// How often a proposal that too few accepted is finished all the same, in permille: a later round
/// may meet a replica that accepted it, or not.
const FINISHED: u32 = 500;

impl SimulatedCluster {
    /// Makes the rows of all nodes equal that run and are not frozen.
    pub fn repair(&self) {
        self.with(|state| {
            let ready = (0..NODES).filter(|node| state.reach(*node, *node) == NodeReach::Ready);
            let ready: Vec<usize> = ready.collect();
            state.merge(&ready);
        });
        if self.trace().on() {
            self.trace().say("cluster", "is repaired");
        }
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
            state.merge(&[0, 1, 2]);
            state.hurries = false;
            state.are_equal = state.in_flight == 0;
        });
        if self.trace().on() {
            self.trace().say("cluster", "is quiet");
        }
    }

    /// Whether all replicas have the same rows.
    pub fn replicas_are_equal(&self) -> bool {
        self.with(|state| state.nodes.windows(2).all(|pair| pair[0].data == pair[1].data))
    }
}

impl ClusterState {
    fn merge(&mut self, nodes: &[usize]) {
        let Some((first, others)) = nodes.split_first() else { return };
        let mut all = std::mem::take(&mut self.nodes[*first].data);
        for node in others {
            all.merge_from(&self.nodes[*node].data);
        }
        for node in others {
            self.nodes[*node].take(all.clone());
        }
        self.nodes[*first].take(all);
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
        for node in &mut self.nodes {
            let acceptor = node.acceptor(key);
            all.extend(acceptor.accepted.take());
            committed = later(committed, acceptor.committed.clone());
            promised = acceptor.promised.max(promised);
        }
        let accepted = all.iter().max_by_key(|proposal| proposal.ballot);
        let ballot = ballot_of(accepted);
        let by = all.iter().filter(|proposal| proposal.ballot == ballot).count();
        // With fewer than a quorum it was never decided.
        if let Some(update) = unfinished(accepted, committed.as_ref())
            && (by >= QUORUM || self.rng.chance(FINISHED))
        {
            committed = Some(PaxosProposal { ballot, update: Some(update) });
        }
        for node in &mut self.nodes {
            if let Some(committed) = &committed {
                node.commit(key, committed);
            }
            node.acceptor(key).promised = promised;
        }
    }
}
