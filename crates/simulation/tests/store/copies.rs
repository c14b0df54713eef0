//! A keyspace whose number of copies changes: nothing is written before a repair is confirmed.

use std::sync::Arc;
use std::time::Duration;

use crate::simulated::ClusterFixture;
use cql_session::ConnectError;
use hot::{Campaigns, HotError, NewCampaign};
use hot_conformance::kit::{ACT, Kit, MemoryArchive};
use hot_cql::CqlHot;
use tokio::time::sleep;

/// A process looks every ten seconds.
const NOTICED_AFTER: Duration = Duration::from_secs(11);

fn is_refused(error: &HotError) -> bool {
    matches!(error, HotError::Unavailable(why) if why.to_string().contains("couponry schema repaired"))
}

async fn start(fixture: &ClusterFixture) -> Result<Arc<CqlHot>, ConnectError> {
    fixture.open(ClusterFixture::options(), Arc::new(MemoryArchive::default()), None).await
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_repair() {
    let fixture = ClusterFixture::calm(3);
    let hot = start(&fixture).await.expect("the copies are confirmed");
    let kit = Kit::numbered(hot.clone(), Arc::new(MemoryArchive::default()), 3);
    let campaign = kit.draft();
    let create = async || {
        let (campaign, created_as) = (campaign.clone(), "a request".into());
        let new = NewCampaign { campaign, created_as, first_batch: None };
        hot.create_campaign(new, &ACT).await
    };
    let rows = [
        ("as at the beginning", 3, 3, true),
        ("some were taken away", 1, 3, false),
        ("a repair is confirmed", 1, 1, true),
        ("some were added", 3, 1, false),
        ("a repair is confirmed again", 3, 3, true),
    ];
    for (name, copies, confirmed, may_write) in rows {
        fixture.cluster.set_copies(copies, confirmed);
        if copies == confirmed {
            fixture.cluster.repair();
        }
        sleep(NOTICED_AFTER).await;
        let (created, started) = (create().await, start(&fixture).await);
        match may_write {
            true => assert!(created.is_ok() && started.is_ok(), "{name}: {created:?}"),
            false => {
                assert!(is_refused(&created.expect_err(name)), "{name}");
                assert!(matches!(started, Err(ConnectError::Copies(_))), "{name}");
            }
        }
    }
}
