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

/// Sends every statement where a conditional write of its partition would go.
#[derive(Debug)]
pub(super) struct FirstReplica(Arc<dyn LoadBalancingPolicy>);

impl FirstReplica {
    pub(super) fn new(datacenter: Option<&str>) -> FirstReplica {
        let policy = DefaultPolicy::builder().token_aware(true);
        let policy = match datacenter {
            Some(name) => policy.prefer_datacenter(name.to_owned()),
            None => policy,
        };
        FirstReplica(policy.build())
    }
}

/// Sends every statement to the replica after that one: for a write of which the first replica did
/// not say what became of it.
#[derive(Debug)]
pub(super) struct NextReplica(FirstReplica);

impl NextReplica {
    pub(super) fn new(datacenter: Option<&str>) -> NextReplica {
        NextReplica(FirstReplica::new(datacenter))
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

impl LoadBalancingPolicy for FirstReplica {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let request = conditional(request);
        self.0.pick(&request, cluster).and_then(|target| again(target, cluster))
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        let request = conditional(request);
        let plan = self.0.fallback(&request, cluster);
        let targets: Vec<_> = plan.filter_map(|target| again(target, cluster)).collect();
        Box::new(targets.into_iter())
    }

    fn on_request_success(&self, request: &RoutingInfo, latency: Duration, node: NodeRef<'_>) {
        self.0.on_request_success(request, latency, node);
    }

    fn on_request_failure(
        &self,
        request: &RoutingInfo,
        latency: Duration,
        node: NodeRef<'_>,
        error: &RequestAttemptError,
    ) {
        self.0.on_request_failure(request, latency, node, error);
    }

    fn name(&self) -> String {
        "FirstReplica".into()
    }
}

impl LoadBalancingPolicy for NextReplica {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let first = self.0.pick(request, cluster)?;
        let mut others = self.0.fallback(request, cluster);
        others.find(|(node, _)| node.host_id != first.0.host_id).or(Some(first))
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        self.0.fallback(request, cluster)
    }

    fn on_request_success(&self, request: &RoutingInfo, latency: Duration, node: NodeRef<'_>) {
        self.0.on_request_success(request, latency, node);
    }

    fn on_request_failure(
        &self,
        request: &RoutingInfo,
        latency: Duration,
        node: NodeRef<'_>,
        error: &RequestAttemptError,
    ) {
        self.0.on_request_failure(request, latency, node, error);
    }

    fn name(&self) -> String {
        "NextReplica".into()
    }
}
