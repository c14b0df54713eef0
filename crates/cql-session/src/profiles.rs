//! Consistency level, timeout and retry policy of a statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::{
    SimpleSpeculativeExecutionPolicy, SpeculativeExecutionPolicy,
};
use scylla::statement::{Consistency, SerialConsistency};

use crate::connection::ConnectionSettings;
use crate::routing::{AllowedNodes, NodeChoice, ToReplica};

/// Longer than the engines' limit of 2 s for a write, so that the engine gives up first: the driver
/// closes a connection on which many requests were given up by us.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(3);

/// For long scans and imports, which no user waits for.
const BULK_TIMEOUT: Duration = Duration::from_secs(15);

/// After this time without an answer a read is sent to a second node, too: a frozen node does not answer until the
/// driver notices it.
const SPECULATE_AFTER: Duration = Duration::from_millis(100);

/// The same for a plain write, and for a read through Paxos, which costs as much.
const SPECULATE_WRITE_AFTER: Duration = Duration::from_millis(500);

/// The same for a page of a scan and for a plain write of many rows.
const SPECULATE_BULK_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementProfile {
    /// A read at a quorum, retried, and sent to a second node when the first is slow.
    Read,
    /// A read through Paxos: it finishes, or ends for good, conditional updates that were begun in
    /// its CQL partition.
    Serial,
    /// A plain write, which may be repeated, and is sent to a second node as well when the first is slow.
    Write,
    /// A conditional update: sent once, to the first replica.
    Change,
    /// The same update once more, after the outcome of the first is unknown: to another node, since
    /// the first replica may be frozen.
    Again,
    /// The same for a page of a long scan, and for a plain write of many rows.
    Bulk,
}

impl StatementProfile {
    const ALL: [StatementProfile; 6] = [
        StatementProfile::Read,
        StatementProfile::Serial,
        StatementProfile::Write,
        StatementProfile::Change,
        StatementProfile::Again,
        StatementProfile::Bulk,
    ];

    /// Whether it sends conditional updates, which nobody but their caller sends again.
    pub fn is_conditional(self) -> bool {
        matches!(self, StatementProfile::Change | StatementProfile::Again)
    }

    /// The level at which it reads or writes; a conditional update decides at `LOCAL_SERIAL`.
    pub fn consistency(self) -> Consistency {
        match self {
            StatementProfile::Serial => Consistency::LocalSerial,
            _ => Consistency::LocalQuorum,
        }
    }

    /// How long the driver waits for an answer, repeats included.
    pub fn timeout(self) -> Duration {
        match self {
            StatementProfile::Bulk => BULK_TIMEOUT,
            _ => ENGINE_TIMEOUT,
        }
    }

    pub fn speculates_after(self) -> Option<Duration> {
        match self {
            StatementProfile::Read => Some(SPECULATE_AFTER),
            StatementProfile::Serial | StatementProfile::Write => Some(SPECULATE_WRITE_AFTER),
            StatementProfile::Bulk => Some(SPECULATE_BULK_AFTER),
            StatementProfile::Change | StatementProfile::Again => None,
        }
    }
}

pub(crate) fn profiles(
    connection: &ConnectionSettings,
    allowed: &Arc<AllowedNodes>,
) -> HashMap<StatementProfile, ExecutionProfileHandle> {
    let datacenter = connection.datacenter.as_deref();
    let [spread, first, next] = [NodeChoice::Any, NodeChoice::First, NodeChoice::Next].map(
        |which| -> Arc<dyn LoadBalancingPolicy> {
            Arc::new(ToReplica::new(which, datacenter, Arc::clone(allowed)))
        },
    );
    let built = |profile: StatementProfile| {
        let builder = ExecutionProfile::builder()
            .consistency(profile.consistency())
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(connection.patience * profile.timeout()));
        let policy = match profile {
            StatementProfile::Read | StatementProfile::Write | StatementProfile::Bulk => &spread,
            // Begun on another node, a read through Paxos could make updates fail.
            StatementProfile::Serial | StatementProfile::Change => &first,
            StatementProfile::Again => &next,
        };
        let builder = builder
            .load_balancing_policy(Arc::clone(policy))
            .speculative_execution_policy(profile.speculates_after().map(speculation));
        let builder = match profile {
            // The driver's own policy would send a conditional update a second time in some cases.
            StatementProfile::Change | StatementProfile::Again => {
                builder.retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            }
            _ => builder.retry_policy(Arc::new(DefaultRetryPolicy::new())),
        };
        (profile, builder.build().into_handle())
    };
    StatementProfile::ALL.map(built).into_iter().collect()
}

fn speculation(after: Duration) -> Arc<dyn SpeculativeExecutionPolicy> {
    let (max_retry_count, retry_interval) = (1, after);
    Arc::new(SimpleSpeculativeExecutionPolicy { max_retry_count, retry_interval })
}
