//! Which nodes have a partition: as many in a row of the ring as it has copies.

use super::SimulatedCluster;
use super::node::ClusterState;
use crate::cql::{PartitionKey, ReplicaData, ReplicaRead, RingPart};

/// How many nodes a cluster has, and how many of them have each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    pub nodes: usize,
    /// Copies of each partition, at first.
    pub copies: u32,
}

impl ClusterShape {
    /// Three nodes with all partitions.
    pub const THREE: ClusterShape = ClusterShape { nodes: 3, copies: 3 };

    /// Five nodes, of which three have each partition.
    pub const FIVE: ClusterShape = ClusterShape { nodes: 5, copies: 3 };
}

impl ClusterState {
    /// How many nodes have a partition.
    pub(super) fn copies_here(&self) -> usize {
        usize::try_from(self.copies.0).unwrap_or(usize::MAX).clamp(1, self.nodes.len())
    }

    /// How many of them are a quorum.
    pub(super) fn quorum(&self) -> usize {
        self.copies_here() / 2 + 1
    }

    /// The nodes that have the partition of a token, in the order of the ring.
    pub(super) fn replicas(&self, token: u64) -> impl Iterator<Item = usize> + use<> {
        let nodes = self.nodes.len();
        let first = RingPart::of(nodes, token).number();
        (0..self.copies_here()).map(move |step| (first + step) % nodes)
    }

    /// Whether a node has a partition.
    pub(super) fn has(&self, node: usize, key: &PartitionKey) -> bool {
        self.replicas(key.token()).any(|it| it == node)
    }

    /// What of some rows belongs on a node.
    pub(super) fn share(&self, node: usize, all: &ReplicaData) -> ReplicaData {
        let mut share = all.clone();
        if self.copies_here() < self.nodes.len() {
            share.retain(|key| self.has(node, key));
        }
        share
    }

    /// The replicas of a token that `observer` takes for alive: itself first, if it is one.
    pub(super) fn alive(&self, observer: usize, token: u64) -> Vec<usize> {
        let nodes = self.nodes.len();
        let is_alive = |node: &usize| *node == observer || !self.suspected(*node);
        let mut alive: Vec<usize> = self.replicas(token).filter(is_alive).collect();
        alive.sort_by_key(|node| (node + nodes - observer) % nodes);
        alive
    }

    /// A read, in parts that each have their own replicas, with one token of each.
    pub(super) fn parts(&self, read: &ReplicaRead) -> Vec<(u64, ReplicaRead)> {
        let nodes = self.nodes.len();
        if self.copies_here() == nodes {
            return vec![(0, read.clone())];
        }
        let mut parts: Vec<RingPart> = match &read.keys {
            Some(keys) => keys.iter().map(|key| RingPart::of(nodes, key.token())).collect(),
            None => RingPart::all(nodes).collect(),
        };
        parts.sort();
        parts.dedup();
        let of_part =
            |part: RingPart| (part.token(), ReplicaRead { part: Some(part), ..read.clone() });
        parts.into_iter().map(of_part).collect()
    }
}

impl SimulatedCluster {
    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.with(|state| state.nodes.len())
    }

    /// The nodes that have the partition of a token, in the order of the ring.
    pub fn replicas(&self, token: u64) -> Vec<usize> {
        self.with(|state| state.replicas(token).collect())
    }
}
