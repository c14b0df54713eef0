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

    /// Its table.
    pub fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
