//! The nodes of the store under test.

use testcluster::TestCluster;

use super::faults::Fleet;

/// The nodes of a cluster.
pub(super) struct Nodes(pub(super) TestCluster);

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
