//! Which engine a cluster runs.

use scylla::client::session::Session;

use crate::{CqlSession, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CqlEngine {
    Cassandra,
    Scylla,
}

impl CqlEngine {
    pub fn name(self) -> &'static str {
        match self {
            CqlEngine::Cassandra => "Apache Cassandra",
            CqlEngine::Scylla => "ScyllaDB",
        }
    }
}

impl CqlSession {
    /// ScyllaDB answers with a version of Cassandra, too, and has a table of its own version.
    pub async fn version(&self) -> Result<(CqlEngine, String)> {
        let engine = self.engine();
        let cql = match engine {
            CqlEngine::Cassandra => "SELECT release_version FROM system.local",
            CqlEngine::Scylla => "SELECT version FROM system.versions WHERE key = 'local'",
        };
        let version: Option<String> = self.value(cql, ()).await?;
        Ok((engine, version.unwrap_or_default()))
    }
}

/// Only nodes of ScyllaDB have shards.
pub fn engine_of(session: &Session) -> CqlEngine {
    let state = session.get_cluster_state();
    match state.get_nodes_info().iter().any(|node| node.sharder().is_some()) {
        true => CqlEngine::Scylla,
        false => CqlEngine::Cassandra,
    }
}
