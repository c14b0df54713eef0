//! Offers: takes the next code of the queue that can be issued, and records how the offer ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use coupon::coupon::State;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::protocol::{is_history_full, is_on_offer, is_over};
use hot::{HotError, bounded_join};
use router::Owner;

use super::counter::{InHand, LastWalk, OfferQueue};
use super::{Lease, RUN, StockRow, WALKED_AT_ONCE, WaitingCode, is_entered};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::CqlCoupon;
use crate::values::signed;
use cql_session::{CLOCK_BOUND_MS, Result};

/// Returned codes that wait in a queue, some 100 bytes each.
const WAITING_MAX: usize = 50_000;

/// A coupon that is offered: no other request of this process has it.
#[derive(Debug)]
pub(crate) struct CouponOffer {
    pub(crate) located: Box<CqlCoupon>,
    waiting: WaitingCode,
    _in_hand: InHand,
}

/// The state of an offer after a write was refused.
pub(crate) enum OfferState {
    Offered(CouponOffer),
    /// It is issued, or dead.
    Gone,
    Sealed,
}

#[derive(Debug)]
pub(crate) enum NextOffer {
    Offer(CouponOffer),
    Nothing(Refusal),
}

impl CqlStore {
    pub(crate) async fn next_offer(
        &self,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<NextOffer> {
        let next = self.look_for_stock(campaign, at).await?;
        if let NextOffer::Nothing(Refusal::SoldOut) = next
            && let Err(error) = self.note_stock(campaign, true, at).await
        {
            // The next caller is refused, too.
            tracing::debug!(%error, "a campaign is sold out, and that is not entered yet");
        }
        Ok(next)
    }

    /// The same without a note that the campaign is sold out.
    pub(crate) async fn look_for_stock(
        &self,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<NextOffer> {
        let mut campaign = campaign.clone();
        let counter = self.counter(&campaign.terms.id);
        let mut attempts = self.attempts("a look for stock");
        // Before the first look: only a walk that begins later answers this request.
        let asked = counter.walks.load(Ordering::SeqCst);
        counter.touch();
        loop {
            if let Some(offer) = self.first_of(&counter, &campaign, at).await? {
                return Ok(NextOffer::Offer(offer));
            }
            let mut last = counter.fetching.lock().await;
            // Again under the lock: the request before this one may have leased some.
            if let Some(offer) = self.first_of(&counter, &campaign, at).await? {
                return Ok(NextOffer::Offer(offer));
            }
            // A walk that began after this request answers it, too.
            if let Some(refusal) = last.found.filter(|_| last.number > asked) {
                return Ok(NextOffer::Nothing(refusal));
            }
            if self.lease_more(&counter, &campaign, at).await? || counter.waited().await {
                continue;
            }
            let number = counter.walks.fetch_add(1, Ordering::SeqCst) + 1;
            match self.walk_twice(&counter, &campaign.terms.id, at).await? {
                // A batch that was made a moment ago may have it.
                None => match self.terms(&campaign.terms.id).await? {
                    Some(now) => {
                        campaign = now;
                        attempts.again().await?;
                    }
                    None => return Ok(NextOffer::Nothing(Refusal::NotFound)),
                },
                Some(refusal) => {
                    *last = LastWalk { number, found: Some(refusal) };
                    return Ok(NextOffer::Nothing(refusal));
                }
            }
        }
    }

    /// Codes that turn out to be issued leave their leases.
    async fn first_of(
        &self,
        counter: &Arc<OfferQueue>,
        campaign: &CampaignHere,
        at: Millis,
    ) -> Result<Option<CouponOffer>> {
        loop {
            // Counted before it is taken out of the queue, so that it is always in one of the two.
            let in_hand = InHand::of(counter);
            let some = counter.pop(campaign);
            let Some(first) = some.first() else { return Ok(None) };
            if first.lease.fresh.load(Ordering::Relaxed) && some.len() == 1 {
                match self.fresh_offer(first, campaign, at, in_hand).await? {
                    Some(offer) => return Ok(Some(offer)),
                    // It stays in its lease: its campaign may get a later end.
                    None => continue,
                }
            }
            let looks = some.iter().map(|waiting| self.look_at(waiting));
            let looks: Vec<Option<CqlCoupon>> = bounded_join(WALKED_AT_ONCE, looks).await?;
            let (mut offer, mut in_hand, many) = (None, Some(in_hand), some.len() > 1);
            for (waiting, located) in some.into_iter().zip(looks) {
                match located {
                    // Its import has not written it yet: a walk will find it.
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
                            offer = Some(CouponOffer { located, waiting, _in_hand });
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

    /// The coupon of a serial that is taken to be untouched; the write decides whether it is.
    async fn fresh_offer(
        &self,
        waiting: &WaitingCode,
        campaign: &CampaignHere,
        at: Millis,
        in_hand: InHand,
    ) -> Result<Option<CouponOffer>> {
        if at >= campaign.terms.expires_at.plus_ms(CLOCK_BOUND_MS) {
            return Ok(None);
        }
        let id = &campaign.terms.id;
        let gone = || HotError::Damaged(format!("{id}: a batch with leases is gone"));
        let (campaign, batch) = self.batch_of(id, &waiting.lease.batch).await?.ok_or_else(gone)?;
        // That of its code, which is not that of the campaign once it got a later end.
        let day = batch.run.ok_or_else(gone)?.day;
        let bucket = self.bucket(day, &waiting.code).await?.ok_or_else(gone)?;
        let coupon = campaign.untouched(waiting.code.clone(), &batch);
        let located = Box::new(campaign.placed(coupon, batch.paused, day, bucket));
        Ok(Some(CouponOffer { located, waiting: waiting.clone(), _in_hand: in_hand }))
    }

    pub(super) async fn look_at(&self, waiting: &WaitingCode) -> Result<Option<CqlCoupon>> {
        let (code, batch) = (&waiting.code, &waiting.lease.batch);
        let day = match waiting.day {
            Some(day) => Some(day),
            None => self.directory_day(code).await?,
        };
        let Some(day) = day else { return Ok(None) };
        match self.stored(day.into(), code).await? {
            None if matches!(waiting.lease.row, StockRow::Lease { kind: RUN, .. }) => {
                let Some((owner, _)) = self.owner_of(code).await? else { return Ok(None) };
                let owner = Owner { batch: batch.clone(), ..owner };
                self.untouched_at(code, &owner, day.into()).await
            }
            found => Ok(found),
        }
    }

    pub(crate) fn put_back(&self, id: &CampaignId, offer: Option<CouponOffer>) {
        if let Some(offer) = offer {
            self.counter(id).push_front(offer.waiting);
        }
    }

    /// The coupon was issued by our own write.
    pub(crate) async fn is_taken(&self, id: &CampaignId, offer: CouponOffer) {
        self.done_with(id, &offer.waiting.lease).await;
    }

    /// After a write that was refused: the coupon as it is now, if it can still be issued.
    pub(crate) async fn still_on_offer(
        &self,
        id: &CampaignId,
        offer: CouponOffer,
        at: Millis,
    ) -> Result<OfferState> {
        let CouponOffer { waiting, _in_hand, .. } = offer;
        // Another process has used this lease: from now on its codes are read first.
        waiting.lease.fresh.store(false, Ordering::Relaxed);
        self.counter(id).suspicious.store(true, Ordering::Relaxed);
        let Some(located) = self.look_at(&waiting).await? else { return Ok(OfferState::Gone) };
        if is_on_offer(&located, at) {
            let located = Box::new(located);
            return Ok(OfferState::Offered(CouponOffer { located, waiting, _in_hand }));
        }
        if is_over(&located, at, CLOCK_BOUND_MS) && !is_entered(&waiting.lease, &located) {
            self.done_with(id, &waiting.lease).await;
        }
        let met_a_seal = located.frozen && *located.coupon.state() == State::Available;
        Ok(if met_a_seal { OfferState::Sealed } else { OfferState::Gone })
    }

    /// One more code of a lease was seen to be issued, or dead; the last one ends the lease.
    async fn done_with(&self, id: &CampaignId, lease: &Lease) {
        if lease.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = self.end_lease(id, lease).await
        {
            // A walk ends it.
            tracing::debug!(error = %error, "a lease that is used up could not be ended");
        }
    }

    /// After a coupon that [`CqlStore::enter_returned`] entered became available: puts it into this
    /// process's queue, so that it need not wait for a walk.
    pub(crate) fn came_back(&self, located: &CqlCoupon, part: i32) {
        let coupon = &located.coupon;
        if is_history_full(coupon) {
            return;
        }
        let (batch, version) = (&coupon.genesis().batch, signed(coupon.version()));
        let code = coupon.code().clone();
        let waiting = WaitingCode::returned(batch, Some(located.day), part, version, code);
        let counter = self.counter(&located.terms().id);
        // Beyond that a walk finds it: this process may have no requests for the campaign's stock.
        if counter.queue.lock().len() < WAITING_MAX {
            counter.push([waiting]);
        }
    }
}
