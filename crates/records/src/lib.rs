//! The records of a store that changes one row at a time: who changed what ([`Audit`](hot::audit::Audit)), how often
//! coupons were issued and redeemed ([`Activities`](hot::activity::Activities)), and who redeemed what
//! ([`Redemptions`](hot::redemptions::Redemptions)). All of it are rows of [`Tables`].
//!
//! The store says what it is about to do to a campaign ([`AuditLog`]). Everything else is made from the feed of
//! events, so no change of a coupon waits for it.
//!
//! A store with transactions does *not* need this crate: it writes audit entries with the change itself, and counts in
//! transactions.

mod activity;
mod audit;
mod audit_log;
mod audit_rows;
mod bringing;
mod count_task;
mod counting;
mod keys;
mod redemption_index;
mod redemptions;

use std::sync::Arc;
use std::time::Duration;

use hot::HotError;
use hot::records::{AuditLog, RecordSource, Records};
use hot::tables::Tables;

use audit_log::EntryLog;
use count_task::CountTask;
use counting::EventCounter;
use redemption_index::RedemptionIndex;

pub use bringing::{bring_audit, bring_counts, bring_orders};

type Result<T, E = HotError> = std::result::Result<T, E>;

/// How long a reader waits for the newest events to be counted.
const READER_WAITS: Duration = Duration::from_secs(5);

struct StoreRecords {
    tables: Arc<dyn Tables>,
    source: Arc<dyn RecordSource>,
    log: Arc<EntryLog>,
    counter: Arc<EventCounter>,
    counts: CountTask,
    index: Arc<RedemptionIndex>,
}

impl Records for StoreRecords {}

impl StoreRecords {
    /// Counts for a reader of the counts. If that fails or takes long, the reader gets what there is.
    async fn count_for_reader(&self) {
        self.counts.counts(READER_WAITS).await;
    }
}

/// The records of a store. To be called in a runtime.
///
/// `orders_keep`: how long the orders of redemptions are found; `None`: they are not entered. It is the same in every
/// process of a store.
pub fn records(
    tables: Arc<dyn Tables>,
    source: Arc<dyn RecordSource>,
    orders_keep: Option<Duration>,
) -> (Arc<dyn AuditLog>, Arc<dyn Records>) {
    let index = Arc::new(RedemptionIndex::new(Arc::clone(&tables), orders_keep));
    let log = Arc::new(EntryLog::new(Arc::clone(&tables), Arc::clone(&index)));
    let counter = Arc::new(EventCounter {
        tables: Arc::clone(&tables),
        source: Arc::clone(&source),
        index: Arc::clone(&index),
    });
    let counting = Arc::clone(&counter);
    let counts = CountTask::begin(move || {
        let counter = Arc::clone(&counting);
        async move { counter.count().await }
    });
    let records = StoreRecords { tables, source, log: Arc::clone(&log), counter, counts, index };
    (log, Arc::new(records))
}
