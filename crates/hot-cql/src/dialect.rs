//! What the two engines do differently. Everything else says the same to both.

use super::session::{CqlSession, Result, StatementProfile};

/// Which of the two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CqlEngine {
    /// Apache Cassandra.
    Cassandra,
    /// ScyllaDB.
    Scylla,
}

impl CqlEngine {
    /// The name that people know it by.
    pub fn name(self) -> &'static str {
        match self {
            CqlEngine::Cassandra => "Apache Cassandra",
            CqlEngine::Scylla => "ScyllaDB",
        }
    }
}

/// The engine and its version. ScyllaDB says of itself that it is some Cassandra, and has a table
/// that Cassandra does not have.
pub(super) async fn engine(cluster: &CqlSession) -> Result<(CqlEngine, String)> {
    let scylla = cluster
        .session()
        .get_cluster_state()
        .get_nodes_info()
        .iter()
        .any(|node| node.sharder().is_some());
    if scylla {
        let cql = "SELECT version FROM system.versions WHERE key = 'local'";
        let row: Option<(Option<String>,)> = cluster.row(StatementProfile::Read, cql, ()).await?;
        let version = row.and_then(|(version,)| version).unwrap_or_default();
        return Ok((CqlEngine::Scylla, version));
    }
    let cql = "SELECT release_version FROM system.local";
    let row: Option<(Option<String>,)> = cluster.row(StatementProfile::Read, cql, ()).await?;
    Ok((CqlEngine::Cassandra, row.and_then(|(version,)| version).unwrap_or_default()))
}

/// The compaction that suits rows which are changed in place and removed by ranges.
pub(super) fn compaction(engine: CqlEngine) -> &'static str {
    match engine {
        // Each engine's own advice for mixed loads; neither knows the other's.
        CqlEngine::Cassandra => {
            "{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}"
        }
        CqlEngine::Scylla => "{'class': 'IncrementalCompactionStrategy'}",
    }
}
