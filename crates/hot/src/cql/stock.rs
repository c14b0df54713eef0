//! What a campaign has to hand out: leases of it in memory, and the walk that says that nothing is
//! left.
//!
//! A lease keeps processes from trying the same codes; the write of the coupon decides. So a dead
//! process's lease can be handed out by others, and one that was frozen does no harm. A lease is
//! dropped only when each of its codes was seen to be somebody's, or dead.
//!
//! "Sold out" is said when nothing is left to be leased and two walks over the open leases, one after
//! the other, have read the same codes in the same versions and none of them available: then there
//! was a moment in between at which none was.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::campaign::{Handout, MintedRun};
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{BatchId, CampaignId};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use scylla::DeserializeRow;
use scylla::response::PagingState;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::Store;
use super::campaigns::{BatchHere, CampaignHere};
use super::clock::CLOCK_BOUND_MS;
use super::coupons::{Located, Promise, Trace};
use super::outcome::Cas;
use super::session::{Manner, Result};
use super::several::several;
use super::values::{parsed, signed};
use crate::HotError;
use crate::deciding::is_worn;

/// A lease is a 64th of what is left, so that no process has much when the end comes, ...
const LEASE_PART: u64 = 64;

/// ... and no more than this.
const LEASE_MAX: u64 = 4_096;

/// Coupons of a walk that are read at a time.
const WALKED_AT_ONCE: usize = 64;

/// Leases that nobody has taken from for so long are given back.
const QUIET: Duration = Duration::from_secs(1);

/// How long one waits at a time for codes that others here have in their hands.
const HANDS_MAX: Duration = Duration::from_millis(500);

/// Codes that wait here, beyond what is leased for them, some 100 bytes each.
const WAITING_MAX: usize = 50_000;

/// Kinds of leases, in the order in which they lie.
const RETURNED: i32 = 0;
const CHUNK: i32 = 1;
const RUN: i32 = 2;

/// One lease as this process has it.
#[derive(Debug)]
struct Lease {
    batch: BatchId,
    kind: i32,
    first: i64,
    name: String,
    /// Codes that have not been seen to be somebody's, or dead.
    left: AtomicUsize,
    /// Whether none of its codes was found to be touched so far: they are not read before they are
    /// offered.
    fresh: AtomicBool,
}

