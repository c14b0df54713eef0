//! Which engine a cluster runs.

use scylla::client::session::Session;

use crate::{CqlSession, Result};

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
pub(crate) async fn engine(session: &CqlSession) -> Result<(CqlEngine, String)> {
    let engine = session.engine();
    let cql = match engine {
        CqlEngine::Cassandra => "SELECT release_version FROM system.local",
        CqlEngine::Scylla => "SELECT version FROM system.versions WHERE key = 'local'",
    };
    let version: Option<String> = session.value(cql, ()).await?;
    Ok((engine, version.unwrap_or_default()))
}

/// The engine alone: only nodes of ScyllaDB have shards.
pub fn engine_of(session: &Session) -> CqlEngine {
    let state = session.get_cluster_state();
    match state.get_nodes_info().iter().any(|node| node.sharder().is_some()) {
        true => CqlEngine::Scylla,
        false => CqlEngine::Cassandra,
    }
}
