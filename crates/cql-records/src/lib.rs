//! What a cluster keeps beside coupons: who changed campaigns ([`Audit`]), how often coupons were issued and
//! redeemed ([`Activities`]), and who redeemed what ([`Redemptions`]).
//!
//! The hot store tells this crate what it is about to do to a campaign ([`DeedLog`]). Everything else is made
//! from the feed of events, so no change of a coupon waits for it. The crate owns the tables `audit_…`,
//! `activity`, `counted`, `redeemed_by_order` and `redemption…`.

mod activity;
mod audit;
mod counting;
mod deed_log;
mod redemption_index;
mod redemptions;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use cql_session::{Attempts, CqlSession};
use hot::records::{DeedLog, RecordSource, Records};

use deed_log::Log;
use redemption_index::RedemptionIndex;

/// What the records of a store need to know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the orders of redemptions are found. `None`: they are not entered. It is the same in every
    /// process of a keyspace.
    pub orders_keep: Option<Duration>,
    /// How long one call retries, as that of the store.
    pub call_limit: Duration,
}

/// The records of a store on a cluster.
struct ClusterRecords {
    session: Arc<CqlSession>,
    source: Arc<dyn RecordSource>,
    log: Arc<Log>,
    call_limit: Duration,
    /// The quarter before which this process has deleted sums.
    forgotten: AtomicI64,
    /// One task of a process counts at a time; the number of the last count that has ended.
    counting: tokio::sync::Mutex<u64>,
    /// Counts begun so far.
    counts_begun: AtomicU64,
    index: Arc<RedemptionIndex>,
}

impl Records for ClusterRecords {}

impl ClusterRecords {
    fn attempts(&self, what: &'static str) -> Attempts {
        Attempts::new(what, self.call_limit)
    }
}

/// The records of a store, for `hot_cql::CqlHot::with_records`.
pub fn records(
    session: Arc<CqlSession>,
    source: Arc<dyn RecordSource>,
    options: Options,
) -> (Arc<dyn DeedLog>, Arc<dyn Records>) {
    let Options { orders_keep, call_limit } = options;
    let index = Arc::new(RedemptionIndex::new(Arc::clone(&session), orders_keep));
    let log = Arc::new(Log::new(Arc::clone(&session), Arc::clone(&index)));
    let records = ClusterRecords {
        session,
        source,
        log: Arc::clone(&log),
        call_limit,
        forgotten: AtomicI64::new(i64::MIN),
        counting: tokio::sync::Mutex::default(),
        counts_begun: AtomicU64::default(),
        index,
    };
    (log, Arc::new(records))
}