/// A code that waits to be offered.
#[derive(Clone, Debug)]
struct Waiting {
    code: Code,
    /// The shelf on which it is looked for first.
    day: Option<Day>,
    lease: Arc<Lease>,
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
    /// Its shelf is over.
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

#[derive(Clone, Debug, DeserializeRow)]
struct LeaseRow {
    cursor: Option<i64>,
    kind: Option<i32>,
    first: Option<i64>,
    name: Option<String>,
    count: Option<i64>,
    owner: Option<Uuid>,
}

const LEASES: &str = "SELECT cursor, kind, first, name, count, owner FROM lease \
                      WHERE campaign_id = ? AND batch_id = ?";

/// Serials that nobody has leased yet.
fn unleased(cursor: Option<i64>, run: &MintedRun) -> u64 {
    run.count.saturating_sub(cursor.unwrap_or(0).unsigned_abs())
}

/// The leases of a batch, and how far it has been leased.
struct Leases {
    cursor: Option<i64>,
    open: Vec<LeaseRow>,
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
            let looks: Vec<Option<Located>> = several(WALKED_AT_ONCE, looks).await?;
            let (mut offer, mut in_hand, many) = (None, Some(in_hand), some.len() > 1);
            for (waiting, located) in some.into_iter().zip(looks) {
                match located {
                    // An import that has not written it yet: a walk will find it.
                    None => {}
                    Some(located) if !is_on_offer(&located, at) => {
                        counter.suspicious.store(true, Ordering::Relaxed);
                        if is_over(&located, at) {
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
        let (id, day) = (&campaign.terms.id, campaign.terms.shelf());
        let gone = || HotError::Damaged(format!("{id}: a batch with leases is gone"));
        let (campaign, batch) = self.batch_of(id, &waiting.lease.batch).await?.ok_or_else(gone)?;
        let bucket = self.bucket(day, &waiting.code).await?.ok_or_else(gone)?;
        let located = Located {
            coupon: campaign.untouched(waiting.code.clone(), &batch),
            campaign,
            batch_paused: batch.paused,
            day,
            bucket,
            tier: crate::Tier::Hot,
            frozen: false,
        };
        let located = Box::new(located);
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
            None if waiting.lease.kind == RUN => {
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
        for key in self.keys.iter() {
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
        if is_over(&located, at) {
            self.done_with(id, &waiting.lease).await;
        }
        let met_a_seal = located.frozen && *located.coupon.state() == State::Available;
        Ok(if met_a_seal { Still::Sealed } else { Still::Gone })
    }

    /// One more code of a lease was seen to be somebody's, or dead; the last one ends the lease.
    async fn done_with(&self, id: &CampaignId, lease: &Lease) {
        if lease.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let end = self.end_lease(id, &lease.batch, lease.kind, lease.first, &lease.name).await;
            if let Err(error) = end {
                // A walk ends it.
                tracing::debug!(error = %error, "a lease that is used up could not be ended");
            }
        }
    }

    async fn end_lease(
        &self,
        id: &CampaignId,
        batch: &BatchId,
        kind: i32,
        first: i64,
        name: &str,
    ) -> Result<()> {
        let cql = "DELETE FROM lease WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   AND first = ? AND name = ?";
        self.cluster.write(cql, (id.as_str(), batch.as_str(), kind, first, name)).await
    }

    /// Before a coupon with a row becomes available: it is entered among the leases, so that no walk
    /// misses it.
    pub(super) async fn enter_returned(
        &self,
        campaign: &CampaignHere,
        coupon: &Coupon,
    ) -> Result<()> {
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, 1)";
        let values = (
            campaign.terms.id.as_str(),
            coupon.genesis().batch.as_str(),
            RETURNED,
            signed(coupon.version()),
            coupon.code().as_str(),
        );
        self.cluster.write(cql, values).await
    }

    /// After a coupon with a row has become available: this process need not wait for a walk.
    pub(super) fn came_back(&self, located: &Located) {
        let coupon = &located.coupon;
        if !self.may_be_handed_out(&located.campaign, coupon) || is_worn(coupon) {
            return;
        }
        let lease = Lease {
            batch: coupon.genesis().batch.clone(),
            kind: RETURNED,
            first: signed(coupon.version()),
            name: coupon.code().to_string(),
            left: AtomicUsize::new(1),
            fresh: AtomicBool::new(false),
        };
        let (code, day, lease) = (coupon.code().clone(), Some(located.day), Arc::new(lease));
        let counter = self.counter(&located.campaign.terms.id);
        // Past that a walk finds it: nobody may be asking for this campaign's stock here.
        if counter.queue.lock().is_ok_and(|queue| queue.len() < WAITING_MAX) {
            counter.push([Waiting { code, day, lease }]);
        }
    }

    /// A group of imported codes to be handed out together.
    pub(super) async fn enter_chunk(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        mut codes: Vec<(Millis, Code)>,
    ) -> Result<()> {
        // What expires first goes first, as far as one chunk goes.
        codes.sort();
        let Some((first, _)) = codes.first() else { return Ok(()) };
        let first = first.0;
        let chunk = Uuid::now_v7();
        let cql = "INSERT INTO stock (chunk, position, code) VALUES (?, ?, ?)";
        let rows: Vec<_> =
            (0_i32..).zip(&codes).map(|(at, (_, code))| (chunk, at, code.as_str())).collect();
        self.cluster.write_all(cql, rows).await?;
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
        let (campaign, batch) = (campaign.as_str(), batch.as_str());
        self.cluster.write(cql, (campaign, batch, CHUNK, first, chunk.to_string(), count)).await
    }

    async fn leases(&self, id: &CampaignId, batch: &BatchId) -> Result<Leases> {
        let rows: Vec<LeaseRow> = self.cluster.scan(LEASES, (id.as_str(), batch.as_str())).await?;
        let cursor = rows.first().and_then(|row| row.cursor);
        let open = rows.into_iter().filter(|row| row.kind.is_some()).collect();
        Ok(Leases { cursor, open })
    }

    /// Leases something that nobody has leased, of the first batch that has it; whether it did.
    async fn lease_more(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<bool> {
        for batch in campaign.in_order() {
            if batch.paused || self.is_used_up(campaign, batch) {
                continue;
            }
            let (cursor, adopted) = self.adopt_first(counter, campaign, batch).await?;
            if adopted {
                return Ok(true);
            }
            let Some(run) = &batch.run else { continue };
            if at >= campaign.terms.expires_at {
                continue;
            }
            if unleased(cursor, run) == 0 {
                self.note_used_up(campaign, batch);
            } else if self.lease_run(counter, campaign, batch, run).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes over the first lease of a batch that nobody has; how far its serials have been leased,
    /// and whether it did. Reads no further than it must: a large import has many.
    async fn adopt_first(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
    ) -> Result<(Option<i64>, bool)> {
        let values = (campaign.terms.id.as_str(), batch.id.as_str());
        let (mut cursor, mut from) = (None, Some(PagingState::start()));
        while let Some(state) = from {
            let (rows, next) = self.cluster.page::<LeaseRow>(LEASES, values, state).await?;
            cursor = cursor.or(rows.first().and_then(|row| row.cursor));
            for row in rows.iter().filter(|row| row.kind.is_some() && row.owner.is_none()) {
                if self.adopt_lease(counter, campaign, batch, row).await? {
                    return Ok((cursor, true));
                }
            }
            from = next;
        }
        Ok((cursor, false))
    }

    /// Whether every serial of a batch has been leased, which never changes.
    fn is_used_up(&self, campaign: &CampaignHere, batch: &BatchHere) -> bool {
        let key = (campaign.terms.id.clone(), batch.id.clone());
        self.used_up.read().is_ok_and(|all| all.contains(&key))
    }

    fn note_used_up(&self, campaign: &CampaignHere, batch: &BatchHere) {
        if let Ok(mut all) = self.used_up.write() {
            all.insert((campaign.terms.id.clone(), batch.id.clone()));
        }
    }

    /// Takes the next serials of a batch; `false` when there are none left.
    async fn lease_run(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
        run: &MintedRun,
    ) -> Result<bool> {
        let id = &campaign.terms.id;
        let Some(key) = self.keys.iter().find(|key| key.id() == run.key) else {
            // Minted beside this process with a key that it has not read: after a restart it has.
            tracing::error!(key = %run.key, "a batch was minted with a code key unknown here");
            return Ok(false);
        };
        let mut attempts = self.attempts("a lease");
        loop {
            let leases = attempts.looked(self.leases(id, &batch.id).await)?;
            let left = unleased(leases.cursor, run);
            if left == 0 {
                return Ok(false);
            }
            let first = leases.cursor.unwrap_or(0);
            let count = (left / LEASE_PART).clamp(1, LEASE_MAX);
            let next = first.saturating_add(signed(count));
            let cql = "UPDATE lease SET cursor = ?, count = ?, owner = ? WHERE campaign_id = ? \
                       AND batch_id = ? AND kind = ? AND first = ? AND name = '' IF cursor = ?";
            let values = (
                next,
                signed(count),
                self.process,
                id.as_str(),
                batch.id.as_str(),
                RUN,
                first,
                leases.cursor,
            );
            let cas = self.cluster.change(attempts.manner(), cql, values).await;
            let applied = matches!(cas, Ok(Cas::Applied));
            if !attempts.wrote(cas).await? || !applied {
                // If it was ours all the same, a walk finds it.
                continue;
            }
            let (first, count) = (first.unsigned_abs(), usize::try_from(count).unwrap_or(0));
            let lease = Arc::new(Lease {
                batch: batch.id.clone(),
                kind: RUN,
                first: signed(first),
                name: String::new(),
                left: AtomicUsize::new(count),
                fresh: AtomicBool::new(!counter.suspicious.load(Ordering::Relaxed)),
            });
            counter.push((0..count as u64).map(|offset| Waiting {
                code: key.mint(run.day, run.first + first + offset),
                day: Some(run.day),
                lease: Arc::clone(&lease),
            }));
            return Ok(true);
        }
    }

    /// Takes over a lease that nobody has; `false` when somebody was faster, or nothing is in it.
    async fn adopt_lease(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
    ) -> Result<bool> {
        let cql = "UPDATE lease SET owner = ? WHERE campaign_id = ? AND batch_id = ? AND kind = ? \
                   AND first = ? AND name = ? IF owner = null AND count = ?";
        let values = (
            self.process,
            campaign.terms.id.as_str(),
            batch.id.as_str(),
            row.kind,
            row.first,
            row.name.as_deref(),
            row.count,
        );
        // Unknown: perhaps it is ours now. Then a walk finds it.
        match self.cluster.change(Manner::Change, cql, values).await? {
            Cas::Applied => {}
            Cas::Refused | Cas::Unknown(_) => return Ok(false),
            Cas::NotSent(error) => return Err(HotError::Unavailable(error.into())),
        }
        let waiting = self.codes_of(campaign, batch, row).await?;
        let any = !waiting.is_empty();
        counter.push(waiting);
        Ok(any)
    }

    /// The codes of a lease.
    async fn codes_of(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        row: &LeaseRow,
    ) -> Result<Vec<Waiting>> {
        let (kind, first) = (row.kind.unwrap_or(RUN), row.first.unwrap_or(0));
        let name = row.name.clone().unwrap_or_default();
        let day = batch.run.map(|run| run.day);
        let codes: Vec<(Code, Option<Day>)> = match (kind, &batch.run) {
            (RETURNED, _) => vec![(parsed("lease.name", &name)?, day)],
            (CHUNK, _) => {
                let chunk: Uuid = parsed("lease.name", &name)?;
                let cql = "SELECT code FROM stock WHERE chunk = ?";
                let rows: Vec<(String,)> = self.cluster.scan(cql, (chunk,)).await?;
                let codes = rows.iter().map(|(code,)| parsed("stock.code", code));
                codes.map(|code| Ok((code?, None))).collect::<Result<_>>()?
            }
            (_, Some(run)) => {
                let key = self.keys.iter().find(|key| key.id() == run.key);
                let Some(key) = key else { return Ok(Vec::new()) };
                let count = row.count.unwrap_or(0).unsigned_abs();
                let first = run.first + first.unsigned_abs();
                (0..count)
                    .map(|offset| (key.mint(run.day, first + offset), Some(run.day)))
                    .collect()
            }
            (_, None) => {
                let id = &campaign.terms.id;
                return Err(HotError::Damaged(format!("{id}: an imported batch has serials")));
            }
        };
        let lease = Arc::new(Lease {
            batch: batch.id.clone(),
            kind,
            first,
            name,
            left: AtomicUsize::new(codes.len()),
            fresh: AtomicBool::new(false),
        });
        let waiting = codes.into_iter();
        Ok(waiting.map(|(code, day)| Waiting { code, day, lease: Arc::clone(&lease) }).collect())
    }

    /// Walks over the open leases until something is found, which then waits in the queue, or until
    /// two walks in a row have read the same; then why there is nothing.
    async fn walk_twice(
        &self,
        counter: &Counter,
        id: &CampaignId,
        at: Millis,
    ) -> Result<Option<Refusal>> {
        let mut before: Option<BTreeMap<Code, u64>> = None;
        loop {
            let Some(campaign) = self.campaign_fresh(id).await? else {
                return Ok(Some(Refusal::NotFound));
            };
            let walk = self.walk(&campaign, at).await?;
            if !walk.found.is_empty() {
                counter.push(walk.found);
                return Ok(None);
            }
            if walk.unleased {
                return Ok(None);
            }
            // What was dropped meanwhile was nobody's to have: the rest must be as it was.
            let same = |old: &BTreeMap<Code, u64>| {
                walk.seen.iter().all(|(code, version)| old.get(code) == Some(version))
            };
            if before.as_ref().is_some_and(same) {
                let over = at >= campaign.terms.expires_at;
                return Ok(Some(match (walk.paused, walk.expired || over) {
                    (true, _) => Refusal::Paused,
                    (false, true) => Refusal::Expired,
                    (false, false) => Refusal::SoldOut,
                }));
            }
            before = Some(walk.seen);
        }
    }

    async fn walk(&self, campaign: &CampaignHere, at: Millis) -> Result<Walk> {
        let id = &campaign.terms.id;
        let mut walk = Walk::default();
        for batch in campaign.in_order() {
            let leases = self.leases(id, &batch.id).await?;
            let unleased = batch.run.is_some_and(|run| unleased(leases.cursor, &run) > 0);
            let dead = at >= campaign.terms.expires_at;
            match (unleased, dead, batch.paused) {
                (false, _, _) => {}
                (true, true, _) => walk.expired = true,
                (true, false, true) => walk.paused = true,
                (true, false, false) => walk.unleased |= self.has_key(batch),
            }
            for row in &leases.open {
                if dead && row.kind == Some(RUN) {
                    // Dead with their campaign: there may be millions, and none is looked at.
                    walk.expired = true;
                    continue;
                }
                let waiting = self.codes_of(campaign, batch, row).await?;
                let looks = waiting.iter().map(|waiting| self.look_at(waiting));
                let looks: Vec<Option<Located>> = several(WALKED_AT_ONCE, looks).await?;
                let mut open = 0_usize;
                let mut found = Vec::new();
                for (waiting, located) in waiting.into_iter().zip(looks) {
                    let Some(located) = located else {
                        // Its import has not come so far, or never will.
                        walk.seen.insert(waiting.code, 0);
                        open += 1;
                        continue;
                    };
                    let version = located.coupon.version();
                    let entered = row.kind == Some(RETURNED)
                        && version < row.first.unwrap_or(0).unsigned_abs();
                    walk.seen.insert(waiting.code.clone(), version);
                    match (is_on_offer(&located, at), batch.paused) {
                        // Entered before its coupon was written: that may come yet.
                        (false, _) if entered => open += 1,
                        (false, _) => {
                            walk.expired |= is_dead_stock(&located, at);
                            open += usize::from(!is_over(&located, at));
                        }
                        (true, true) => {
                            walk.paused = true;
                            open += 1;
                        }
                        (true, false) => {
                            found.push(waiting);
                            open += 1;
                        }
                    }
                }
                if let Some(first) = found.first() {
                    // Those that are not on offer are not waited for.
                    first.lease.left.store(open, Ordering::SeqCst);
                    walk.found.extend(found);
                }
                if open == 0 {
                    let (kind, first) = (row.kind.unwrap_or(RUN), row.first.unwrap_or(0));
                    let name = row.name.as_deref().unwrap_or_default();
                    self.end_lease(id, &batch.id, kind, first, name).await?;
                }
            }
        }
        Ok(walk)
    }

    fn has_key(&self, batch: &BatchHere) -> bool {
        batch.run.is_some_and(|run| self.keys.iter().any(|key| key.id() == run.key))
    }

    /// Gives back what this process has leased and nobody has asked for: others need not walk for it.
    pub(super) async fn give_back_quiet(&self) {
        let quiet: Vec<(CampaignId, Arc<Counter>)> = match self.stock.0.lock() {
            Ok(all) => all.iter().map(|(id, it)| (id.clone(), Arc::clone(it))).collect(),
            Err(_) => return,
        };
        for (id, counter) in quiet {
            let is_quiet = counter.used_at.lock().is_ok_and(|mut at| match *at {
                Some(since) if since.elapsed() >= QUIET => at.take().is_some(),
                _ => false,
            });
            if is_quiet {
                self.give_back(&id, &counter).await;
            }
        }
    }

    async fn give_back(&self, id: &CampaignId, counter: &Counter) {
        let waiting = match counter.queue.lock() {
            Ok(mut queue) => std::mem::take(&mut *queue),
            Err(_) => return,
        };
        let mut leases: Vec<Arc<Lease>> = Vec::new();
        for Waiting { lease, .. } in waiting {
            if !leases.iter().any(|it| Arc::ptr_eq(it, &lease)) {
                leases.push(lease);
            }
        }
        for lease in leases {
            let cql = "UPDATE lease SET owner = null WHERE campaign_id = ? AND batch_id = ? \
                       AND kind = ? AND first = ? AND name = ? IF owner = ?";
            let values = (
                id.as_str(),
                lease.batch.as_str(),
                lease.kind,
                lease.first,
                lease.name.as_str(),
                self.process,
            );
            if let Err(error) = self.cluster.change(Manner::Change, cql, values).await {
                // A walk finds it.
                tracing::debug!(error = %error, "a lease could not be given back");
                continue;
            }
            if let Ok(mut all) = self.used_up.write() {
                all.remove(&(id.clone(), lease.batch.clone()));
            }
        }
    }
}

/// What one walk over the open leases has read.
#[derive(Default)]
struct Walk {
    seen: BTreeMap<Code, u64>,
    found: Vec<Waiting>,
    /// Serials can be leased after all.
    unleased: bool,
    /// Something is left in a batch that is paused.
    paused: bool,
    /// Something is left that is dead.
    expired: bool,
}

fn is_on_offer(located: &Located, at: Millis) -> bool {
    let coupon = &located.coupon;
    *coupon.state() == State::Available
        && !coupon.is_expired(at)
        && !is_worn(coupon)
        && !located.frozen
        && located.campaign.terms.handout != Handout::Bearer
}

/// Whether a code that is not on offer never will be again by itself: another process's clock may be
/// behind, for which it has not expired yet.
fn is_over(located: &Located, at: Millis) -> bool {
    let coupon = &located.coupon;
    *coupon.state() != State::Available
        || located.frozen
        || is_worn(coupon)
        || coupon.is_expired(at.plus_ms(-CLOCK_BOUND_MS))
}

fn is_dead_stock(located: &Located, at: Millis) -> bool {
    let coupon = &located.coupon;
    let dead = coupon.is_expired(at) || located.frozen;
    *coupon.state() == State::Available && !is_worn(coupon) && dead
}

impl Store {
    /// The campaign as it is at this moment: a batch minted a moment ago is stock.
    async fn campaign_fresh(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        self.known.forget(id);
        self.terms(id).await
    }

    /// Which of `codes`, all of one run, nothing has happened to.
    pub(super) async fn untouched_ones(
        &self,
        run: MintedRun,
        codes: Vec<Code>,
    ) -> Result<Vec<bool>> {
        let traces = codes.iter().map(|code| self.trace(run.day, code));
        let traces: Vec<Trace> = several(WALKED_AT_ONCE, traces).await?;
        let mut untouched = Vec::with_capacity(codes.len());
        let mut beyond = Vec::new();
        for (at, trace) in traces.into_iter().enumerate() {
            untouched.push(matches!(trace, Trace::Nothing));
            // Without a row on a sealed shelf: cold knows. A stub says it all.
            if let Trace::Beyond { stub: None, promise: Promise::None, .. } = &trace {
                beyond.push((at, trace));
            }
        }
        let (places, traces): (Vec<usize>, Vec<Trace>) = beyond.into_iter().unzip();
        for (at, found) in places.into_iter().zip(self.resolve(traces).await?) {
            untouched[at] = found.is_none();
        }
        Ok(untouched)
    }
}
