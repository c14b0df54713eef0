//! Changes one coupon: decides its new state, then writes it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use coupon::apply::{Change, Outcome};
use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, OperationId, OrderRef};
use hot::protocol::{Admitted, ChangeStep, ClaimIntent, Writes, partition_after};
use hot::{
    Applied, CouponSnapshot, Coupons, HotError, ListQuery, ListedPage, order_record, protocol,
};
use router::{Address, Found};

use crate::claims::{ClaimNeed, ClaimSlot};
use crate::coupons::{CqlCoupon, CqlPlace, Written, begun};
use crate::partitions::PlanRow;
use crate::untouched::{SCANNED_MIN, in_a_row};
use crate::{CqlHot, CqlStore};
use cql_session::{Resolutions, Result, WriteAttempts};

pub(crate) type CqlDecision = protocol::Decision<CqlPlace, ClaimSlot>;

#[async_trait]
impl Coupons for CqlHot {
    async fn read(&self, address: &Address) -> Result<Option<CouponSnapshot>> {
        Ok(self.store.locate(address).await?.map(|located| located.snapshot()))
    }

    async fn untouched(&self, run: MintedRun, codes: Vec<Code>) -> Result<Vec<bool>> {
        let keys = self.store.keys.current();
        let key = keys.iter().find(|key| key.id() == run.key);
        if let Some(key) = key
            && codes.len() >= SCANNED_MIN
            && let Some(serials) = in_a_row(key, &codes)
            && let Some(touched) = self.store.scanned(key, &run, serials.clone()).await?
        {
            return Ok(serials.map(|serial| !touched.contains(&serial)).collect());
        }
        self.store.looked_up(&run, codes).await
    }

    async fn apply(&self, found: &Found, change: Change) -> Result<Applied> {
        self.store.may_write()?;
        self.count_unknown(match found {
            Found::Coupon(address) => self.store.apply_at(address, &change).await,
            Found::Shared { campaign } => self.store.apply_shared(campaign, &change, true).await,
        })
    }

    async fn dry_run(&self, found: &Found, change: Change) -> Result<Applied> {
        let store = &self.store;
        let address = match found {
            Found::Coupon(address) => address,
            Found::Shared { campaign } => {
                return store.apply_shared(campaign, &change, false).await;
            }
        };
        let mut attempts = store.attempts("a dry run");
        loop {
            let Some(located) = store.locate(address).await? else {
                return Ok(CqlDecision::not_found().applied);
            };
            if let Some(decision) = store.decide(located, &change, false).await? {
                return Ok(decision.applied);
            }
            attempts.again().await?;
        }
    }

    async fn apply_all(
        &self,
        order: &OrderRef,
        changes: Vec<(Found, Change)>,
    ) -> Result<Vec<Applied>> {
        self.apply_in_turn(order, &changes).await
    }

    async fn unfinished_order(&self, order: &OrderRef) -> Result<Vec<Code>> {
        let begun = order_record::begun(&*self.tables, order).await?;
        let codes: BTreeSet<Code> = begun.into_iter().flat_map(|(_, codes)| codes).collect();
        Ok(codes.into_iter().collect())
    }

    async fn issue(&self, campaign: &CampaignId, change: Change) -> Result<Applied> {
        self.store.may_write()?;
        self.count_unknown(self.store.issue_of_campaign(campaign, &change).await)
    }

    async fn list(&self, query: ListQuery) -> Result<ListedPage> {
        self.store.list_page(&query).await
    }
}

impl CqlHot {
    fn count_unknown<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(HotError::Unknown(_)) = &result {
            Resolutions::count(&self.store.resolved.unknown);
        }
        result
    }
}

impl CqlStore {
    /// What `change` does to a coupon; `None` if the coupon has changed since it was read, so that
    /// the claim of its holder decides nothing.
    pub(crate) async fn decide(
        &self,
        located: CqlCoupon,
        change: &Change,
        may_write: bool,
    ) -> Result<Option<CqlDecision>> {
        let accepted = match protocol::change(located, change, self.options.clock_bound_ms) {
            ChangeStep::Decided(decision) => return Ok(Some(*decision)),
            ChangeStep::Accepted(accepted) => accepted,
        };
        let is_closing = match accepted.later_day {
            Some(day) => self.plan_is(day, PlanRow::is_closing).await?,
            None => false,
        };
        let claim = match accepted.claimant() {
            Some(user) if !is_closing => {
                let campaign = &accepted.before.here.campaign;
                let need = ClaimNeed::default();
                Some(self.claim(campaign, user, change, need, may_write).await?.claim)
            }
            Some(_) | None => None,
        };
        match accepted.decide(is_closing, claim.as_ref()) {
            Admitted::Decided(decision) => Ok(Some(*decision)),
            Admitted::NoRoom(located, refusal) => {
                // The claim was read after the coupon, and may name this coupon by now.
                let now = self.stored(located.day.into(), located.coupon.code()).await?;
                let same = now.map_or(0, |now| now.coupon.version()) == located.coupon.version();
                Ok(same.then(|| CqlDecision::refused_at(&located, refusal)))
            }
        }
    }

