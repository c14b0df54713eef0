//! Consistency level, timeout and retry policy of a statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::{
    SimpleSpeculativeExecutionPolicy, SpeculativeExecutionPolicy,
};
use scylla::statement::{Consistency, SerialConsistency};

use crate::options::Options;
use crate::routing::{ToReplica, Which};

/// Longer than the engines' limit of 2 s for a write, so that the engine gives up first: the driver
/// closes a connection on which many requests were given up by us.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(3);

/// For scans and imports, which no user waits for.
const BULK_TIMEOUT: Duration = Duration::from_secs(15);

/// After this time a plain write is sent again, as often as it takes to last as long as a
/// conditional update: a frozen node does not answer until the driver notices it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1_200);

/// After this time without an answer a read is sent to a second node, too.
const SPECULATE_AFTER: Duration = Duration::from_millis(100);

/// The same for a read through Paxos, which costs as much as a write.
const SPECULATE_SERIAL_AFTER: Duration = Duration::from_millis(500);

/// Consistency level, timeout and retry policy of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StatementProfile {
    /// A read at a quorum, retried, and sent to a second node when the first is slow.
    Read,
    /// A read through Paxos: it finishes, or ends for good, conditional updates that were begun in
    /// its CQL partition.
    Serial,
    /// A plain write, which may be repeated.
    Write,
    /// A conditional update: sent once, to the first replica.
    Change,
    /// The same update once more, after the outcome of the first is unknown: to another node, since
    /// the first replica may be frozen.
    Again,
    /// A page of a scan, or a plain write of many rows.
    Bulk,
}

pub(super) fn profiles(options: &Options) -> HashMap<StatementProfile, ExecutionProfileHandle> {
    let spread = DefaultPolicy::builder().token_aware(true);
    let spread = match &options.datacenter {
        Some(name) => spread.prefer_datacenter(name.clone()),
        None => spread,
    };
    let spread: Arc<dyn LoadBalancingPolicy> = spread.build();
    let first: Arc<dyn LoadBalancingPolicy> =
        Arc::new(ToReplica::new(Which::First, options.datacenter.as_deref()));
    let next: Arc<dyn LoadBalancingPolicy> =
        Arc::new(ToReplica::new(Which::Next, options.datacenter.as_deref()));
    let built = |profile: StatementProfile| {
        let builder = ExecutionProfile::builder()
            .consistency(match profile {
                StatementProfile::Serial => Consistency::LocalSerial,
                _ => Consistency::LocalQuorum,
            })
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(
                options.patience
                    * match profile {
                        StatementProfile::Bulk => BULK_TIMEOUT,
                        StatementProfile::Write => WRITE_TIMEOUT,
                        _ => ENGINE_TIMEOUT,
                    },
            ));
        let builder = match profile {
            StatementProfile::Read => builder
                .load_balancing_policy(Arc::clone(&spread))
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(speculation(SPECULATE_AFTER)),
            StatementProfile::Write | StatementProfile::Bulk => builder
                .load_balancing_policy(Arc::clone(&spread))
                .retry_policy(Arc::new(DefaultRetryPolicy::new())),
            StatementProfile::Serial => builder
                .load_balancing_policy(Arc::clone(&first))
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(speculation(SPECULATE_SERIAL_AFTER)),
            // The driver's own policy would send a conditional update a second time in some cases.
            StatementProfile::Change => builder
                .load_balancing_policy(Arc::clone(&first))
                .retry_policy(Arc::new(FallthroughRetryPolicy::new())),
            StatementProfile::Again => builder
                .load_balancing_policy(Arc::clone(&next))
                .retry_policy(Arc::new(FallthroughRetryPolicy::new())),
        };
        (profile, builder.build().into_handle())
    };
    let all = [
        StatementProfile::Read,
        StatementProfile::Serial,
        StatementProfile::Write,
        StatementProfile::Change,
        StatementProfile::Again,
        StatementProfile::Bulk,
    ];
    all.map(built).into_iter().collect()
}

fn speculation(after: Duration) -> Option<Arc<dyn SpeculativeExecutionPolicy>> {
    let (max_retry_count, retry_interval) = (1, after);
    Some(Arc::new(SimpleSpeculativeExecutionPolicy { max_retry_count, retry_interval }))
}
