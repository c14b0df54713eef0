//! Which node a statement goes to first.
//!
//! Two conditional writes of one partition that begin on two nodes make each other fail and try
//! again. So they all go to the first replica of their partition, from whichever process they come.
//! The driver does that by itself only where the engine marks such statements, which ScyllaDB does
//! and Cassandra does not.

use std::sync::Arc;
use std::time::Duration;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{
    DefaultPolicy, FallbackPlan, LoadBalancingPolicy, RoutingInfo,
};
use scylla::routing::Shard;

/// Sends every statement to one replica of its partition, counted as for a conditional write.
#[derive(Debug)]
pub(super) struct ToReplica {
    policy: Arc<dyn LoadBalancingPolicy>,
    which: Which,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Where a conditional write of the partition would go.
    First,
    /// The one after that: for a write of which the first did not say what became of it.
    Next,
}

impl ToReplica {
    pub(super) fn new(which: Which, datacenter: Option<&str>) -> ToReplica {
        let policy = DefaultPolicy::builder().token_aware(true);
        let policy = match datacenter {
            Some(name) => policy.prefer_datacenter(name.to_owned()),
            None => policy,
        };
        ToReplica { policy: policy.build(), which }
    }
}

fn conditional<'a>(request: &RoutingInfo<'a>) -> RoutingInfo<'a> {
    let mut request = request.clone();
    request.is_confirmed_lwt = true;
    request
}

/// The same node with the life of the cluster's state: a plan must not borrow from the changed copy
/// of the request.
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
            Which::First => Some(first),
            Which::Next => {
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
