//! What each node of the cluster says about itself: its release, its clock, its Paxos variant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hot::cause;
use hot::clock::system_ms;
use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, Statement};
use scylla::value::CqlTimestamp;
use tokio::time::timeout;

use crate::clock::{ClockReading, NODE_CLOCK_TIMEOUT, ahead_of};
use crate::copies::{COMMENT, NOTED_AT, REPLICATION, confirmed_in};
use crate::results::unread;
use crate::{CopyCounts, CqlEngine, CqlSession, OwnedRow, Result, damaged};

const NODE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub struct AboutCluster {
    pub engine: CqlEngine,
    pub keyspace: String,
    pub copies: CopyCounts,
    /// By data centre and address.
    pub nodes: Vec<AboutNode>,
}

#[derive(Clone, Debug)]
pub struct AboutNode {
    /// `host:port`.
    pub address: String,
    pub datacenter: String,
    /// Its answer, or why there is none.
    pub answer: std::result::Result<NodeReply, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReply {
    pub version: String,
    /// How far our clock is ahead of its clock, in milliseconds; negative when it is behind.
    pub clock_ahead_ms: i64,
    /// Its variant of Paxos; `None` where the engine has only one.
    pub paxos: Option<String>,
    /// When it syncs its commit log: `periodic`, `group` or `batch`; `None` if it does not say.
    pub commitlog_sync: Option<String>,
}

impl CqlSession {
    /// Asks every known node about itself and `keyspace`. Takes as long as the slowest one, some seconds
    /// at most.
    ///
    /// # Errors
    /// Those of a read. A node that does not answer is not an error.
    pub async fn about(&self, keyspace: &str) -> Result<AboutCluster> {
        let (engine, keyspace) = (self.engine(), keyspace.to_owned());
        let mut nodes = Vec::new();
        if let Some(driver) = self.driver() {
            let state = driver.get_cluster_state();
            let asked = state.get_nodes_info().iter().map(|node| ask(driver, engine, node));
            nodes = join_all(asked).await;
        }
        nodes.sort_by(|a, b| (&a.datacenter, &a.address).cmp(&(&b.datacenter, &b.address)));
        let (copies, _) = self.copies(&keyspace).await?;
        Ok(AboutCluster { engine, keyspace, copies, nodes })
    }
}

/// The clocks of the nodes of a data centre, or of all.
pub(crate) async fn clocks(
    driver: &Session,
    datacenter: Option<&str>,
) -> Vec<Option<ClockReading>> {
    let state = driver.get_cluster_state();
    let is_here =
        |node: &&Arc<Node>| datacenter.is_none_or(|it| node.datacenter.as_deref() == Some(it));
    let asked = state.get_nodes_info().iter().filter(is_here).map(|node| async move {
        let before = system_ms();
        let cql = "SELECT toTimestamp(now()) FROM system.local";
        let asked = one::<(CqlTimestamp,)>(driver, node, cql);
        let (there,) = timeout(NODE_CLOCK_TIMEOUT, asked).await.ok()?.ok()?;
        Some(ClockReading { node: node.host_id, before, there: there.0, after: system_ms() })
    });
    join_all(asked).await
}

/// The copies of each row by the schema of the cluster, and those that are confirmed.
pub(crate) async fn copies(
    session: &CqlSession,
    keyspace: &str,
) -> Result<(CopyCounts, CopyCounts)> {
    let replication: Option<BTreeMap<String, String>> =
        session.value(REPLICATION, (keyspace,)).await?;
    let comment: Option<String> = session.value(COMMENT, (keyspace, NOTED_AT)).await?;
    let confirmed = confirmed_in(&comment.unwrap_or_default());
    Ok((copies_of(replication.unwrap_or_default()), confirmed))
}

pub(crate) fn copies_of(replication: BTreeMap<String, String>) -> CopyCounts {
    // The map names the class, too, which is no number.
    let replication = replication.into_iter();
    replication.filter_map(|(name, copies)| Some((name, number(&copies)?))).collect()
}

/// `3`, or `3/1` where one of the three is a transient replica.
fn number(copies: &str) -> Option<u32> {
    copies.split('/').next()?.parse().ok()
}

async fn ask(driver: &Session, engine: CqlEngine, node: &Arc<Node>) -> AboutNode {
    AboutNode {
        address: node.address.to_string(),
        datacenter: node.datacenter.clone().unwrap_or_default(),
        answer: answer(driver, engine, node).await.map_err(|error| cause(&error)),
    }
}

async fn answer(driver: &Session, engine: CqlEngine, node: &Arc<Node>) -> Result<NodeReply> {
    let before = system_ms();
    let cql = "SELECT toTimestamp(now()), release_version FROM system.local";
    let (there, release): (CqlTimestamp, Option<String>) = one(driver, node, cql).await?;
    let (node_id, after) = (node.host_id, system_ms());
    let clock_ahead_ms = ahead_of(ClockReading { node: node_id, before, there: there.0, after });
    let (version, paxos, commitlog_sync) = match engine {
        CqlEngine::Cassandra => {
            let cql = "SELECT value FROM system_views.settings WHERE name = 'paxos_variant'";
            let (variant,): (Option<String>,) = one(driver, node, cql).await?;
            let cql = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
            let (sync,): (Option<String>,) = one(driver, node, cql).await?;
            (release, variant, sync)
        }
        CqlEngine::Scylla => {
            let cql = "SELECT version FROM system.versions WHERE key = 'local'";
            let (version,): (Option<String>,) = one(driver, node, cql).await?;
            let cql = "SELECT value FROM system.config WHERE name = 'commitlog_sync'";
            // Its values are written as JSON. A role may not be allowed to read this table.
            let sync = one::<(Option<String>,)>(driver, node, cql).await;
            let sync = sync.ok().and_then(|(sync,)| sync);
            (version, None, sync.map(|sync| sync.trim_matches('"').to_owned()))
        }
    };
    let version = version.unwrap_or_default();
    Ok(NodeReply { version, clock_ahead_ms, paxos, commitlog_sync })
}

/// The row of a table that is local to a node.
async fn one<R: OwnedRow>(driver: &Session, node: &Arc<Node>, cql: &str) -> Result<R> {
    let mut statement = Statement::new(cql);
    let only = NodeIdentifier::Node(Arc::clone(node));
    statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(only, None)));
    statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    statement.set_consistency(Consistency::One);
    statement.set_request_timeout(Some(NODE_TIMEOUT));
    let rows = driver.query_unpaged(statement, ()).await.map_err(unread)?;
    let rows = rows.into_rows_result().map_err(damaged)?;
    rows.first_row::<R>().map_err(damaged)
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
