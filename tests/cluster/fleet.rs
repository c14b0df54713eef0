//! The nodes of the store under test.

use std::sync::{Mutex, PoisonError};

use testcluster::TestCluster;

use super::faults::{Fleet, What};

/// The nodes of a cluster.
pub(super) struct Nodes(pub(super) TestCluster);

static SHARED: Mutex<Option<Nodes>> = Mutex::new(None);

/// Runs a test on three nodes, if they are available. All tests of this binary use the same nodes,
/// one test after the other, and a keyspace each.
pub(super) fn on_three_nodes(test: impl FnOnce(&mut Nodes)) {
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

/// Runs a test on three new nodes whose clocks are so many seconds ahead or behind. The nodes of the other tests end.
pub(super) fn on_nodes_with_clocks(ahead: [i64; 3], test: impl FnOnce(&mut Nodes)) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    drop(shared.take());
    let nodes = TestCluster::start_with_clocks(ahead).map(Nodes);
    nodes.map(|mut nodes| test(&mut nodes)).unwrap_or_default()
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

    fn take(&mut self, what: What, nth: usize) {
        let done = match what {
            What::Cut => self.0.cut(nth + 1),
            What::Hide => self.0.hide(nth + 1),
            What::Replace => self.0.replace(nth + 1),
            What::Kill | What::Freeze => unreachable!("{what:?} stops a process"),
        };
        done.expect("it runs");
    }

    fn give_back(&mut self, what: What, nth: usize) {
        if what != What::Replace {
            self.0.join(nth + 1).expect("it answers again");
        }
    }

    fn addresses(&self) -> String {
        self.0.addresses().to_owned()
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
