//! What a campaign has to hand out: leases of it in memory, and the walk that says that nothing is
//! left.
//!
//! A lease keeps processes from trying the same codes; what came back is nobody's, and each process
//! begins somewhere else there. The write of the coupon decides. So a dead
//! process's lease can be handed out by others, and one that was frozen does no harm. A lease is
//! dropped only when each of its codes was seen to be somebody's, or dead.
//!
//! "Sold out" is said when nothing is left to be leased and two walks over the open leases and what
//! came back, one after the other, have read the same codes in the same versions and none of them
//! available: then there was a moment in between at which none was.

mod leases;
mod returned;
mod walk;

pub(super) use leases::{CHUNK_MAX, RENEWED_EVERY_ROUNDS};

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::code::Code;
use coupon::coupon::State;
use coupon::ids::{BatchId, CampaignId};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Store;
use super::bounded_join::bounded_join;
use super::campaigns::CampaignHere;
use super::clock::CLOCK_BOUND_MS;
use super::coupons::{Here, Located};
use super::session::Result;
use super::values::signed;
use hot::protocol::{is_history_full, is_on_offer, is_over};
use hot::{HotError, Tier};

/// Coupons of a walk that are read at a time.
const WALKED_AT_ONCE: usize = 64;

/// How long one waits at a time for codes that others here have in their hands.
const HANDS_MAX: Duration = Duration::from_millis(500);

/// Codes that wait here, beyond what is leased for them, some 100 bytes each.
const WAITING_MAX: usize = 50_000;

/// Kinds of leases, in the order in which they lie.
const CHUNK: i32 = 1;
const RUN: i32 = 2;

/// One lease as this process has it, or one coupon that came back.
#[derive(Debug)]
struct Lease {
    batch: BatchId,
    row: Row,
    /// Whether the row of the lease names this process: else there is nothing to give back.
    owned: bool,
    /// Codes that have not been seen to be somebody's, or dead.
    left: AtomicUsize,
    /// Whether none of its codes was found to be touched so far: they are not read before they are
    /// offered.
    fresh: AtomicBool,
}

/// The row behind a lease, which ends with it.
#[derive(Debug)]
enum Row {
    /// One of `lease`.
    Lease { kind: i32, first: i64, name: String },
    /// One of `returned`.
    Returned { part: i32, version: i64, code: Code },
}

/// A code that waits to be offered.
#[derive(Clone, Debug)]
struct Waiting {
    code: Code,
    /// The partition in which it is looked for first.
    day: Option<Day>,
    lease: Arc<Lease>,
}

impl Waiting {
    /// One that came back, whose row is in `returned`.
    fn returned(batch: &BatchId, day: Option<Day>, part: i32, version: i64, code: Code) -> Waiting {
        let lease = Lease {
            batch: batch.clone(),
            row: Row::Returned { part, version, code: code.clone() },
            owned: false,
            left: AtomicUsize::new(1),
            fresh: AtomicBool::new(false),
        };
        Waiting { code, day, lease: Arc::new(lease) }
    }
}

/// A coupon that is offered: nobody else of this process has it.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) located: Box<Located>,
    waiting: Waiting,
    _in_hand: InHand,
}

/// As long as it lives, a code of this counter is in somebody's hands.
#[derive(Debug)]
struct InHand(Arc<Counter>);

