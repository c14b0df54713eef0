//! The queue of a campaign's codes in this process, and the number of codes that requests offer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{WALKED_AT_ONCE, WaitingCode};
use crate::CqlStore;
use crate::campaigns::CampaignHere;

/// How long a request waits at a time for codes that other requests of this process are offering.
const HANDS_MAX: Duration = Duration::from_millis(500);

/// How often a process notes at most that a campaign has stock again.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// While it lives, a code of this counter is being offered.
#[derive(Debug)]
pub(super) struct InHand(Arc<OfferQueue>);

impl InHand {
    pub(super) fn of(counter: &Arc<OfferQueue>) -> InHand {
        counter.in_hands.fetch_add(1, Ordering::SeqCst);
        InHand(Arc::clone(counter))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hands.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_waiters();
    }
}

#[derive(Default)]
pub(crate) struct OfferQueues(pub(super) Mutex<HashMap<CampaignId, Arc<OfferQueue>>>);

#[derive(Debug, Default)]
pub(super) struct OfferQueue {
    pub(super) queue: Mutex<VecDeque<WaitingCode>>,
    /// Offers under way, which end in a moment.
    pub(super) in_hands: AtomicUsize,
    pub(super) freed: Notify,
    pub(super) used_at: Mutex<Option<Instant>>,
    /// One request at a time leases more stock, or finds that there is none.
    pub(super) fetching: tokio::sync::Mutex<LastWalk>,
    /// Double walks begun so far.
    pub(super) walks: AtomicU64,
    /// Codes never offered were found touched: now codes are read before they are offered.
    pub(super) suspicious: AtomicBool,
    /// When this process has last noted that a campaign which was sold out has stock again.
    noted_at: Mutex<Option<Instant>>,
}

/// The end of the last double walk that found nothing.
#[derive(Debug, Default)]
pub(super) struct LastWalk {
    pub(super) number: u64,
    pub(super) found: Option<Refusal>,
}

impl OfferQueue {
    pub(super) fn push(&self, waiting: impl IntoIterator<Item = WaitingCode>) {
        // Any of them: the last one may be of a lease without an owner.
        let mut owned = false;
        self.queue.lock().extend(waiting.into_iter().inspect(|it| owned |= it.lease.owned));
        self.used_with(owned);
    }

    pub(super) fn push_front(&self, waiting: WaitingCode) {
        let owned = waiting.lease.owned;
        self.queue.lock().push_front(waiting);
        self.used_with(owned);
    }

    /// Codes of a lease that names this process came into the queue, perhaps long after the request
    /// that took it: the campaign may have been quiet since, and its leases given back. Without a use
    /// after that this one would be renewed for ever, and never given back.
    fn used_with(&self, owned: bool) {
        if owned {
            self.touch();
        }
    }

    /// The next codes of batches that are not paused: one that is fresh, or some that must be read.
    pub(super) fn pop(&self, campaign: &CampaignHere) -> Vec<WaitingCode> {
        let mut queue = self.queue.lock();
        // After some codes were found to be issued, more may be: they are read together.
        let at_once = if self.suspicious.load(Ordering::Relaxed) { WALKED_AT_ONCE } else { 1 };
        let mut some: Vec<WaitingCode> = Vec::new();
        for _ in 0..queue.len() {
            let Some(next) = queue.pop_front() else { break };
            let paused = campaign.batches.get(&next.lease.batch).is_some_and(|it| it.paused);
            if paused {
                queue.push_back(next);
                continue;
            }
            let fresh = next.lease.fresh.load(Ordering::Relaxed);
            if fresh && !some.is_empty() {
                queue.push_front(next);
                break;
            }
            some.push(next);
            if fresh || some.len() == at_once {
                break;
            }
        }
        some
    }

    /// Waits while other requests of this process offer codes, which they may put back: a walk
    /// would find all of them on offer. Returns whether it waited.
    pub(super) async fn waited(&self) -> bool {
        // Before the count is read: an offer that ends in between would wake nobody.
        let freed = self.freed.notified();
        if self.in_hands.load(Ordering::SeqCst) == 0 {
            return false;
        }
        // Not for ever: the other request may wait for a frozen node.
        let _ = tokio::time::timeout(HANDS_MAX, freed).await;
        true
    }

    pub(super) fn touch(&self) {
        *self.used_at.lock() = Some(Instant::now());
    }
}

impl CqlStore {
    pub(super) fn counter(&self, id: &CampaignId) -> Arc<OfferQueue> {
        Arc::clone(self.stock.0.lock().entry(id.clone()).or_default())
    }

    /// Whether it may be noted that a campaign has stock again: of coupons that come back to one that is sold
    /// out, each would cost two updates of the campaign.
    pub(crate) fn may_note_again(&self, id: &CampaignId) -> bool {
        self.counter(id).noted_at.lock().is_none_or(|at| at.elapsed() >= NOTED_EVERY)
    }

    pub(crate) fn has_noted(&self, id: &CampaignId) {
        *self.counter(id).noted_at.lock() = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{Lease, RUN, StockRow};

    fn waiting(owned: bool) -> WaitingCode {
        let lease = Lease {
            batch: "first".parse().expect("a name"),
            row: StockRow::Lease { kind: RUN, first: 0, name: String::new() },
            owned,
            left: AtomicUsize::new(1),
            ends: 1,
            fresh: AtomicBool::new(false),
        };
        WaitingCode { code: "CODE01".parse().expect("a code"), day: None, lease: Arc::new(lease) }
    }

    #[test]
    fn a_lease_that_comes_late_is_given_back_later() {
        let quiet = |counter: &OfferQueue| counter.used_at.lock().is_none();
        for (name, owned) in [("its own", true), ("one without an owner", false)] {
            let leased = OfferQueue::default();
            leased.push([waiting(owned), waiting(owned)]);
            assert_eq!(quiet(&leased), !owned, "{name}: leased");
            let back = OfferQueue::default();
            back.push_front(waiting(owned));
            assert_eq!(quiet(&back), !owned, "{name}: put back");
        }
        let mixed = OfferQueue::default();
        mixed.push([waiting(true), waiting(false)]);
        assert!(!quiet(&mixed), "its own before one without an owner");
    }
}
