//! Chooses the node that a statement is sent to first.
//!
//! All processes send the conditional updates of one CQL partition to its first replica: two that
//! begin on two nodes make each other fail and retry. The driver does that by itself only if the
//! engine marks such statements: ScyllaDB does, Cassandra does not. No statement goes to a node whose clock
//! is wrong.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{
    DefaultPolicy, FallbackPlan, LoadBalancingPolicy, RoutingInfo,
};
use scylla::routing::Shard;
use uuid::Uuid;

/// The nodes that no statement goes to.
#[derive(Debug, Default)]
pub(crate) struct AvoidedNodes(RwLock<NodeClocks>);

/// Host ids.
#[derive(Debug, Default)]
struct NodeClocks {
    far: HashSet<Uuid>,
    /// The nodes that have ever said what time it is. One that is not among them is new, or was down since this process
    /// began; its clock may be wrong. Before the first comparison nobody is, and a statement may go to every node.
    said: HashSet<Uuid>,
}

impl AvoidedNodes {
    pub(crate) fn set(&self, far: HashSet<Uuid>, said: impl Iterator<Item = Uuid>) {
        let mut clocks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        clocks.said.extend(said);
        if clocks.far != far {
            tracing::warn!(
                nodes = ?far,
                "the clocks of these nodes are far from those of the others: set them right (NTP); \
                 statements go to other nodes"
            );
            clocks.far = far;
        }
    }

    fn has(&self, node: NodeRef<'_>) -> bool {
        self.avoids(&node.host_id)
    }

    fn avoids(&self, node: &Uuid) -> bool {
        let clocks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        clocks.far.contains(node) || !clocks.said.is_empty() && !clocks.said.contains(node)
    }
}

/// The driver's own policy, replicas of the CQL partition first, in the data centre, without the nodes to avoid; or
/// one replica, in the order of conditional updates.
#[derive(Debug)]
pub(crate) struct ToReplica {
    policy: Arc<dyn LoadBalancingPolicy>,
    which: NodeChoice,
    avoided: Arc<AvoidedNodes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeChoice {
    /// Any replica.
    Any,
    /// Where a conditional update of the CQL partition goes.
    First,
    /// The one after that: for an update whose outcome the first one did not answer.
    Next,
}

impl ToReplica {
    pub(crate) fn new(
        which: NodeChoice,
        datacenter: Option<&str>,
        avoided: Arc<AvoidedNodes>,
    ) -> ToReplica {
        let policy = DefaultPolicy::builder().token_aware(true);
        let policy = match datacenter {
            Some(name) => policy.prefer_datacenter(name.to_owned()).build(),
            None => policy.build(),
        };
        ToReplica { policy, which, avoided }
    }

    fn routed<'a>(&self, request: &RoutingInfo<'a>) -> RoutingInfo<'a> {
        let mut request = request.clone();
        request.is_confirmed_lwt |= self.which != NodeChoice::Any;
        request
    }
}

/// The same node with the lifetime of the cluster's state: a plan must not borrow from the changed
/// copy of the request.
fn again<'a>(
    (node, shard): (NodeRef<'_>, Option<Shard>),
    cluster: &'a ClusterState,
) -> Option<(NodeRef<'a>, Option<Shard>)> {
    let here = cluster.get_nodes_info().iter().find(|it| it.host_id == node.host_id)?;
    Some((here, shard))
}

impl LoadBalancingPolicy for ToReplica {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let routed = self.routed(request);
        let picked = again(self.policy.pick(&routed, cluster)?, cluster)?;
        let first = match self.avoided.has(picked.0) {
            true => self.fallback(request, cluster).next()?,
            false => picked,
        };
        match self.which {
            NodeChoice::Any | NodeChoice::First => Some(first),
            NodeChoice::Next => {
                let mut others = self.fallback(request, cluster);
                others.find(|(node, _)| node.host_id != first.0.host_id).or(Some(first))
            }
        }
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        let request = self.routed(request);
        let plan = self.policy.fallback(&request, cluster);
        let targets = plan.filter_map(|target| again(target, cluster));
        let targets: Vec<_> = targets.filter(|(node, _)| !self.avoided.has(node)).collect();
        Box::new(targets.into_iter())
    }

    fn on_request_success(&self, request: &RoutingInfo, latency: Duration, node: NodeRef<'_>) {
        self.policy.on_request_success(request, latency, node);
    }

    fn on_request_failure(
        &self,
        request: &RoutingInfo,
        latency: Duration,
        node: NodeRef<'_>,
        error: &RequestAttemptError,
    ) {
        self.policy.on_request_failure(request, latency, node, error);
    }

    fn name(&self) -> String {
        format!("ToReplica::{:?}", self.which)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_used_once_it_has_said_the_time() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let nodes = AvoidedNodes::default();
        let avoided = || [one, two, three].map(|node| nodes.avoids(&node));
        assert_eq!(avoided(), [false, false, false], "nothing is known");
        nodes.set(HashSet::new(), [one, two].into_iter());
        assert_eq!(avoided(), [false, false, true], "the third one is down");
        nodes.set(HashSet::from([three]), [one, three].into_iter());
        assert_eq!(avoided(), [false, false, true], "the third one is far, the second one down");
        nodes.set(HashSet::new(), [one, two, three].into_iter());
        assert_eq!(avoided(), [false, false, false], "it is right again");
    }
}
