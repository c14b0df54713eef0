//! Copies that are added to a keyspace: nothing is written before a repair is confirmed.

#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use cql_session::ConnectError;
use hot::{Campaigns, HotError, NewCampaign};
use hot_conformance::kit::{ACT, Kit, MemoryArchive};
use hot_cql::CqlHot;
use simulated::ClusterFixture;
use tokio::time::sleep;

/// A process looks every ten seconds.
const NOTICED_AFTER: Duration = Duration::from_secs(11);

fn is_refused(error: &HotError) -> bool {
    matches!(error, HotError::Unavailable(why) if why.to_string().contains("couponry schema repaired"))
}

async fn start(fixture: &ClusterFixture) -> Result<Arc<CqlHot>, ConnectError> {
    fixture.open(ClusterFixture::options(), Arc::new(MemoryArchive::default()), None).await
}

async fn confirm(hot: &CqlHot, copies: &str) {
    hot.session().set("copies", copies).await.expect("the cluster answers");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_repair() {
    let fixture = ClusterFixture::calm(3);
    fixture.cluster.set_copies(1);
    let hot = start(&fixture).await.expect("the first look confirms");
    let kit = Kit::numbered(hot.clone(), Arc::new(MemoryArchive::default()), 3);
    let campaign = kit.draft();
    let create = async || {
        let (campaign, created_as) = (campaign.clone(), "a request".into());
        let new = NewCampaign { campaign, created_as, first_batch: None };
        hot.create_campaign(new, &ACT).await
    };
    create().await.expect("one copy, as at the beginning");

    fixture.cluster.set_copies(3);
    sleep(NOTICED_AFTER).await;
    let refused = create().await.expect_err("two copies have no rows");
    assert!(is_refused(&refused), "{refused}");
    let started = start(&fixture).await;
    assert!(matches!(started, Err(ConnectError::Copies(_))), "{:?}", started.err());

    confirm(&hot, "dc1:3").await;
    sleep(NOTICED_AFTER).await;
    create().await.expect("a repair is confirmed");
    start(&fixture).await.expect("a repair is confirmed");

    fixture.cluster.set_copies(2);
    sleep(NOTICED_AFTER).await;
    create().await.expect("the two that stay have all rows");
    fixture.cluster.set_copies(3);
    sleep(NOTICED_AFTER).await;
    assert!(is_refused(&create().await.expect_err("the third may lack rows")));
}
