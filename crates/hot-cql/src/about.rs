//! What a cluster says of itself, for its operators: every node is asked by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use scylla::cluster::Node;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, Statement};
use scylla::value::CqlTimestamp;

use super::session::{CqlSession, Result, StatementProfile, damaged};
use super::{CqlEngine, CqlHot, dialect};
use hot::HotError;

/// How long one node may take to answer for itself.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a cluster says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Which engine it is.
    pub engine: CqlEngine,
    /// The keyspace.
    pub keyspace: String,
    /// How many copies there are of each row, by data centre.
    pub copies: BTreeMap<String, u32>,
    /// Every node that is known, by data centre and address.
    pub nodes: Vec<AboutNode>,
}

/// One node.
#[derive(Clone, Debug)]
pub struct AboutNode {
    /// `host:port`.
    pub address: String,
    /// Where it stands.
    pub datacenter: String,
    /// What it answered; why it did not.
    pub answer: std::result::Result<Answer, String>,
}

/// What one node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its release.
    pub version: String,
    /// How far our clock is ahead of its clock, in milliseconds; negative when it is behind.
    pub clock_ahead_ms: i64,
    /// How it decides between conditional writes; `None` where the engine knows one way only.
    pub paxos: Option<String>,
}

impl CqlHot {
    /// Asks every node that is known. Takes as long as the slowest, some seconds at most.
    ///
    /// # Errors
    /// Those of a read. A node that does not answer is no error.
    pub async fn about(&self) -> Result<About> {
        let (cluster, keyspace) = (&self.store.cluster, &self.store.options.keyspace);
        let (engine, _) = dialect::engine(cluster).await?;
        let state = cluster.session().get_cluster_state();
        let asked = state.get_nodes_info().iter().map(|node| ask(cluster, engine, node));
        let mut nodes = join_all(asked).await;
        nodes.sort_by(|a, b| (&a.datacenter, &a.address).cmp(&(&b.datacenter, &b.address)));
        let copies = copies(cluster, keyspace).await?;
        Ok(About { engine, keyspace: keyspace.clone(), copies, nodes })
    }
}

async fn copies(cluster: &CqlSession, keyspace: &str) -> Result<BTreeMap<String, u32>> {
    let cql = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let row: Option<(BTreeMap<String, String>,)> =
        cluster.row(StatementProfile::Read, cql, (keyspace,)).await?;
    let replication = row.map(|(replication,)| replication).unwrap_or_default();
    // Beside the data centres stands the class, which is no number.
    Ok(replication
        .into_iter()
        .filter_map(|(name, copies)| Some((name, number(&copies)?)))
        .collect())
}

/// `3`, and `3/1` where one of the three is only for reading.
fn number(copies: &str) -> Option<u32> {
    copies.split('/').next()?.parse().ok()
}

async fn ask(cluster: &CqlSession, engine: CqlEngine, node: &Arc<Node>) -> AboutNode {
    AboutNode {
        address: node.address.to_string(),
        datacenter: node.datacenter.clone().unwrap_or_default(),
        answer: answer(cluster, engine, node).await.map_err(|error| cause(&error)),
    }
}

/// The last error of the chain says why.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(deeper) = last.source() {
        last = deeper;
    }
    last.to_string()
}

async fn answer(cluster: &CqlSession, engine: CqlEngine, node: &Arc<Node>) -> Result<Answer> {
    let before = now_ms();
    let cql = "SELECT toTimestamp(now()), release_version FROM system.local";
    let (there, release): (CqlTimestamp, Option<String>) = one(cluster, node, cql).await?;
    let after = now_ms();
    // Somewhere between the two it was read: the nearer end counts.
    let clock_ahead_ms = match there.0 {
        there if there < before => before - there,
        there if there > after => after - there,
        _ => 0,
    };
    let (version, paxos) = match engine {
        CqlEngine::Cassandra => {
            let cql = "SELECT value FROM system_views.settings WHERE name = 'paxos_variant'";
            let (variant,): (Option<String>,) = one(cluster, node, cql).await?;
            (release, variant)
        }
        CqlEngine::Scylla => {
            let cql = "SELECT version FROM system.versions WHERE key = 'local'";
            let (version,): (Option<String>,) = one(cluster, node, cql).await?;
            (version, None)
        }
    };
    Ok(Answer { version: version.unwrap_or_default(), clock_ahead_ms, paxos })
}

/// The row of a table that a node has for itself.
async fn one<R>(cluster: &CqlSession, node: &Arc<Node>, cql: &str) -> Result<R>
where
    R: for<'f> DeserializeRow<'f, 'f>,
{
    let mut statement = Statement::new(cql);
    let only = NodeIdentifier::Node(Arc::clone(node));
    statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(only, None)));
    statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    statement.set_consistency(Consistency::One);
    statement.set_request_timeout(Some(NODE_TIMEOUT));
    let ran = cluster.session().query_unpaged(statement, ()).await;
    let rows = ran.map_err(|error| HotError::Unavailable(error.into()))?;
    let rows = rows.into_rows_result().map_err(damaged)?;
    rows.first_row::<R>().map_err(damaged)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted() {
        let cases = [
            ("a number", "3", Some(3)),
            ("one of them transient", "3/1", Some(3)),
            ("a class", "org.apache.cassandra.locator.NetworkTopologyStrategy", None),
            ("nothing", "", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(number(text), want, "{name}");
        }
    }
}
