//! The queues of closed coupons, while a process cannot write into them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coupon::campaign::Campaign;
use coupon::time::Millis;
use cql_session::{RowPage, StatementRequest};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use hot::HotStore;
use hot_conformance::kit::{ChangeOutcome, Kit, MemoryArchive, give, redeem, said};
use hot_cql::CqlOptions;
use scylla::errors::ExecutionError;
use simulated_cluster::EPOCH_MS;
use simulated_cluster::session::StatementTamper;
use tokio::time::sleep;

use crate::simulated::ClusterFixture;

/// Whether nothing can be queued.
#[derive(Default)]
struct QueueOutage(AtomicBool);

impl StatementTamper for QueueOutage {
    fn before(
        &self,
        request: &StatementRequest,
    ) -> BoxFuture<'static, Option<Result<RowPage, ExecutionError>>> {
        let is_away = self.0.load(Ordering::Relaxed) && request.cql.contains("INTO closed");
        ready(is_away.then_some(Err(ExecutionError::EmptyPlan))).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_coupon_that_was_queued_late_is_not_passed() {
    let (fixture, archive) = (ClusterFixture::calm(9), Arc::<MemoryArchive>::default());
    let outage = Arc::<QueueOutage>::default();
    let mut kits = Vec::new();
    for (number, tamper) in [(1, Some(Arc::clone(&outage) as _)), (2, None)] {
        let options = CqlOptions { clock_bound_ms: 0, ..ClusterFixture::options() };
        let hot = fixture.process(options, Arc::clone(&archive) as _, tamper).await;
        kits.push(Kit::numbered(hot as Arc<dyn HotStore>, Arc::clone(&archive), number));
    }
    let [away, other] = &kits[..] else { unreachable!() };
    // By the clock of the processes, which the kit does not know.
    let after = |seconds: i64| Millis(EPOCH_MS + 1_000 * seconds);
    let campaign = Campaign { cancel_days: 0, valid_from: after(0), ..away.draft() };
    let codes = away.stocked(&campaign, 2).await;
    outage.0.store(true, Ordering::Relaxed);
    for (kit, code, at) in [(away, &codes[0], after(1)), (other, &codes[1], after(2))] {
        let user = kit.user("user");
        for action in [give(&user, None), redeem(&user, "order")] {
            assert_eq!(said(&kit.at(at, code, action).await), ChangeOutcome::Accepted, "{code}");
        }
    }
    let day = campaign.expiry_day();
    for (pass, at, want) in [("the later one", 60, 1), ("the queue is read beyond it", 90, 0)] {
        sleep(Duration::from_secs(30)).await;
        assert_eq!(other.archive_closed(day, after(at)).await, want, "{pass}");
    }
    outage.0.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(other.archive_closed(day, after(120)).await, 1, "the earlier one");
}
