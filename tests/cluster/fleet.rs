//! The nodes of the store under test.

use std::sync::{Mutex, PoisonError};

use testcluster::TestCluster;

use super::faults::Fleet;

/// The nodes of a cluster.
pub(super) struct Nodes(pub(super) TestCluster);

/// Runs a test on three nodes, if they are available. All tests of this binary use the same nodes,
/// one test after the other, and a keyspace each.
pub(super) fn on_three_nodes(test: impl FnOnce(&mut Nodes)) {
    static SHARED: Mutex<Option<Nodes>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    // A test that fails leaves no nodes, so the next one starts new nodes.
    let nodes = shared.take().or_else(|| TestCluster::start(3).map(Nodes));
    let Some(mut nodes) = nodes else { return };
    for node in 1..=nodes.0.nodes() {
        if nodes.0.node_pid(node).is_err() {
            nodes.0.start_node(node).expect("it starts again");
        }
    }
    test(&mut nodes);
    *shared = Some(nodes);
}

impl Fleet for Nodes {
    fn kill(&mut self, nth: usize) {
        self.0.kill(nth + 1).expect("it runs");
    }

    fn start(&mut self, nth: usize) {
        self.0.start_node(nth + 1).expect("it starts again");
    }

    fn freeze(&mut self, nth: usize) {
        self.0.freeze(nth + 1).expect("it runs");
    }

    fn thaw(&mut self, nth: usize) {
        self.0.thaw(nth + 1).expect("it is resumed");
    }
}

/// A store without nodes.
pub(super) struct NoNodes;

impl Fleet for NoNodes {
    fn kill(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn start(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn freeze(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }

    fn thaw(&mut self, nth: usize) {
        unreachable!("there is no node {nth}")
    }
}
