//! A power cut on nodes of ScyllaDB whose commit log is synced from time to time: `commitlog_sync:
//! periodic` with `commitlog_sync_period_in_ms: 10000`, its defaults (db/config.cc). couponry refuses
//! to run on it, so a cluster has it only if a test asks for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cql_session::CqlEngine;
use tokio::time::Instant;

use super::SimulatedCluster;
use crate::cql::{Mutation, ReplicaData};

/// How often a commit log is synced.
const SYNC_PERIOD: Duration = Duration::from_secs(10);

/// What of a node is on its disk, and what its commit log has only in memory.
pub(super) struct PeriodicLog {
    synced_at: Instant,
    on_disk: ReplicaData,
    in_memory: VecDeque<(Instant, Arc<[Mutation]>)>,
}

impl PeriodicLog {
    pub(super) fn of(data: &ReplicaData) -> PeriodicLog {
        let (on_disk, in_memory) = (data.clone(), VecDeque::new());
        PeriodicLog { synced_at: Instant::now(), on_disk, in_memory }
    }

    /// A plain write: it is on disk after the next sync.
    pub(super) fn note(&mut self, mutations: &[Mutation]) {
        self.sync();
        self.in_memory.push_back((Instant::now(), mutations.into()));
    }

    /// A conditional update is synced before it is acknowledged (`force_sync::yes` in `learn` of
    /// service/paxos/paxos_state.cc).
    pub(super) fn put(&mut self, mutation: &Mutation) {
        self.on_disk.apply(mutation);
    }

    /// What is left after a power cut, and how many writes are not.
    pub(super) fn lose_memory(&mut self) -> (ReplicaData, usize) {
        self.sync();
        let lost = self.in_memory.len();
        self.in_memory.clear();
        (self.on_disk.clone(), lost)
    }

    /// Moves to the disk what was written before the last sync.
    fn sync(&mut self) {
        while self.synced_at + SYNC_PERIOD <= Instant::now() {
            self.synced_at += SYNC_PERIOD;
        }
        while self.in_memory.front().is_some_and(|(written, _)| *written < self.synced_at) {
            for mutation in self.in_memory.pop_front().iter().flat_map(|(_, all)| all.iter()) {
                self.on_disk.apply(mutation);
            }
        }
    }
}

impl SimulatedCluster {
    /// Lets the nodes sync plain writes only every ten seconds, from now on.
    ///
    /// # Panics
    /// If they run Cassandra: there conditional updates and promises would be lost, too, which is not
    /// simulated.
    pub fn sync_periodically(&self) {
        assert_eq!(self.engine(), CqlEngine::Scylla, "nobody has simulated it");
        self.with(|state| {
            for node in &mut state.nodes {
                node.log = Some(PeriodicLog::of(&node.data));
            }
        });
    }

    /// Cuts the power of a node: it dies, and what its commit log had only in memory is gone. With the
    /// default, in which a write is synced before it is acknowledged, that is nothing.
    pub fn cut_power(&self, node: usize) {
        self.kill(node);
        let lost = self.with(|state| {
            state.are_equal = false;
            let node = &mut state.nodes[node];
            let Some((data, lost)) = node.log.as_mut().map(PeriodicLog::lose_memory) else {
                return 0;
            };
            node.data = data;
            lost
        });
        if lost > 0 {
            self.trace().fault("writes lost by a power cut");
        }
        self.say(node, || format!("loses {lost} writes"));
    }
}
