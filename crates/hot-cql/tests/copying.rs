//! `couponry copy` to a real cluster. `crates/simulation/tests/copying.rs` stops a copy at each of its
//! steps, on a simulated cluster.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use coupon::campaign::{Campaign, CampaignCounts};
use coupon::imported::ImportedState;
use cql_session::KeyspaceAddress;
use cql_session::{Keyspace, SchemaOptions};
use hot::inventory::{Compared, Copied, CopySource, Importer, Inventory, compare, copy};
use hot_conformance::Case;
use hot_conformance::kit::{Kit, MemoryArchive, NOW, keys};
use hot_cql::{self as cql, CqlHot};
use hot_sqlite::{SqliteHot, SqliteOptions};
use tempfile::TempDir;

/// Cases that leave something of every table.
const CASES: [&str; 7] = [
    "archived::extended_and_archived",
    "bearer::put_into_a_wallet",
    "changes::extended_and_found_again",
    "imports::imported_twice",
    "issue::replaced_once",
    "shared::redeemed",
    "whole::one_of_each",
];

fn sqlite(archive: &Arc<MemoryArchive>) -> (Arc<SqliteHot>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    // Room for a machine that does other things besides.
    let options = SqliteOptions {
        free_min_bytes: 0,
        write_timeout: Duration::from_secs(60),
        ..SqliteOptions::default()
    };
    let archive = Arc::clone(archive);
    let hot = SqliteHot::open(folder.path(), keys(), archive, options).unwrap();
    (Arc::new(hot), folder)
}

/// A keyspace of its own on the one node that all tests share.
async fn cassandra(name: &str, archive: &Arc<MemoryArchive>) -> Option<Arc<CqlHot>> {
    let cluster = tokio::task::spawn_blocking(|| testcluster::shared(1)).await.unwrap()?;
    let target =
        format!("cql://{}/{name}", cluster.addresses()).parse::<KeyspaceAddress>().unwrap();
    // Few buckets, so that a partition is sealed in a moment; and this one process has one clock.
    let mut options = cql::CqlOptions {
        bucket_bits: 4,
        clock_bound_ms: 0,
        call_limit: Duration::from_secs(60),
        ..cql::CqlOptions::of(&target)
    };
    options.connection.patience = testcluster::STEADY_PATIENCE;
    let keyspace = Keyspace::connect(&options.connection).await.unwrap();
    keyspace.apply(&SchemaOptions::default()).await.unwrap();
    let hot = CqlHot::connect(options, keys(), Arc::clone(archive) as _).await.unwrap();
    Some(Arc::new(hot))
}

async fn copied(from: &dyn CopySource, to: &dyn Importer) -> Copied {
    copy(from, to, |_, _| ()).await.unwrap()
}

async fn is_same(from: &dyn CopySource, to: &dyn Inventory) -> Vec<Compared> {
    let compared = compare(from, to, |_, _| ()).await.unwrap();
    let differ: Vec<_> = compared.iter().filter(|one| !one.is_same()).collect();
    assert!(differ.is_empty(), "{differ:?}");
    compared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn to_a_cluster() {
    let archive = Arc::<MemoryArchive>::default();
    let (first, _folder) = sqlite(&archive);
    let kit = Arc::new(Kit::new(Arc::clone(&first) as _, Arc::clone(&archive)));
    for name in CASES {
        Case::named(name).run(&kit).await;
    }
    let Some(cluster) = cassandra("copied", &archive).await else { return };
    copied(&*first, &*cluster).await;
    let compared = is_same(&*first, &*cluster).await;
    for what in ["days", "campaigns", "coupons", "directory entries", "claims", "replacements"] {
        let count = compared.iter().find(|one| one.what == what).map_or(0, |one| one.from.count);
        assert!(count > 0, "{what}");
    }
    let kit = Arc::new(Kit::new(Arc::clone(&cluster) as _, Arc::clone(&archive)));
    kit.is_sound().await;
    Case::named("whole::one_of_each").run(&kit).await;
    kit.is_sound().await;
}

/// So many that it takes a while; how many.
async fn many(kit: &Kit) -> u64 {
    let rows: u64 =
        std::env::var("COUPONRY_TEST_ROWS").map_or(50_000, |text| text.parse().unwrap());
    let campaign = Campaign { per_user_limit: Some(3), ..kit.draft() };
    kit.create(&campaign).await;
    let batch = kit.open_import(&campaign).await;
    let mut made = 0;
    while made < rows {
        let lines = (0..1_000).map(|at| {
            let imported_state = match at % 3 {
                0 => ImportedState::Available,
                1 => ImportedState::Issued { holder: kit.user("u"), at: Some(NOW) },
                _ => ImportedState::Redeemed {
                    holder: Some(kit.user("u")),
                    issued_at: Some(NOW),
                    at: NOW,
                    order: Some("991".parse().unwrap()),
                    worth: None,
                },
            };
            kit.line(&campaign, &kit.code(), imported_state)
        });
        made += kit.import(&campaign, &batch, lines.collect()).await.len() as u64;
    }
    assert_eq!(
        kit.counts(&campaign).await,
        CampaignCounts { stock: made, ..kit.counts(&campaign).await }
    );
    made
}

/// How fast it goes; for people, and for `docs/cluster.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes and asserts little"]
async fn measured() {
    let archive = Arc::<MemoryArchive>::default();
    let (first, _folder) = sqlite(&archive);
    let kit = Kit::new(Arc::clone(&first) as _, Arc::clone(&archive));
    let rows = many(&kit).await;
    let Some(cluster) = cassandra("measured", &archive).await else { return };
    for pass in ["first pass", "again"] {
        let began = std::time::Instant::now();
        copied(&*first, &*cluster).await;
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        eprintln!("{pass}: {rows} coupons, {rate:.0}/s");
    }
    let began = std::time::Instant::now();
    is_same(&*first, &*cluster).await;
    let rate = rows as f64 / began.elapsed().as_secs_f64();
    eprintln!("compared: {rate:.0}/s");
}
