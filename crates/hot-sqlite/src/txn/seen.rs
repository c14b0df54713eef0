//! What was looked up of campaigns, batches and seals: in one transaction, or by one reader so far. What never changes
//! stays known to the writer, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use coupon::ids::{Actor, CampaignId, OperationId};
use coupon::time::Day;
use router::{KeyRing, Owner};

use super::counts::CountShifts;
use super::offers::OfferMemory;
use super::told::PendingEvents;
use crate::rows::{BatchHere, CampaignHere};

/// Most entries of each map. With the largest metadata all readers take some eight megabytes.
const SEEN_MAX: usize = 200;

#[derive(Default)]
pub(crate) struct CachedRows {
    /// The number of changes of terms at the time of the look-ups.
    pub(super) revision: RefCell<Option<String>>,
    pub(super) campaigns: RefCell<HashMap<i64, CampaignHere>>,
    pub(super) batches: RefCell<HashMap<i64, BatchHere>>,
    pub(super) sealed: RefCell<HashMap<Day, u8>>,
    // These never change: a number means the same campaign, batch, actor or operation for ever.
    pub(super) numbers: RefCell<HashMap<CampaignId, i64>>,
    pub(super) owners: RefCell<HashMap<i64, Owner>>,
    pub(super) days: RefCell<HashMap<i64, Day>>,
    pub(super) actors: RefCell<HashMap<u64, Actor>>,
    pub(super) actor_numbers: RefCell<HashMap<String, u64>>,
    pub(super) operations: RefCell<HashMap<u64, OperationId>>,
    pub(super) operation_numbers: RefCell<HashMap<OperationId, u64>>,
    /// The numbers of the next new rows of batches, in a transaction that writes.
    pub(super) next_numbers: RefCell<HashMap<i64, i64>>,
    pub(super) counts: CountShifts,
    /// What the feed will tell of; `None` if it tells nothing.
    pub(super) told: Option<PendingEvents>,
    /// What is offered next; `None` in a read transaction.
    pub(super) offers: Option<OfferMemory>,
    /// Statements run by the whole store.
    pub(super) statements: Arc<AtomicU64>,
    /// What opens minted codes; `None` where no code is looked up.
    pub(super) keys: Option<KeyRing>,
}

impl CachedRows {
    /// Nothing yet; `statements` counts the statements that run.
    pub(crate) fn of_reader(statements: &Arc<AtomicU64>, keys: &KeyRing) -> CachedRows {
        let (statements, keys) = (Arc::clone(statements), Some(keys.clone()));
        CachedRows { statements, keys, ..CachedRows::default() }
    }

    /// The same for a transaction that writes; `tells`: whether the feed tells of its changes.
    pub(crate) fn of_writer(
        statements: &Arc<AtomicU64>,
        keys: &KeyRing,
        tells: bool,
    ) -> CachedRows {
        let told = tells.then(PendingEvents::default);
        let offers = Some(OfferMemory::default());
        CachedRows { told, offers, ..CachedRows::of_reader(statements, keys) }
    }

    /// Drops everything that was looked up or collected: what was written with it is rolled back.
    pub(crate) fn forget_all(&self) {
        self.forget_transaction();
        self.numbers.take();
        self.owners.take();
        self.days.take();
        self.actors.take();
        self.actor_numbers.take();
        self.operations.take();
        self.operation_numbers.take();
    }

    /// Drops what is of one transaction, which was committed. What never changes stays known.
    pub(crate) fn forget_transaction(&self) {
        self.forget();
        self.next_numbers.take();
        self.counts.shifts.take();
        self.counts.arrivals.take();
        self.counts.untold.take();
        if let Some(told) = &self.told {
            told.0.take();
        }
        if let Some(offers) = &self.offers {
            offers.serials.take();
            offers.cursors.take();
        }
    }

    /// Drops what can change.
    pub(super) fn forget(&self) {
        self.campaigns.borrow_mut().clear();
        self.batches.borrow_mut().clear();
        self.sealed.borrow_mut().clear();
    }
}

/// What is known of a key, or else what `read` finds, which is known from then on.
pub(super) fn known<K: Copy + Eq + Hash, V: Clone>(
    seen: &RefCell<HashMap<K, V>>,
    key: K,
    read: impl FnOnce() -> rusqlite::Result<V>,
) -> rusqlite::Result<V> {
    if let Some(value) = seen.borrow().get(&key) {
        return Ok(value.clone());
    }
    let value = read()?;
    keep(seen, key, &value);
    Ok(value)
}

pub(super) fn keep<K: Eq + Hash, V: Clone>(seen: &RefCell<HashMap<K, V>>, key: K, value: &V) {
    let mut seen = seen.borrow_mut();
    if seen.len() >= SEEN_MAX {
        seen.clear();
    }
    seen.insert(key, value.clone());
}
