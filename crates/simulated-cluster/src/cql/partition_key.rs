//! The names of partitions.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// The name of a partition. Those of a table sort by their tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionKey {
    table: Arc<str>,
    token: u64,
    bytes: Arc<[u8]>,
}

impl PartitionKey {
    pub(crate) fn of(table: &Arc<str>, bytes: &[u8]) -> PartitionKey {
        let token = xxh3_64(bytes);
        PartitionKey { table: Arc::clone(table), token, bytes: Arc::from(bytes) }
    }

    /// Before all of a table.
    pub(crate) fn first_of(table: &Arc<str>) -> PartitionKey {
        PartitionKey { table: Arc::clone(table), token: 0, bytes: Arc::from([]) }
    }

    /// Its place on the ring; two tables have the same for the same key.
    pub fn token(&self) -> u64 {
        self.token
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The tokens whose first replica is the same node: of two tokens every node has both, or none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RingPart {
    nodes: u64,
    number: u64,
}

impl RingPart {
    pub(crate) fn of(nodes: usize, token: u64) -> RingPart {
        RingPart { nodes: nodes as u64, number: token % nodes as u64 }
    }

    /// Every part of a ring.
    pub(crate) fn all(nodes: usize) -> impl Iterator<Item = RingPart> {
        (0..nodes as u64).map(move |number| RingPart { nodes: nodes as u64, number })
    }

    /// The number of its first replica.
    pub(crate) fn number(self) -> usize {
        usize::try_from(self.number).unwrap_or(0)
    }

    /// One of its tokens.
    pub(crate) fn token(self) -> u64 {
        self.number
    }

    pub(crate) fn has(self, token: u64) -> bool {
        token % self.nodes == self.number
    }
}