impl InHand {
    fn of(counter: &Arc<Counter>) -> InHand {
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

/// What has become of an offer.
pub(super) enum Still {
    /// It can be given.
    Offered(Offer),
    /// It is somebody else's, or dead.
    Gone,
    /// Its partition is over.
    Sealed,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Offer(Offer),
    Nothing(Refusal),
}

/// The stock of every campaign that this process has leased from.
#[derive(Default)]
pub(super) struct Stock(Mutex<HashMap<CampaignId, Arc<Counter>>>);

/// Where the coupons of one campaign are handed out.
#[derive(Debug, Default)]
struct Counter {
    queue: Mutex<VecDeque<Waiting>>,
    /// Offers under way: what becomes of them is known in a moment.
    in_hands: AtomicUsize,
    freed: Notify,
    used_at: Mutex<Option<Instant>>,
    /// One at a time fetches new stock, or finds that there is none.
    fetching: tokio::sync::Mutex<LastWalk>,
    /// Double walks begun so far.
    walks: AtomicU64,
    /// Whether codes were found to be touched that had never been offered: what is leased next is
    /// read first.
    suspicious: AtomicBool,
}

/// The end of the last double walk that found nothing.
#[derive(Debug, Default)]
struct LastWalk {
    number: u64,
    found: Option<Refusal>,
}

impl Counter {
    fn push(&self, waiting: impl IntoIterator<Item = Waiting>) {
        if let Ok(mut queue) = self.queue.lock() {
            queue.extend(waiting);
        }
    }

    fn push_front(&self, waiting: Waiting) {
        if let Ok(mut queue) = self.queue.lock() {
            queue.push_front(waiting);
        }
    }

    /// The next codes of batches that are not paused: one that is fresh, or some that must be read.
    fn pop(&self, campaign: &CampaignHere) -> Vec<Waiting> {
        let Ok(mut queue) = self.queue.lock() else { return Vec::new() };
        // Where codes were found to be gone, more may be: they are read together.
        let at_once = match self.suspicious.load(Ordering::Relaxed) {
            true => WALKED_AT_ONCE,
            false => 1,
        };
        let mut some: Vec<Waiting> = Vec::new();
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

    /// Waits while codes are in the hands of others here, who may put one back: a walk would find
    /// all of them on offer. Whether it has waited.
    async fn waited(&self) -> bool {
        let freed = self.freed.notified();
        if self.in_hands.load(Ordering::SeqCst) == 0 {
            return false;
        }
        // Not for ever: whoever has one may wait for a node that is frozen.
        let _ = tokio::time::timeout(HANDS_MAX, freed).await;
        true
    }

    fn touch(&self) {
        if let Ok(mut used_at) = self.used_at.lock() {
            *used_at = Some(Instant::now());
        }
    }
}

impl Store {
    fn counter(&self, id: &CampaignId) -> Arc<Counter> {
        match self.stock.0.lock() {
            Ok(mut all) => Arc::clone(all.entry(id.clone()).or_default()),
            // Poisoned by a panic elsewhere: the leases it knew of are found by a walk.
            Err(_) => Arc::default(),
        }
    }

    /// The next coupon that can be given, or why there is none.
    pub(super) async fn next_offer(&self, campaign: &CampaignHere, at: Millis) -> Result<Next> {
        let mut campaign = campaign.clone();
        let counter = self.counter(&campaign.terms.id);
        let mut attempts = self.attempts("a look for stock");
        let asked = counter.walks.load(Ordering::SeqCst);
        counter.touch();
        loop {
            if let Some(offer) = self.first_of(&counter, &campaign, at).await? {
                return Ok(Next::Offer(offer));
            }
            let mut last = counter.fetching.lock().await;
            if let Some(offer) = self.first_of(&counter, &campaign, at).await? {
                return Ok(Next::Offer(offer));
            }
            // A walk that began after we had asked answers us too.
            if let Some(refusal) = last.found.filter(|_| last.number > asked) {
                return Ok(Next::Nothing(refusal));
            }
            if self.lease_more(&counter, &campaign, at).await? || counter.waited().await {
                continue;
            }
            let number = counter.walks.fetch_add(1, Ordering::SeqCst) + 1;
            match self.walk_twice(&counter, &campaign.terms.id, at).await? {
                // A batch that was made a moment ago has it, perhaps.
                None => match self.terms(&campaign.terms.id).await? {
                    Some(now) => {
                        campaign = now;
                        attempts.again().await?;
                    }
                    None => return Ok(Next::Nothing(Refusal::NotFound)),
                },
                Some(refusal) => {
                    *last = LastWalk { number, found: Some(refusal) };
                    return Ok(Next::Nothing(refusal));
                }
            }
        }
    }

    /// The first code of the queue that can be offered. Those that turn out to be somebody's are
    /// done with.
    async fn first_of(
        &self,
        counter: &Arc<Counter>,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<Option<Offer>> {
        loop {
            // From before it is taken out of the queue, so that nobody sees neither.
            let in_hand = InHand::of(counter);
            let some = counter.pop(campaign);
            let Some(first) = some.first() else { return Ok(None) };
            if first.lease.fresh.load(Ordering::Relaxed) && some.len() == 1 {
                match self.fresh_offer(first, campaign, at, in_hand).await? {
                    Some(offer) => return Ok(Some(offer)),
                    None => self.done_with(&campaign.terms.id, &first.lease).await,
                }
                continue;
            }
            let looks = some.iter().map(|waiting| self.look_at(waiting));
            let looks: Vec<Option<Located>> = bounded_join(WALKED_AT_ONCE, looks).await?;
            let (mut offer, mut in_hand, many) = (None, Some(in_hand), some.len() > 1);
            for (waiting, located) in some.into_iter().zip(looks) {
                match located {
                    // An import that has not written it yet: a walk will find it.
                    None => {}
                    Some(located) if !is_on_offer(&located, at) => {
                        counter.suspicious.store(true, Ordering::Relaxed);
                        if is_over(&located, at, CLOCK_BOUND_MS)
                            && !is_entered(&waiting.lease, &located)
                        {
                            self.done_with(&campaign.terms.id, &waiting.lease).await;
                        }
                    }
                    Some(located) => match in_hand.take() {
                        Some(_in_hand) => {
                            let located = Box::new(located);
                            offer = Some(Offer { located, waiting, _in_hand });
                        }
                        None => counter.push([waiting]),
                    },
                }
            }
            if offer.is_some() {
                if many {
                    counter.suspicious.store(false, Ordering::Relaxed);
                }
                return Ok(offer);
            }
        }
    }

    /// A serial that is taken to be untouched; the write says whether it is.
    async fn fresh_offer(
        &self,
        waiting: &Waiting,
        campaign: &CampaignHere,
        at: Millis,
        in_hand: InHand,
    ) -> Result<Option<Offer>> {
        if at >= campaign.terms.expires_at.plus_ms(CLOCK_BOUND_MS) {
            return Ok(None);
        }
        let (id, day) = (&campaign.terms.id, campaign.terms.expiry_day());
        let gone = || HotError::Damaged(format!("{id}: a batch with leases is gone"));
        let (campaign, batch) = self.batch_of(id, &waiting.lease.batch).await?.ok_or_else(gone)?;
        let bucket = self.bucket(day, &waiting.code).await?.ok_or_else(gone)?;
        let coupon = campaign.untouched(waiting.code.clone(), &batch);
        let (batch_paused, tier, here) = (batch.paused, Tier::Hot, Here { campaign, bucket });
        let located = Box::new(Located { coupon, batch_paused, day, tier, frozen: false, here });
        Ok(Some(Offer { located, waiting: waiting.clone(), _in_hand: in_hand }))
    }

    async fn look_at(&self, waiting: &Waiting) -> Result<Option<Located>> {
        let (code, batch) = (&waiting.code, &waiting.lease.batch);
        let day = match waiting.day {
            Some(day) => Some(day),
            None => self.directory_day(code).await?,
        };
        let Some(day) = day else { return Ok(None) };
        match self.stored(day, code).await? {
            None if matches!(waiting.lease.row, Row::Lease { kind: RUN, .. }) => {
                let campaign = self.campaign_of_run(code).await?;
                match campaign {
                    Some(id) => {
                        let owner = router::Owner { campaign: id, batch: batch.clone() };
                        self.untouched_at(code, &owner, day).await
                    }
                    None => Ok(None),
                }
            }
            found => Ok(found),
        }
    }

    async fn campaign_of_run(&self, code: &Code) -> Result<Option<CampaignId>> {
        for key in self.keys.current().iter() {
            let Some(minted) = key.open(code) else { continue };
            let run = self.run_with(key.id(), minted.day, minted.serial).await?;
            if let Some((owner, _)) = run {
                return Ok(Some(owner.campaign));
            }
        }
        Ok(None)
    }

    /// An offer that came to nothing waits again.
    pub(super) fn put_back(&self, id: &CampaignId, offer: Option<Offer>) {
        if let Some(offer) = offer {
            self.counter(id).push_front(offer.waiting);
        }
    }

    /// The coupon was given: our own write says so.
    pub(super) async fn is_taken(&self, id: &CampaignId, offer: Offer) {
        self.done_with(id, &offer.waiting.lease).await;
    }

    /// After a write that was refused: the coupon as it is now, if it can still be given.
    pub(super) async fn still_on_offer(
        &self,
        id: &CampaignId,
        offer: Offer,
        at: Millis,
    ) -> Result<Still> {
        let Offer { waiting, _in_hand, .. } = offer;
        // Somebody has been here before: from now on the codes of this lease are read first.
        waiting.lease.fresh.store(false, Ordering::Relaxed);
        self.counter(id).suspicious.store(true, Ordering::Relaxed);
        let Some(located) = self.look_at(&waiting).await? else { return Ok(Still::Gone) };
        if is_on_offer(&located, at) {
            let located = Box::new(located);
            return Ok(Still::Offered(Offer { located, waiting, _in_hand }));
        }
        if is_over(&located, at, CLOCK_BOUND_MS) && !is_entered(&waiting.lease, &located) {
            self.done_with(id, &waiting.lease).await;
        }
        let met_a_seal = located.frozen && *located.coupon.state() == State::Available;
        Ok(if met_a_seal { Still::Sealed } else { Still::Gone })
    }

    /// One more code of a lease was seen to be somebody's, or dead; the last one ends the lease.
    async fn done_with(&self, id: &CampaignId, lease: &Lease) {
        if lease.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = self.end_lease(id, lease).await
        {
            // A walk ends it.
            tracing::debug!(error = %error, "a lease that is used up could not be ended");
        }
    }

    /// After a coupon has become available that was entered as [`Store::enter_returned`] says: this
    /// process need not wait for a walk.
    pub(super) fn came_back(&self, located: &Located, part: i32) {
        let coupon = &located.coupon;
        if is_history_full(coupon) {
            return;
        }
        let (batch, version) = (&coupon.genesis().batch, signed(coupon.version()));
        let code = coupon.code().clone();
        let waiting = Waiting::returned(batch, Some(located.day), part, version, code);
        let counter = self.counter(&located.terms().id);
        // Past that a walk finds it: nobody may be asking for this campaign's stock here.
        if counter.queue.lock().is_ok_and(|queue| queue.len() < WAITING_MAX) {
            counter.push([waiting]);
        }
    }
}

/// Whether a code was entered as returned before its coupon was written: that may come yet.
fn is_entered(lease: &Lease, located: &Located) -> bool {
    match lease.row {
        // Nothing is written to a sealed partition.
        Row::Returned { version, .. } => {
            located.coupon.version() < version.unsigned_abs() && !located.frozen
        }
        Row::Lease { .. } => false,
    }
}
