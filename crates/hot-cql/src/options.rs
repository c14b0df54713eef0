//! The options of a store on a cluster.

use std::time::Duration;

use router::BUCKET_BITS_DEFAULT;

use crate::announcing::FEED_SHARDS;
use crate::spread::PARTITION_ROWS;
use cql_session::{CALL_LIMIT, CLOCK_BOUND_MS, ConnectionSettings, KeyspaceAddress};

/// How long events of the feed are kept, unless somebody says otherwise.
pub const EVENTS_KEEP: Duration = Duration::from_secs(7 * 86_400);

#[derive(Clone, Debug)]
pub struct CqlOptions {
    pub connection: ConnectionSettings,
    /// Bits that name a bucket of a new partition; more if its first batch is large. A partition keeps
    /// its number.
    pub bucket_bits: u8,
    /// So much two clocks may differ: other processes wait so much longer for a hold to end.
    pub clock_bound_ms: i64,
    /// See [`CALL_LIMIT`].
    pub call_limit: Duration,
    /// See [`PARTITION_ROWS`]. It is the same in every process of a keyspace. For tests only.
    pub partition_rows: u64,
    /// How long events of the feed are kept. `None`: none are written. It is the same in every process of
    /// a keyspace.
    pub events_keep: Option<Duration>,
    /// See [`FEED_SHARDS`]. It is the same in every process of a keyspace. For tests only.
    pub feed_shards: i32,
}

impl CqlOptions {
    pub fn of(target: &KeyspaceAddress) -> CqlOptions {
        CqlOptions {
            connection: ConnectionSettings::of(target),
            bucket_bits: BUCKET_BITS_DEFAULT,
            clock_bound_ms: CLOCK_BOUND_MS,
            call_limit: CALL_LIMIT,
            partition_rows: PARTITION_ROWS,
            events_keep: Some(EVENTS_KEEP),
            feed_shards: FEED_SHARDS,
        }
    }
}
