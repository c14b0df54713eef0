//! What a cluster keeps beside coupons: who changed campaigns ([`Audit`]), how often coupons were issued and
//! redeemed ([`Activities`]), and who redeemed what ([`Redemptions`]).
//!
//! The hot store tells this crate what it is about to do to a campaign ([`AuditLog`]). Everything else is made
//! from the feed of events, so no change of a coupon waits for it. The crate owns the tables `audit_…`,
//! `activity`, `counted`, `redeemed_by_order` and `redemption…`.

mod activity;
mod audit;
mod audit_log;
mod count_task;
mod counting;
mod redemption_index;
mod redemptions;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use cql_session::CqlSession;
use hot::records::{AuditLog, RecordSource, Records};

use audit_log::Log;
use count_task::CountTask;
use counting::Counter;
use redemption_index::RedemptionIndex;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the orders of redemptions are found. `None`: they are not entered. It is the same in every
    /// process of a keyspace.
    pub orders_keep: Option<Duration>,
    /// As that of the store.
    pub call_limit: Duration,
}

/// How long somebody who reads waits for the newest events to be counted.
const READER_WAITS: Duration = Duration::from_secs(5);

struct ClusterRecords {
    session: Arc<CqlSession>,
    source: Arc<dyn RecordSource>,
    log: Arc<Log>,
    counter: Arc<Counter>,
    counts: CountTask,
    index: Arc<RedemptionIndex>,
    /// The quarter before which this process has deleted sums.
    forgotten: AtomicI64,
}

impl Records for ClusterRecords {}

impl ClusterRecords {
    /// Counts, for somebody who reads what was counted. If that fails or takes long, they read what there is.
    async fn count_for_reader(&self) {
        self.counts.counts(READER_WAITS).await;
    }
}

fn count_task(counter: Arc<Counter>) -> CountTask {
    CountTask::begin(move || {
        let counter = Arc::clone(&counter);
        async move { counter.count().await }
    })
}

/// The records of a store, for `hot_cql::CqlHot::with_records`. To be called in a runtime.
pub fn records(
    session: Arc<CqlSession>,
    source: Arc<dyn RecordSource>,
    options: Options,
) -> (Arc<dyn AuditLog>, Arc<dyn Records>) {
    let Options { orders_keep, call_limit } = options;
    let index = Arc::new(RedemptionIndex::new(Arc::clone(&session), orders_keep));
    let log = Arc::new(Log::new(Arc::clone(&session), Arc::clone(&index)));
    let counter = Arc::new(Counter {
        session: Arc::clone(&session),
        source: Arc::clone(&source),
        index: Arc::clone(&index),
        call_limit,
    });
    let records = ClusterRecords {
        session,
        source,
        log: Arc::clone(&log),
        counts: count_task(Arc::clone(&counter)),
        counter,
        index,
        forgotten: AtomicI64::new(i64::MIN),
    };
    (log, Arc::new(records))
}
