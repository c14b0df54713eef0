//! Chooses the node that a statement is sent to first.
//!
//! All processes send the conditional updates of one CQL partition to its first replica: two that
//! begin on two nodes make each other fail and retry. The driver does that by itself only if the
//! engine marks such statements: ScyllaDB does, Cassandra does not. No statement goes to a node whose clock
//! is wrong.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use scylla::cluster::{ClusterState, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{
    DefaultPolicy, FallbackPlan, LoadBalancingPolicy, RoutingInfo,
};
use scylla::routing::Shard;
use uuid::Uuid;

/// The host ids of the nodes that statements go to; `None` before clocks were compared: then to every node.
#[derive(Debug, Default)]
pub(crate) struct AllowedNodes(RwLock<Option<HashSet<Uuid>>>);

impl AllowedNodes {
    pub(crate) fn set(&self, nodes: HashSet<Uuid>) {
        *self.0.write() = Some(nodes);
    }

    fn has(&self, node: NodeRef<'_>) -> bool {
        let nodes = self.0.read();
        nodes.as_ref().is_none_or(|nodes| nodes.contains(&node.host_id))
    }
}

/// The driver's own policy, replicas of the CQL partition first, in the data centre, of the nodes that are allowed; or
/// one replica, in the order of conditional updates.
#[derive(Debug)]
pub(crate) struct ToReplica {
    policy: Arc<dyn LoadBalancingPolicy>,
    which: NodeChoice,
    allowed: Arc<AllowedNodes>,
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
        allowed: Arc<AllowedNodes>,
    ) -> ToReplica {
        let policy = DefaultPolicy::builder().token_aware(true);
        let policy = match datacenter {
            Some(name) => policy.prefer_datacenter(name.to_owned()).build(),
            None => policy.build(),
        };
        ToReplica { policy, which, allowed }
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
        let first = match self.allowed.has(picked.0) {
            true => picked,
            false => self.fallback(request, cluster).next()?,
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
        let targets: Vec<_> = targets.filter(|(node, _)| self.allowed.has(node)).collect();
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
