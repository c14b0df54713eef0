//! Chooses the node that a statement is sent to first.
//!
//! All processes send the conditional updates of one CQL partition to its first replica: two that
//! begin on two nodes make each other fail and retry. The driver does that by itself only if the
//! engine marks such statements: ScyllaDB does, Cassandra does not.

use std::sync::Arc;
use std::time::Duration;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{
    DefaultPolicy, FallbackPlan, LoadBalancingPolicy, RoutingInfo,
};
use scylla::routing::Shard;

/// Sends every statement to one replica of its CQL partition, in the order of conditional updates.
#[derive(Debug)]
pub(crate) struct ToReplica {
    policy: Arc<dyn LoadBalancingPolicy>,
    which: NodeChoice,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NodeChoice {
    /// Where a conditional update of the CQL partition goes.
    First,
    /// The one after that: for an update whose outcome the first one did not answer.
    Next,
}

impl ToReplica {
    pub(crate) fn new(which: NodeChoice, datacenter: Option<&str>) -> ToReplica {
        ToReplica { policy: to_any_replica(datacenter), which }
    }
}

/// The driver's own policy: replicas of the CQL partition first, in the data centre.
pub(crate) fn to_any_replica(datacenter: Option<&str>) -> Arc<dyn LoadBalancingPolicy> {
    let policy = DefaultPolicy::builder().token_aware(true);
    match datacenter {
        Some(name) => policy.prefer_datacenter(name.to_owned()).build(),
        None => policy.build(),
    }
}

fn conditional<'a>(request: &RoutingInfo<'a>) -> RoutingInfo<'a> {
    let mut request = request.clone();
    request.is_confirmed_lwt = true;
    request
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
        let as_change = conditional(request);
        let first = again(self.policy.pick(&as_change, cluster)?, cluster)?;
        match self.which {
            NodeChoice::First => Some(first),
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
        let request = conditional(request);
        let plan = self.policy.fallback(&request, cluster);
        let targets: Vec<_> = plan.filter_map(|target| again(target, cluster)).collect();
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