    /// One at a time for each coupon: others would decide on a version that is being replaced.
    async fn apply_at(&self, address: &Address, change: &Change) -> Result<Applied> {
        let _lock = self.coupon_locks.lock(&address.code).await?;
        let mut attempts = self.attempts("a change of a coupon");
        if let Some(applied) = self.apply_from_memory(address, change, &mut attempts).await? {
            return Ok(applied);
        }
        loop {
            let Some(located) = attempts.looked(self.locate(address).await)? else {
                return Ok(CqlDecision::not_found().applied);
            };
            let decision = attempts.looked(self.decide(located, change, true).await)?;
            if let Some(decision) = decision
                && let Some(applied) =
                    self.carry_out(decision, change.operation, &mut attempts).await?
            {
                return Ok(applied);
            }
            attempts.again().await?;
        }
    }

    /// The same on the remembered coupon; `None` if it has to be read.
    async fn apply_from_memory(
        &self,
        address: &Address,
        change: &Change,
        attempts: &mut WriteAttempts,
    ) -> Result<Option<Applied>> {
        let Some(mut located) = self.row_cache.get(&address.code) else { return Ok(None) };
        let genesis = located.coupon.genesis();
        let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
        let Some((campaign, batch)) = found else { return Ok(None) };
        (located.here.campaign, located.batch_paused) = (campaign, batch.paused);
        let decision = self.decide(located, change, true).await?;
        // Memory may be stale: only a decision that a conditional write confirms may rest on it.
        let Some(decision) = decision.filter(|decision| decision.writes.is_some()) else {
            return Ok(None);
        };
        self.carry_out(decision, change.operation, attempts).await
    }

    /// Writes the claim first, then the coupon. `None` after a conflict: decide again.
    pub(crate) async fn carry_out(
        &self,
        decision: CqlDecision,
        operation: OperationId,
        attempts: &mut WriteAttempts,
    ) -> Result<Option<Applied>> {
        let CqlDecision { applied, writes } = decision;
        let (Some(Writes { before, entry, actor }), Outcome::Accepted(after)) =
            (writes, &applied.outcome)
        else {
            return Ok(Some(applied));
        };
        let Some(entry) = entry else {
            let written = self.write_coupon(&before, after, operation, Some(&actor)).await;
            let written = attempts.looked(written)?;
            return Ok((written == Written::Done).then_some(applied));
        };
        let day = partition_after(before.day, after);
        let intent = ClaimIntent::next(&before.coupon, operation);
        // Before the coupon: after a crash the entry counts, and the next request finishes it.
        let entered = self.enter_claim(&before.here.campaign, &entry, day, after, intent);
        if attempts.looked(entered.await)? == Written::Conflict {
            return Ok(None);
        }
        let written = self.write_coupon(&before, after, operation, Some(&actor)).await;
        // The entry is there, so an error may no longer say that nothing was written.
        let written = written.map_err(begun)?;
        match written {
            Written::Done => Ok(Some(applied)),
            Written::Conflict => {
                let finished = self.finished_by_another(&before, after, operation).await;
                let finished = finished.map_err(begun)?;
                if finished.is_none() {
                    // The entry is there. If the call finds no end in time, nobody may be told that
                    // nothing was written.
                    attempts.has_begun();
                }
                Ok(finished)
            }
        }
    }

    /// The answer to a request whose entry in a claim another process has finished under the
    /// request's id: what is written there has happened, whatever followed.
    async fn finished_by_another(
        &self,
        before: &CqlCoupon,
        after: &Coupon,
        operation: OperationId,
    ) -> Result<Option<Applied>> {
        if after.version() != before.coupon.version() + 1 {
            // Issued and redeemed, or issued and held, in one write: other processes finish the
            // issue only.
            return Ok(None);
        }
        let known = before.coupon.events().len();
        let Some(now) = self.stored(before.day.into(), after.code()).await? else {
            return Ok(None);
        };
        let events = now.coupon.events();
        let Some(event) = events.get(known).filter(|event| event.operation == operation) else {
            return Ok(None);
        };
        let actor = event.actor.clone();
        let done = Coupon::of(
            after.genesis().clone(),
            events[..=known].to_vec(),
            after.hold().cloned(),
            after.version(),
            event.at,
        );
        Ok(Some(CqlDecision::accepted(before.clone(), Box::new(done), None, actor).applied))
    }
}
