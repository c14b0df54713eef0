//! An order of several coupons: a series of changes, of which each is decided by itself.
//!
//! 1. All changes are looked at. If one would be refused, nothing is written.
//! 2. Each coupon is held for the order, in the sequence of codes: of two orders that want the same coupons, one gets
//!    all of them. If one is refused, or its user may not get so many, the holds of this call are released.
//! 3. The codes are recorded, so that a reader can tell half an order.
//! 4. Each coupon is redeemed, in the sequence of the order, if this call still holds it. Without that, a call that
//!    stood still would redeem the rest of an order that was cancelled meanwhile.
//! 5. The record is deleted.
//!
//! A user who gets other coupons of the campaign between steps 2 and 4 has reached the limit then, and half of the order
//! is left, until it is cancelled.
//!
//! A process that dies in step 4 leaves half an order. The same call again goes on, and until the holds lapse no other
//! order gets a coupon of it. A call never takes back a redemption: the same order may have been told of it by another.

use std::collections::BTreeMap;

use coupon::apply::{Action, Change, Outcome};
use coupon::code::Code;
use coupon::ids::{CampaignId, OrderRef};
use coupon::refusal::Refusal;
use hot::protocol::{cancel_for, hold_for, is_new_hold, may_redeem, release_for, user_of};
use hot::{Applied, Coupons, HotError, OrderDiscounts, order_record};
use router::Found;
use tokio::time::Instant;

use crate::CqlHot;
use crate::claims::ClaimNeed;
use crate::coupons::begun;
use cql_session::Result;

type OrderChange = (Found, Change);

impl CqlHot {
    pub(crate) async fn apply_in_turn(
        &self,
        order: &OrderRef,
        changes: &[OrderChange],
    ) -> Result<Vec<Applied>> {
        let looked = self.dry_run_all(changes.to_vec()).await?;
        if are_refused(&looked) || looked.iter().all(|it| it.outcome == Outcome::Replayed) {
            return Ok(looked);
        }
        match changes.first().map(|(_, change)| &change.action) {
            Some(Action::Redeem { .. }) => self.redeem_in_turn(order, changes, looked).await,
            Some(Action::Hold { .. }) => self.hold_in_turn(order, changes, looked).await,
            _ => self.give_back_in_turn(order, changes).await,
        }
    }

    /// Steps 2 to 5.
    async fn redeem_in_turn(
        &self,
        order: &OrderRef,
        changes: &[OrderChange],
        looked: Vec<Applied>,
    ) -> Result<Vec<Applied>> {
        let since = Instant::now();
        let held = self.hold_in_turn(order, changes, looked).await?;
        if are_refused(&held) {
            return Ok(held);
        }
        let codes: Vec<&Code> = held.iter().filter_map(Applied::code).collect();
        let Some((_, first)) = changes.first() else { return Ok(held) };
        let (user, call) = (user_of(first), first.operation);
        let records = order_record::begin(&*self.tables, order, user, call, &codes).await?;
        let mut all: Vec<Applied> = Vec::with_capacity(changes.len());
        let mut discounts = OrderDiscounts::default();
        for ((_, change), held) in changes.iter().zip(&held) {
            let change = discounts.before(change);
            let applied = self.redeem_held(held, &change, since).await.map_err(begun)?;
            discounts.add(&change, &applied);
            all.push(applied);
        }
        order_record::end(&*self.tables, order, records).await;
        Ok(all)
    }

    /// Redeems a coupon that was `held` so, wherever it is; or repeats what the order has done with it.
    /// `since`: when the call began.
    async fn redeem_held(
        &self,
        held: &Applied,
        change: &Change,
        since: Instant,
    ) -> Result<Applied> {
        let lost = || HotError::Unknown("a coupon of the order is no longer held for it".into());
        let (Some(before), Action::Redeem { order, .. }) = (&held.snapshot, &change.action) else {
            return Err(lost());
        };
        let (store, code) = (&self.store, before.coupon.code());
        let _lock = store.coupon_locks.lock(code).await?;
        let mut attempts = store.attempts("a redemption of an order");
        loop {
            let located = attempts.looked(store.anywhere(code).await)?.ok_or_else(lost)?;
            // It may have lapsed meanwhile: a lapsed one is left as it is when the order is given back.
            let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            let now = change.at.plus_ms(passed);
            let running = located.coupon.running_hold(now).map(|hold| hold.operation);
            let is_held =
                running.is_some() && running == before.coupon.hold().map(|hold| hold.operation);
            if !is_held && located.coupon.redemption_of(order).is_none() {
                return Err(lost());
            }
            let decision = attempts.looked(store.decide(located, change, true).await)?;
            if let Some(decision) = decision
                && let Some(applied) =
                    store.carry_out(decision, change.operation, &mut attempts).await?
            {
                // Its redemption was cancelled, or its hold has lapsed and a rule refuses it by now.
                return if applied.refusal().is_some() { Err(lost()) } else { Ok(applied) };
            }
            attempts.again().await?;
        }
    }

