//! A node that missed what was deleted, and that nobody repaired before the others forgot it:
//! docs/cluster.md says what its rows do.

use std::sync::Arc;

use crate::simulated::ClusterFixture;
use coupon::campaign::Campaign;
use hot::HotStore;
use hot_conformance::kit::{
    ChangeOutcome, Kit, MemoryArchive, NOW, give, redeem, reference, revoke, said,
};
use hot_cql::CqlOptions;

/// What a node has missed, and what must be true once it has brought deleted rows back.
struct MissedCase {
    name: &'static str,
    check: fn(ClusterFixture, Kit) -> futures::future::BoxFuture<'static, ()>,
}

/// The node that misses everything between [`leaves`] and [`comes_back`].
const AWAY: usize = 2;

fn leaves(fixture: &ClusterFixture) {
    fixture.cluster.kill(AWAY);
}

/// The rest have dropped what is deleted. One of them leaves, so that the node is needed by each quorum.
fn comes_back(fixture: &ClusterFixture) {
    fixture.cluster.compact();
    fixture.cluster.start(AWAY);
    fixture.cluster.kill(0);
}

const CASES: [MissedCase; 3] = [
    MissedCase {
        name: "a coupon of a sealed day was redeemed",
        check: |fixture, kit| {
            Box::pin(async move {
                let campaign = kit.draft();
                let (codes, ann) = (kit.stocked(&campaign, 3).await, kit.user("ann"));
                kit.done(&codes[0], give(&ann, None)).await;
                leaves(&fixture);
                let before = kit.done(&codes[0], redeem(&ann, "cart")).await;
                let late = kit.time_to_seal(campaign.expiry_day()).await;
                kit.archive_partition(campaign.expiry_day(), late).await;
                comes_back(&fixture);
                assert_eq!(kit.coupon(&codes[0]).await, before);
                assert_eq!(kit.coupon(&codes[0]).await, before);
                let again = kit.at(late, &codes[0], redeem(&ann, "another")).await;
                assert!(matches!(said(&again), ChangeOutcome::Refused(_)), "{again:?}");
                let again = kit.at(late, &codes[0], redeem(&ann, "cart")).await;
                assert_eq!(said(&again), ChangeOutcome::Replayed);
            })
        },
    },
    MissedCase {
        name: "a coupon of an open day was redeemed and archived",
        check: |fixture, kit| {
            Box::pin(async move {
                let campaign = Campaign { cancel_days: 0, ..kit.draft() };
                let (codes, ann) = (kit.stocked(&campaign, 3).await, kit.user("ann"));
                kit.done(&codes[0], give(&ann, None)).await;
                leaves(&fixture);
                let before = kit.done(&codes[0], redeem(&ann, "cart")).await;
                let closed = NOW.plus_days(1);
                assert_eq!(kit.archive_closed(campaign.expiry_day(), closed).await, 1);
                comes_back(&fixture);
                assert_eq!(kit.coupon(&codes[0]).await, before);
                assert_eq!(kit.coupon(&codes[0]).await, before);
                let again = kit.at(closed, &codes[0], redeem(&ann, "another")).await;
                assert!(matches!(said(&again), ChangeOutcome::Refused(_)), "{again:?}");
            })
        },
    },
    MissedCase {
        name: "a returned coupon was issued again",
        check: |fixture, kit| {
            Box::pin(async move {
                let campaign = Campaign { per_user_limit: Some(1), ..kit.draft() };
                kit.stocked(&campaign, 3).await;
                let [ann, bob, cleo, dan, eve] = kit.users();
                let first = kit.issued(&campaign, &ann, "first").await;
                kit.done(&first, revoke(&ann)).await;
                leaves(&fixture);
                let mut issued = Vec::new();
                for user in [&bob, &cleo, &dan] {
                    issued.push(kit.issued(&campaign, user, "once").await);
                }
                issued.sort();
                issued.dedup();
                assert_eq!(issued.len(), 3, "all of the stock, with that which came back");
                comes_back(&fixture);
                let more = kit.issue(&campaign, &eve, reference("more")).await;
                assert!(matches!(said(&more), ChangeOutcome::Refused(_)), "{more:?}");
            })
        },
    },
];

#[tokio::test(start_paused = true)]
async fn deleted_rows_that_come_back_spend_nothing() {
    for (number, MissedCase { name, check }) in (0..).zip(CASES) {
        println!("{name}");
        let fixture = ClusterFixture::calm(number);
        let archive = Arc::new(MemoryArchive::default());
        let options = CqlOptions { clock_bound_ms: 0, ..ClusterFixture::options() };
        let hot = fixture.process(options, Arc::clone(&archive) as _, None).await;
        let kit = Kit::numbered(Arc::clone(&hot) as Arc<dyn HotStore>, archive, number);
        check(fixture, kit).await;
    }
}
