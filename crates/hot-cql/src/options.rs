//! The options of a store on a cluster, and why a connection fails.

use std::path::PathBuf;
use std::time::Duration;

use router::BUCKET_BITS_DEFAULT;

use crate::clock::CLOCK_BOUND_MS;
use crate::keyspace_address::KeyspaceAddress;
use crate::resolving::CALL_LIMIT;
use crate::session::Gate;
use crate::spread::PARTITION_ROWS;

/// Options of a store on a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes that are asked for the others first, `host:port`.
    pub nodes: Vec<String>,
    /// The keyspace that `couponry schema apply` made.
    pub keyspace: String,
    /// The data centre whose replicas decide; required where there are several.
    pub datacenter: Option<String>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// How nodes are authenticated; `None` for connections without encryption.
    pub tls: Option<Tls>,
    /// How many bits name a bucket of a new partition. A partition keeps the number that it began
    /// with.
    pub bucket_bits: u8,
    /// How much longer other processes wait for a hold to end: the clocks of two processes may
    /// differ by so much.
    pub clock_bound_ms: i64,
    /// See [`CALL_LIMIT`].
    pub call_limit: Duration,
    /// See [`PARTITION_ROWS`]. It is the same in every process of a keyspace. For tests only.
    pub partition_rows: u64,
    /// How many times each timeout of a statement the store waits: 1. More is for tests only, on a
    /// machine that stalls.
    pub patience: u32,
    /// For tests only.
    pub gate: Option<Gate>,
}

/// Encrypted connections.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificates that sign those of the nodes, in PEM.
    pub authority: PathBuf,
}

impl Options {
    /// A keyspace on these nodes, with defaults.
    pub fn of(target: &KeyspaceAddress) -> Options {
        Options {
            nodes: target.nodes().to_vec(),
            keyspace: target.keyspace().to_owned(),
            datacenter: None,
            login: None,
            tls: None,
            bucket_bits: BUCKET_BITS_DEFAULT,
            clock_bound_ms: CLOCK_BOUND_MS,
            call_limit: CALL_LIMIT,
            partition_rows: PARTITION_ROWS,
            patience: 1,
            gate: None,
        }
    }
}

/// Why a store could not be connected.
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
    pub(crate) fn of(error: scylla::errors::NewSessionError) -> ConnectError {
        match error {
            scylla::errors::NewSessionError::UseKeyspaceError(error) => {
                ConnectError::Schema(error.to_string())
            }
            error => ConnectError::Away(error.into()),
        }
    }
}
