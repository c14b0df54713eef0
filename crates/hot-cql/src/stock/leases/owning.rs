//! Owning a lease: a process writes its name into the row of the lease, renews it, and removes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon::ids::{BatchId, CampaignId};
use hot::HotError;

use crate::CqlStore;
use crate::stock::counter::OfferQueue;
use crate::stock::lease_rows::{LeaseRow, OWNED_S};
use crate::stock::{Lease, StockRow, WaitingCode};
use cql_session::{Cas, Result, StatementProfile};

/// Leases that were not used for this long are given back.
const QUIET: Duration = Duration::from_secs(1);

/// Rounds of the upkeep, a second each, between two renewals: two may fail before the lease has no
/// owner.
pub(crate) const RENEWED_EVERY_ROUNDS: u32 = 20;

const _: () = assert!(3 * RENEWED_EVERY_ROUNDS as i32 <= OWNED_S);

impl CqlStore {
    /// Writes this process into a lease without an owner; `false` if another process was faster.
    pub(crate) async fn own(
        &self,
        id: &CampaignId,
        batch: &BatchId,
        row: &LeaseRow,
    ) -> Result<bool> {
        // Only the owner expires, not the lease.
        let cql = "UPDATE lease USING TTL ? SET owner = ? WHERE campaign_id = ? AND batch_id = ? \
                   AND kind = ? AND first = ? AND name = ? IF owner = ? AND count = ?";
        let LeaseRow { kind, first, name, count, owner, .. } = row;
        let (me, id, batch) = (self.process, id.as_str(), batch.as_str());
        let values = (OWNED_S, me, id, batch, kind, first, name.as_deref(), owner, count);
        // After an unknown outcome it may be ours. Then it is found when the owner expires, or by a
        // walk.
        match self.session.change(StatementProfile::Change, cql, values).await? {
            Cas::Applied => Ok(true),
            Cas::Refused | Cas::Unknown(_) => Ok(false),
            Cas::NotSent(error) => Err(HotError::Unavailable(error.into())),
        }
    }

    /// So that other processes need no walk to find leases that this one does not use.
    pub(crate) async fn give_back_quiet(&self) {
        let quiet = self.options.connection.patience * QUIET;
        for (id, counter) in self.counters() {
            if counter.used_at.lock().take_if(|since| since.elapsed() >= quiet).is_some() {
                self.give_back(&id, &counter).await;
            }
        }
    }

    pub(crate) async fn give_back_all(&self) {
        for (id, counter) in self.counters() {
            self.give_back(&id, &counter).await;
        }
    }

    pub(crate) async fn renew_leases(&self) {
        for (id, counter) in self.counters() {
            let leases = owned_leases(counter.queue.lock().iter());
            for lease in leases {
                let StockRow::Lease { kind, first, name } = &lease.row else { continue };
                let cql = "UPDATE lease USING TTL ? SET owner = ? WHERE campaign_id = ? \
                           AND batch_id = ? AND kind = ? AND first = ? AND name = ? IF owner = ?";
                let (me, id, batch) = (self.process, id.as_str(), lease.batch.as_str());
                let values = (OWNED_S, me, id, batch, *kind, *first, name.as_str(), me);
                if let Err(error) = self.session.change(StatementProfile::Change, cql, values).await
                {
                    tracing::debug!(error = %error, "a lease could not be renewed");
                }
            }
        }
    }

    fn counters(&self) -> Vec<(CampaignId, Arc<OfferQueue>)> {
        let all = self.stock.0.lock();
        all.iter().map(|(id, counter)| (id.clone(), Arc::clone(counter))).collect()
    }

    async fn give_back(&self, id: &CampaignId, counter: &OfferQueue) {
        // Out of the queue first: from the update on, other processes offer these codes.
        let waiting = std::mem::take(&mut *counter.queue.lock());
        for lease in owned_leases(waiting.iter()) {
            let StockRow::Lease { kind, first, name } = &lease.row else { continue };
            let cql = "UPDATE lease SET owner = null, done = ? WHERE campaign_id = ? \
                       AND batch_id = ? AND kind = ? AND first = ? AND name = ? IF owner = ?";
            let done = lease.ends.saturating_sub(lease.left.load(Ordering::SeqCst));
            let (done, batch) = (i32::try_from(done).unwrap_or(0), lease.batch.as_str());
            let values = (done, id.as_str(), batch, *kind, *first, name.as_str(), self.process);
            if let Err(error) = self.session.change(StatementProfile::Change, cql, values).await {
                // A walk finds it.
                tracing::debug!(error = %error, "a lease could not be given back");
                continue;
            }
            // Such a batch is not asked for leases, and now it has one without an owner.
            self.used_up.write().remove(&(id.clone(), lease.batch.clone()));
        }
    }
}

/// The leases of these codes that this process owns, each once.
fn owned_leases<'a>(waiting: impl Iterator<Item = &'a WaitingCode>) -> Vec<Arc<Lease>> {
    let mut leases: Vec<Arc<Lease>> = Vec::new();
    for WaitingCode { lease, .. } in waiting.filter(|it| it.lease.owned) {
        // The codes of one lease wait next to each other.
        if !leases.iter().rev().any(|it| Arc::ptr_eq(it, lease)) {
            leases.push(Arc::clone(lease));
        }
    }
    leases
}
