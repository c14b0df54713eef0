//! The walk over open leases and returned coupons, which finds more stock, or that none is left.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::bounded_join;
use hot::protocol::{Left, is_dead_stock, is_on_offer, is_over};
use scylla::response::PagingState;

use super::counter::OfferQueue;
use super::lease_rows::{LEASES, LeaseRow, unleased};
use super::{RUN, WALKED_AT_ONCE, WaitingCode, is_entered};
use crate::CqlStore;
use crate::campaigns::{BatchHere, CampaignHere};
use crate::coupons::CqlCoupon;
use cql_session::{CLOCK_BOUND_MS, Result};

/// Codes of one lease that a walk reads before it checks whether it may end.
const WALKED_IN_A_PIECE: usize = 4 * WALKED_AT_ONCE;

/// Codes after which a walk reads no further row of its page. A lease has many codes at once; a
/// coupon that came back is one, and a walk that ended with the first one would be a walk for each
/// coupon.
const FOUND_ENOUGH: usize = 64;

impl CqlStore {
    /// Walks over the open leases until it finds something, which it puts into the queue, or until
    /// two walks in a row have read the same; then returns why there is nothing.
    pub(super) async fn walk_twice(
        &self,
        counter: &OfferQueue,
        id: &CampaignId,
        at: Millis,
    ) -> Result<Option<Refusal>> {
        let mut before: Option<BTreeMap<Code, u64>> = None;
        loop {
            // As it is now: a batch minted a moment ago is stock.
            self.known.forget(id);
            let Some(campaign) = self.terms(id).await? else {
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
            // What has ended in between could not be issued: the rest must be unchanged.
            let same = |old: &BTreeMap<Code, u64>| {
                walk.seen.iter().all(|(code, version)| old.get(code) == Some(version))
            };
            if before.as_ref().is_some_and(same) {
                let over = at >= campaign.terms.expires_at;
                let left = Left { paused: walk.paused, expired: walk.expired || over };
                return Ok(Some(left.refusal()));
            }
            before = Some(walk.seen);
        }
    }

    async fn walk(&self, campaign: &CampaignHere, at: Millis) -> Result<StockWalk> {
        self.check_keys_of(campaign)?;
        let id = &campaign.terms.id;
        let dead = at >= campaign.terms.expires_at;
        let mut walk = StockWalk::default();
        for batch in campaign.in_order() {
            // Read before the leases and what came back: what is leased or entered on a new level
            // after this read still counts as left.
            let (cursor, returned) = self.leased(id, &batch.id).await?;
            let unleased = batch.run.is_some_and(|run| unleased(cursor, &run) > 0);
            match (unleased, dead, batch.paused) {
                (false, _, _) => {}
                (true, true, _) => walk.expired = true,
                (true, false, true) => walk.paused = true,
                (true, false, false) => walk.unleased = true,
            }
            self.walk_leases(campaign, batch, at, &mut walk).await?;
            if walk.needs(batch) {
                self.walk_returned(campaign, batch, returned, at, &mut walk).await?;
            }
            if !walk.found.is_empty() {
                // Enough for this request. Later requests find the rest.
                break;
            }
        }
        Ok(walk)
    }

    /// Reads the open leases of a batch, to the end of the first page with something on offer.
    async fn walk_leases(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        at: Millis,
        walk: &mut StockWalk,
    ) -> Result<()> {
        let id = &campaign.terms.id;
        let values = (id.as_str(), batch.id.as_str());
        let mut from = Some(PagingState::start());
        while let Some(state) = from.filter(|_| walk.needs(batch)) {
            let (rows, next) = self.session.page::<LeaseRow>(LEASES, values, state).await?;
            for row in rows.iter().filter(|row| row.kind.is_some()) {
                if at >= campaign.terms.expires_at && row.kind == Some(RUN) {
                    // Dead with their campaign: there may be millions, and none is read.
                    walk.expired = true;
                    continue;
                }
                let (lease, waiting) = self.codes_of(campaign, batch, row, false).await?;
                if self.walk_lease(batch.paused, waiting, at, walk).await? == 0 {
                    self.end_lease(id, &lease).await?;
                }
                if walk.has_enough(batch) {
                    break;
                }
            }
            from = next;
        }
        Ok(())
    }

    /// Reads the codes of one lease in pieces, to the first piece with a code on offer, or to the
    /// first such code of a paused batch. Returns how many of the codes that it read may still be
    /// issued.
    async fn walk_lease(
        &self,
        paused: bool,
        waiting: Vec<WaitingCode>,
        at: Millis,
        walk: &mut StockWalk,
    ) -> Result<usize> {
        let mut open = 0_usize;
        let mut waiting = waiting.into_iter();
        loop {
            let piece: Vec<WaitingCode> = waiting.by_ref().take(WALKED_IN_A_PIECE).collect();
            if piece.is_empty() {
                return Ok(open);
            }
            let looks = piece.iter().map(|waiting| self.look_at(waiting));
            let looks: Vec<Option<CqlCoupon>> = bounded_join(WALKED_AT_ONCE, looks).await?;
            let mut found = Vec::new();
            for (waiting, located) in piece.into_iter().zip(looks) {
                match walk.see(&waiting, located.as_ref(), at) {
                    StockState::Over => {}
                    StockState::Open => open += 1,
                    StockState::Offered if paused => {
                        // Other codes of the batch add nothing.
                        walk.paused = true;
                        return Ok(open + 1);
                    }
                    StockState::Offered => {
                        found.push(waiting);
                        open += 1;
                    }
                }
            }
            if let Some(first) = found.first().cloned() {
                // Those that were not read are read before they are offered; those that are not on
                // offer are not waited for.
                first.lease.left.store(open + waiting.len(), Ordering::SeqCst);
                walk.found.extend(found);
                walk.found.extend(waiting);
                return Ok(open);
            }
        }
    }
}

#[derive(Default)]
pub(super) struct StockWalk {
    pub(super) seen: BTreeMap<Code, u64>,
    pub(super) found: Vec<WaitingCode>,
    pub(super) unleased: bool,
    pub(super) paused: bool,
    pub(super) expired: bool,
}

pub(super) enum StockState {
    Offered,
    /// It may be issued one day.
    Open,
    /// It will not be issued unless it comes back.
    Over,
}

impl StockWalk {
    pub(super) fn see(
        &mut self,
        waiting: &WaitingCode,
        located: Option<&CqlCoupon>,
        at: Millis,
    ) -> StockState {
        let version = located.map_or(0, |located| located.coupon.version());
        self.seen.insert(waiting.code.clone(), version);
        match located {
            // Its import has not written it yet, or never will.
            None => StockState::Open,
            Some(located) if is_on_offer(located, at) => StockState::Offered,
            // Entered before its coupon was written, which may still happen.
            Some(located) if is_entered(&waiting.lease, located) => StockState::Open,
            Some(located) => {
                self.expired |= is_dead_stock(located, at);
                if is_over(located, at, CLOCK_BOUND_MS) {
                    StockState::Over
                } else {
                    StockState::Open
                }
            }
        }
    }

    /// One code is enough to say that a paused batch has something.
    pub(super) fn needs(&self, batch: &BatchHere) -> bool {
        self.found.is_empty() && !(batch.paused && self.paused)
    }

    /// Whether no more is to be read of a page of a batch.
    pub(super) fn has_enough(&self, batch: &BatchHere) -> bool {
        self.found.len() >= FOUND_ENOUGH || (batch.paused && self.paused)
    }
}
