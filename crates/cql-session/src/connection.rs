//! Where a keyspace is, and how to connect to it.

use scylla::client::session_builder::SessionBuilder;

use crate::KeyspaceAddress;
use crate::connect_error::ConnectError;
use crate::tls::TlsSettings;

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
    /// Factor of every timeout of a statement, and of the time after which a lease that nobody uses is given back: 1.
    /// More only in tests on a machine that stalls.
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