    /// Holds all, in the sequence of their codes, or none. Returns `looked` with what was refused.
    async fn hold_in_turn(
        &self,
        order: &OrderRef,
        changes: &[OrderChange],
        mut looked: Vec<Applied>,
    ) -> Result<Vec<Applied>> {
        let mut places: Vec<usize> = (0..changes.len()).collect();
        places.retain(|place| looked[*place].outcome != Outcome::Replayed);
        places.sort_by(|one, other| looked[*one].code().cmp(&looked[*other].code()));
        let (mut held, mut new_coupons) = (Vec::new(), BTreeMap::new());
        for place in places {
            let (found, change) = &changes[place];
            let applied = self.apply(found, hold_for(change)).await;
            let applied = if held.is_empty() { applied? } else { applied.map_err(begun)? };
            if is_new_hold(&applied, change) {
                held.push(place);
            }
            if may_redeem(&applied, change) {
                looked[place].snapshot = applied.snapshot;
            } else {
                looked[place] = applied;
            }
            if looked[place].refusal().is_none() {
                let fits = self.has_room(&looked[place], change, &mut new_coupons).await;
                if fits.map_err(begun)? {
                    continue;
                }
                looked[place].outcome = Outcome::Refused(Refusal::LimitPerUser);
            }
            for place in held {
                let (found, change) = &changes[place];
                self.apply(found, release_for(order, change)).await.map_err(begun)?;
            }
            break;
        }
        Ok(looked)
    }

    /// Whether the user may redeem this coupon, too. Each was held as if the order had no other: holds are not counted.
    async fn has_room(
        &self,
        held: &Applied,
        change: &Change,
        new_coupons: &mut BTreeMap<CampaignId, usize>,
    ) -> Result<bool> {
        let (Some(snapshot), Action::Redeem { by: user, .. }) = (&held.snapshot, &change.action)
        else {
            return Ok(true);
        };
        if snapshot.coupon.holder().is_some() || snapshot.campaign.per_user_limit.is_none() {
            return Ok(true);
        }
        let campaign = &snapshot.campaign.id;
        let count = new_coupons.entry(campaign.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            return Ok(true);
        }
        let Some(here) = self.store.terms(campaign).await? else { return Ok(true) };
        let read = self.store.claim(&here, user, change, ClaimNeed::default(), true).await?;
        Ok(read.claim.has_room_for(*count))
    }

    /// Cancels and releases. A repeat after an error goes on.
    async fn give_back_in_turn(
        &self,
        order: &OrderRef,
        changes: &[OrderChange],
    ) -> Result<Vec<Applied>> {
        let records = order_record::begun(&*self.tables, order).await?;
        let mut all = Vec::with_capacity(changes.len());
        for (found, change) in changes {
            let mut applied = self.apply(found, change.clone()).await;
            if let (Action::Release { .. }, Ok(refused)) = (&change.action, &applied)
                && refused.refusal() == Some(Refusal::AlreadyRedeemed)
            {
                // A call that was still under way has redeemed it before it could be released.
                applied = self.apply(found, cancel_for(order, change)).await;
            }
            all.push(if all.is_empty() { applied? } else { applied.map_err(begun)? });
        }
        if !are_refused(&all) {
            let given_back: Vec<&Code> = all.iter().filter_map(Applied::code).collect();
            let ended = records
                .into_iter()
                .filter(|(_, codes)| codes.iter().all(|code| given_back.contains(&code)));
            order_record::end(&*self.tables, order, ended.map(|(key, _)| key).collect()).await;
        }
        Ok(all)
    }
}

fn are_refused(all: &[Applied]) -> bool {
    all.iter().any(|it| it.refusal().is_some())
}
