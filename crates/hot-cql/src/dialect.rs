//! What the two engines do differently.

use super::session::{CqlSession, Result, StatementProfile};

/// The engine of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CqlEngine {
    /// Apache Cassandra.
    Cassandra,
    /// ScyllaDB.
    Scylla,
}

impl CqlEngine {
    /// Its name as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            CqlEngine::Cassandra => "Apache Cassandra",
            CqlEngine::Scylla => "ScyllaDB",
        }
    }
}

/// The engine and its version. ScyllaDB answers with a version of Cassandra, too, and has a table
/// of its own version.
pub(super) async fn engine(session: &CqlSession) -> Result<(CqlEngine, String)> {
    let scylla = session
        .driver()
        .get_cluster_state()
        .get_nodes_info()
        .iter()
        .any(|node| node.sharder().is_some());
    if scylla {
        let cql = "SELECT version FROM system.versions WHERE key = 'local'";
        let row: Option<(Option<String>,)> = session.row(StatementProfile::Read, cql, ()).await?;
        let version = row.and_then(|(version,)| version).unwrap_or_default();
        return Ok((CqlEngine::Scylla, version));
    }
    let cql = "SELECT release_version FROM system.local";
    let row: Option<(Option<String>,)> = session.row(StatementProfile::Read, cql, ()).await?;
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
