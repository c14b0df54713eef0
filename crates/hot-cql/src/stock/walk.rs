//! The walk over the open leases, which finds what nobody hands out, or that nothing is left.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use scylla::response::PagingState;

use super::leases::{LEASES, LeaseRow, unleased};
use super::returned::RETURNED;
use super::{Counter, RUN, WALKED_AT_ONCE, Waiting, is_entered};
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::campaigns::{BatchHere, CampaignHere};
use crate::clock::CLOCK_BOUND_MS;
use crate::coupons::Located;
use crate::session::Result;
use crate::values::parsed;
use hot::protocol::{Left, is_dead_stock, is_on_offer, is_over};

/// Codes of one lease that are read before a walk sees whether it may end.
const WALKED_IN_A_PIECE: usize = 4 * WALKED_AT_ONCE;

/// Codes after which a walk reads no further lease of its page: a lease with many has more at once.
/// One that came back has one code alone, and to end with the first would be a walk for each coupon.
const FOUND_ENOUGH: usize = 64;

impl Store {
    /// Walks over the open leases until something is found, which then waits in the queue, or until
    /// two walks in a row have read the same; then why there is nothing.
    pub(super) async fn walk_twice(
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
                let left = Left { paused: walk.paused, expired: walk.expired || over };
                return Ok(Some(left.refusal()));
            }
            before = Some(walk.seen);
        }
    }

    async fn walk(&self, campaign: &CampaignHere, at: Millis) -> Result<Walk> {
        self.check_keys_of(campaign)?;
        let id = &campaign.terms.id;
        let dead = at >= campaign.terms.expires_at;
        let mut walk = Walk::default();
        for batch in campaign.in_order() {
            // Before the leases and what came back: what is leased or entered on a new level after
            // this look is still said to be left.
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
                // Enough for whoever asks. What else is left is for those who come later.
                break;
            }
        }
        Ok(walk)
    }

    /// Reads the open leases of a batch, up to the end of the first page with something.
    async fn walk_leases(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        at: Millis,
        walk: &mut Walk,
    ) -> Result<()> {
        let id = &campaign.terms.id;
        let values = (id.as_str(), batch.id.as_str());
        let mut from = Some(PagingState::start());
        while let Some(state) = from.filter(|_| walk.needs(batch)) {
            let (rows, next) = self.cluster.page::<LeaseRow>(LEASES, values, state).await?;
            for row in rows.iter().filter(|row| row.kind.is_some()) {
                if at >= campaign.terms.expires_at && row.kind == Some(RUN) {
                    // Dead with their campaign: there may be millions, and none is looked at.
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

    /// Reads what came back to a batch, where `rows` is how much that is as of the beginning of this
    /// walk, up to the end of the first page with something.
    async fn walk_returned(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        rows: u64,
        at: Millis,
        walk: &mut Walk,
    ) -> Result<()> {
        let id = &campaign.terms.id;
        let day = batch.run.map(|run| run.day);
        let mut parts = self.returned_parts(id, &batch.id, rows).await?;
        self.begin_elsewhere(&mut parts);
        for part in parts {
            let values = (id.as_str(), batch.id.as_str(), part);
            let mut from = Some(PagingState::start());
            while let Some(state) = from.filter(|_| walk.needs(batch)) {
                let (rows, next) =
                    self.cluster.page::<(i64, String)>(RETURNED, values, state).await?;
                let waiting = rows.iter().map(|(version, code)| {
                    Ok(Waiting::returned(&batch.id, day, part, *version, parsed("code", code)?))
                });
                let mut waiting = waiting.collect::<Result<Vec<_>>>()?;
                self.begin_elsewhere(&mut waiting);
                for piece in waiting.chunks(WALKED_AT_ONCE) {
                    self.walk_piece(id, batch, piece, at, walk).await?;
                    if walk.has_enough(batch) {
                        break;
                    }
                }
                from = next;
            }
        }
        Ok(())
    }

    /// Reads some that came back, and deletes the rows of those that nobody can be given.
    async fn walk_piece(
        &self,
        id: &CampaignId,
        batch: &BatchHere,
        piece: &[Waiting],
        at: Millis,
        walk: &mut Walk,
    ) -> Result<()> {
        let looks = piece.iter().map(|waiting| self.look_at(waiting));
        let looks: Vec<Option<Located>> = bounded_join(WALKED_AT_ONCE, looks).await?;
        let mut over = Vec::new();
        for (waiting, located) in piece.iter().zip(looks) {
            match walk.see(waiting, located.as_ref(), at) {
                Seen::Over => over.push(self.end_lease(id, &waiting.lease)),
                Seen::Open => {}
                Seen::Offered if batch.paused => walk.paused = true,
                Seen::Offered => walk.found.push(waiting.clone()),
            }
        }
        bounded_join(WALKED_AT_ONCE, over).await.map(drop)
    }

    /// Each process begins somewhere else: nobody has what came back, and two that took the same
    /// would be in each other's way.
    fn begin_elsewhere<T>(&self, items: &mut [T]) {
        if !items.is_empty() {
            let first = self.process.as_u128() % items.len() as u128;
            items.rotate_left(first as usize);
        }
    }

    /// What came back to a batch and is on offer waits in the queue; whether there is any.
    pub(super) async fn take_returned(
        &self,
        counter: &Counter,
        campaign: &CampaignHere,
        batch: &BatchHere,
        rows: u64,
        at: Millis,
    ) -> Result<bool> {
        let mut walk = Walk::default();
        self.walk_returned(campaign, batch, rows, at, &mut walk).await?;
        let any = !walk.found.is_empty();
        counter.push(walk.found);
        Ok(any)
    }

    /// Reads the codes of one lease in pieces, up to the first piece with one that is on offer, or
    /// to the first such code of a paused batch; how many may still be handed out, as far as it was
    /// read.
    async fn walk_lease(
        &self,
        paused: bool,
        waiting: Vec<Waiting>,
        at: Millis,
        walk: &mut Walk,
    ) -> Result<usize> {
        let mut open = 0_usize;
        let mut waiting = waiting.into_iter();
        loop {
            let piece: Vec<Waiting> = waiting.by_ref().take(WALKED_IN_A_PIECE).collect();
            if piece.is_empty() {
                return Ok(open);
            }
            let looks = piece.iter().map(|waiting| self.look_at(waiting));
            let looks: Vec<Option<Located>> = bounded_join(WALKED_AT_ONCE, looks).await?;
            let mut found = Vec::new();
            for (waiting, located) in piece.into_iter().zip(looks) {
                match walk.see(&waiting, located.as_ref(), at) {
                    Seen::Over => {}
                    Seen::Open => open += 1,
                    Seen::Offered if paused => {
                        // No other code of the batch says more.
                        walk.paused = true;
                        return Ok(open + 1);
                    }
                    Seen::Offered => {
                        found.push(waiting);
                        open += 1;
                    }
                }
            }
            if let Some(first) = found.first().cloned() {
                // Those that were not read are looked at before they are offered; those that are
                // not on offer are not waited for.
                first.lease.left.store(open + waiting.len(), Ordering::SeqCst);
                walk.found.extend(found);
                walk.found.extend(waiting);
                return Ok(open);
            }
        }
    }

    /// The campaign as it is at this moment: a batch minted a moment ago is stock.
    async fn campaign_fresh(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        self.known.forget(id);
        self.terms(id).await
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

/// What a walk has seen of one code.
enum Seen {
    /// It can be given.
    Offered,
    /// It may be given one day.
    Open,
    /// It never will be by itself.
    Over,
}

impl Walk {
    fn see(&mut self, waiting: &Waiting, located: Option<&Located>, at: Millis) -> Seen {
        let version = located.map_or(0, |located| located.coupon.version());
        self.seen.insert(waiting.code.clone(), version);
        match located {
            // Its import has not come so far, or never will.
            None => Seen::Open,
            Some(located) if is_on_offer(located, at) => Seen::Offered,
            // Entered before its coupon was written: that may come yet.
            Some(located) if is_entered(&waiting.lease, located) => Seen::Open,
            Some(located) => {
                self.expired |= is_dead_stock(located, at);
                if is_over(located, at, CLOCK_BOUND_MS) { Seen::Over } else { Seen::Open }
            }
        }
    }

    /// Whether more of a batch is to be read: one witness is enough for what is paused.
    fn needs(&self, batch: &BatchHere) -> bool {
        self.found.is_empty() && !(batch.paused && self.paused)
    }

    /// Whether no more is to be read of a page of a batch.
    fn has_enough(&self, batch: &BatchHere) -> bool {
        self.found.len() >= FOUND_ENOUGH || (batch.paused && self.paused)
    }
}
