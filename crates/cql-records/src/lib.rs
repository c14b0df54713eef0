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
mod orders;
mod redemptions;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use cql_session::{Attempts, CqlSession};
use hot::records::{DeedLog, RecordSource, Records};

use deed_log::Log;

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
    options: Options,
    /// The quarter before which this process has deleted sums.
    forgotten: AtomicI64,
    days: redemptions::Days,
}

impl Records for ClusterRecords {}

impl ClusterRecords {
    fn attempts(&self, what: &'static str) -> Attempts {
        Attempts::new(what, self.options.call_limit)
    }
}

/// The records of a store, for `hot_cql::CqlHot::with_records`.
pub fn records(
    session: Arc<CqlSession>,
    source: Arc<dyn RecordSource>,
    options: Options,
) -> (Arc<dyn DeedLog>, Arc<dyn Records>) {
    let log = Arc::new(Log::new(Arc::clone(&session)));
    let forgotten = AtomicI64::new(i64::MIN);
    let days = redemptions::Days::default();
    let records =
        ClusterRecords { session, source, log: Arc::clone(&log), options, forgotten, days };
    (log, Arc::new(records))
}
