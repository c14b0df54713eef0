//! More copies of each row on a running cluster of Apache Cassandra: nothing is written before a repair is confirmed.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{ConnectError, Keyspace, KeyspaceAddress, SchemaOptions};
use hot::{Campaigns, NewCampaign};
use hot_conformance::kit::{ACT, Kit, MemoryArchive, keys};
use hot_cql::{CqlHot, CqlOptions};
use testcluster::TestCluster;
use tokio::time::{Instant, sleep};

/// A process looks every ten seconds; machines stop for some.
const PATIENCE: Duration = Duration::from_secs(120);

async fn opened(options: &CqlOptions) -> Result<CqlHot, ConnectError> {
    let archive = Arc::new(MemoryArchive::default());
    CqlHot::connect(options.clone(), keys(), archive).await
}

/// Creates a campaign again and again until the answer is the one that is waited for.
async fn until(hot: &CqlHot, kit: &Kit, is_refused: bool) {
    let (campaign, began) = (kit.draft(), Instant::now());
    loop {
        let new = NewCampaign {
            campaign: campaign.clone(),
            created_as: "a request".into(),
            first_batch: None,
        };
        match hot.create_campaign(new, &ACT).await {
            Ok(_) if !is_refused => return,
            Err(why) if is_refused && why.to_string().contains("schema repaired") => return,
            other => assert!(began.elapsed() < PATIENCE, "refused {is_refused}: {other:?}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_before_the_repair() {
    let cluster = tokio::task::spawn_blocking(|| TestCluster::start_steady(3)).await.unwrap();
    let Some(cluster) = cluster else { return };
    let target: KeyspaceAddress = format!("cql://{}/copies", cluster.addresses()).parse().unwrap();
    let mut options = CqlOptions::of(&target);
    options.connection.patience = testcluster::STEADY_PATIENCE;
    let keyspace = Keyspace::connect(&options.connection).await.unwrap();
    let one = SchemaOptions { replication: Some(1), ..SchemaOptions::default() };
    keyspace.apply(&one).await.unwrap();
    let hot = Arc::new(opened(&options).await.unwrap());
    let kit = Kit::new(hot.clone(), Arc::new(MemoryArchive::default()));
    until(&hot, &kit, false).await;
    let more = "ALTER KEYSPACE copies WITH replication = \
                {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}";
    hot.session().write(more, ()).await.unwrap();
    until(&hot, &kit, true).await;
    assert!(matches!(opened(&options).await, Err(ConnectError::Copies(_))));

    let confirmed = keyspace.confirm_copies().await.unwrap();
    assert_eq!(confirmed, ("copies datacenter1:1".into(), "copies datacenter1:3".into()));
    until(&hot, &kit, false).await;
    opened(&options).await.unwrap();
}
