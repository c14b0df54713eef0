//! The conformance suite on Apache Cassandra.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

use std::sync::Arc;
use std::time::Duration;

use cql_session::KeyspaceAddress;
use cql_session::{Keyspace, SchemaOptions};
use hot::HotStore;
use hot_conformance::kit::{MemoryArchive, keys};
use hot_conformance::{Ground, conforms};
use hot_cql::{CqlHot, CqlOptions};
use testcluster::TestCluster;

/// One node of Apache Cassandra, or three, with a keyspace of its own.
async fn open_cassandra(
    nodes: usize,
    archive: Arc<MemoryArchive>,
) -> Option<(Arc<dyn HotStore>, Ground)> {
    let cluster =
        tokio::task::spawn_blocking(move || TestCluster::start_steady(nodes)).await.unwrap()?;
    let target =
        format!("cql://{}/conformance", cluster.addresses()).parse::<KeyspaceAddress>().unwrap();
    // Few buckets, so that a partition is sealed in a moment; and this one process has one clock.
    let mut options = CqlOptions {
        bucket_bits: 4,
        clock_bound_ms: 0,
        // Few, so that a case can fill the first CQL partitions of a day.
        partition_rows: 32,
        // Room for a machine that does other things besides.
        call_limit: Duration::from_secs(60),
        ..CqlOptions::of(&target)
    };
    options.connection.patience = testcluster::STEADY_PATIENCE;
    let keyspace = Keyspace::connect(&options.connection).await.unwrap();
    keyspace.apply(&SchemaOptions::default()).await.unwrap();
    let orders_keep = Some(Duration::from_secs(400 * 86_400));
    let hot = CqlHot::connect(options, keys(), archive).await.unwrap();
    let hot = hot.with_records(|tables, source| records::records(tables, source, orders_keep));
    Some((Arc::new(hot), Box::new(cluster)))
}

async fn open_one_node(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    open_cassandra(1, archive).await
}

async fn open_three_nodes(archive: Arc<MemoryArchive>) -> Option<(Arc<dyn HotStore>, Ground)> {
    open_cassandra(3, archive).await
}

conforms!(together one_node by open_one_node);
conforms!(together three_nodes ("takes a quarter of an hour; CI runs `tests/cluster` on three nodes") by open_three_nodes);
