//! Where a keyspace is, how to connect to it, and why a connection fails.

use std::path::PathBuf;

use scylla::client::session_builder::SessionBuilder;
use scylla::errors::NewSessionError;

use crate::KeyspaceAddress;

#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Nodes that are asked for the others first, `host:port`.
    pub nodes: Vec<String>,
    /// The keyspace that `couponry schema apply` made.
    pub keyspace: String,
    /// The data centre whose replicas decide; required where there are several.
    pub datacenter: Option<String>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// How nodes are authenticated; `None` for connections without encryption.
    pub tls: Option<TlsSettings>,
    /// Factor of every timeout of a statement: 1. More only in tests on a machine that stalls.
    pub patience: u32,
}

impl ConnectionSettings {
    pub fn of(target: &KeyspaceAddress) -> ConnectionSettings {
        ConnectionSettings {
            nodes: target.nodes().to_vec(),
            keyspace: target.keyspace().to_owned(),
            datacenter: None,
            login: None,
            tls: None,
            patience: 1,
        }
    }

    /// The driver's settings that every connection has.
    ///
    /// # Errors
    /// [`ConnectError::Setting`].
    pub fn builder(&self) -> Result<SessionBuilder, ConnectError> {
        let mut builder =
            SessionBuilder::new().known_nodes(&self.nodes).keyspaces_to_fetch([&self.keyspace]);
        if let Some((user, password)) = &self.login {
            builder = builder.user(user, password);
        }
        crate::tls::with(builder, self.tls.as_ref())
    }
}

#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificates that sign those of the nodes, in PEM.
    pub authority: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node answers; the call may be repeated.
    #[error("no node of the cluster answers: {0}")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keyspace is missing, or a table, a type, a column or a field in it; apply the schema.
    #[error("{0}: run `couponry schema apply --hot cql://…`")]
    Schema(String),
    /// A setting is wrong; correct it.
    #[error("{0}")]
    Setting(String),
    /// The clocks of this machine and of the cluster differ too much; set them right.
    #[error("{0}")]
    Clock(String),
}

impl ConnectError {
    pub fn of(error: NewSessionError) -> ConnectError {
        match error {
            NewSessionError::UseKeyspaceError(error) => ConnectError::Schema(error.to_string()),
            error => ConnectError::Away(error.into()),
        }
    }
}
