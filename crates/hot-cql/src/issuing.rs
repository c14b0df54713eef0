//! Issues a coupon of a campaign's stock to a user.

mod replacing;
mod shared;

use coupon::apply::Change;
use coupon::ids::{CampaignId, UserId};
use coupon::refusal::Refusal;
use hot::protocol::{ClaimIntent, IssueAsk, IssueFacts, IssueRead, IssueStep, give};
use hot::{Applied, HotError, protocol};

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::changes::CqlDecision;
use crate::claims::{Claim, ClaimNeed, ClaimSlot, ReadClaim};
use crate::coupons::{CqlPlace, Written};
use crate::stock::{CouponOffer, NextOffer, OfferState};
use cql_session::{Result, WriteAttempts};
use replacing::TakeOutcome;

struct IssueAttempt<'a> {
    campaign: CampaignHere,
    user: &'a UserId,
    claim: Claim,
    issue: &'a Change,
    /// Another change of the coupon in the same write.
    then: Option<&'a Change>,
}

impl CqlStore {
    /// `POST /v1/campaigns/{id}/issue`: section 4 of the protocols.
    pub(crate) async fn issue_of_campaign(
        &self,
        campaign: &CampaignId,
        change: &Change,
    ) -> Result<Applied> {
        let mut lock = None;
        let mut attempts = self.attempts("an issue");
        // Both outlive a conflict: the same code is offered again, and a right is won once.
        let mut kept = None;
        let mut won = false;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(CqlDecision::not_found().applied);
            };
            let ask = match IssueAsk::of(&here.terms, change, &self.keys.current()) {
                Ok(ask) => ask,
                Err(refusal) => return Ok(CqlDecision::refused(refusal).applied),
            };
            if lock.is_none() {
                // The same request, sent twice at once, would conflict with itself.
                lock = Some(self.user_locks.lock((campaign, &ask.to)).await?);
            }
            let (step, claim) = attempts.looked(self.issue_step(&here, &ask, change).await)?;
            let done = match step {
                IssueStep::Read(read) => {
                    return Err(HotError::Damaged(format!("an issue asks again for {read:?}")));
                }
                IssueStep::Decided(decision) => {
                    self.carry_out(*decision, change.operation, &mut attempts).await?
                }
                IssueStep::Name(located, entry) => {
                    let (campaign, coupon) = (&located.here.campaign, &located.coupon);
                    let (day, intent) = (located.day, ClaimIntent::past(coupon));
                    let named = self.enter_claim(campaign, &entry, day, coupon, intent).await;
                    let ended = attempts.looked(named)?;
                    (ended == Written::Done).then(|| CqlDecision::replayed(&located).applied)
                }
                IssueStep::HandOut => {
                    let (user, then) = (&ask.to, None);
                    let giving = IssueAttempt { campaign: here, user, claim, issue: change, then };
                    if let Some(code) = ask.replaces.as_ref().filter(|_| !won) {
                        let taken = self.take_replacement(&giving, &ask, code, &mut kept);
                        match attempts.looked(taken.await)? {
                            TakeOutcome::Yes => won = true,
                            TakeOutcome::LookAgain => {
                                attempts.again().await?;
                                continue;
                            }
                            TakeOutcome::No(decision) => {
                                self.put_back(campaign, kept);
                                return Ok(decision.applied);
                            }
                        }
                    }
                    self.hand_out(giving, &mut kept, &mut attempts).await?
                }
            };
            if let Some(applied) = done {
                self.put_back(campaign, kept);
                return Ok(applied);
            }
            attempts.again().await?;
        }
    }

    /// Reads the facts of an issue, the claim first, until it is decided.
    async fn issue_step(
        &self,
        here: &CampaignHere,
        ask: &IssueAsk,
        change: &Change,
    ) -> Result<(IssueStep<CqlPlace, ClaimSlot>, Claim)> {
        let (name, beside) = (ask.reference.as_ref(), ask.replaces.as_ref());
        let need = ClaimNeed { name, beside, all: false };
        // One row has the names and the entries.
        let read = self.claim(here, &ask.to, change, need, true).await?;
        let ReadClaim { named, claim, choices: _ } = read;
        let mut facts = IssueFacts { named: Some(named), replaced: None, claim: Some(claim) };
        loop {
            let step = protocol::issue(ask, change, &facts);
            if let IssueStep::Read(IssueRead::Replaced) = step {
                facts.replaced = Some(self.to_be_replaced(ask).await?);
                continue;
            }
            if let Some(claim) = facts.claim {
                return Ok((step, claim));
            }
        }
    }

    /// `None` asks the caller to read the claim again.
    async fn hand_out(
        &self,
        giving: IssueAttempt<'_>,
        kept: &mut Option<CouponOffer>,
        attempts: &mut WriteAttempts,
    ) -> Result<Option<Applied>> {
        let IssueAttempt { campaign, user, claim, issue, then } = giving;
        let offer = match kept.take() {
            Some(offer) => offer,
            None => match attempts.looked(self.next_offer(&campaign, issue.at).await)? {
                NextOffer::Offer(offer) => offer,
                // The same request, sent twice at once, may have been given the last one in
                // between.
                NextOffer::Nothing(_)
                    if attempts.looked(self.is_changed(&campaign, user, &claim).await)? =>
                {
                    return Ok(None);
                }
                NextOffer::Nothing(refusal) => {
                    return Ok(Some(CqlDecision::refused(refusal).applied));
                }
            },
        };
        let id = &campaign.terms.id;
        let decision = give(&offer.located, issue, then, &claim, self.options.clock_bound_ms);
        if decision.writes.is_none() {
            self.put_back(id, Some(offer));
            return Ok(Some(decision.applied));
        }
        match self.carry_out(decision, issue.operation, attempts).await {
            Ok(Some(applied)) => {
                self.is_taken(id, offer).await;
                // If the last coupon comes back and is issued again, "sold out" is noted again.
                if let Err(error) = self.note_stock(&campaign, false, issue.at).await {
                    tracing::debug!(%error, "a campaign that was sold out has coupons again");
                }
                Ok(Some(applied))
            }
            Ok(None) => {
                // Another process has written the claim, or has issued the coupon.
                match attempts.looked(self.still_on_offer(id, offer, issue.at).await)? {
                    OfferState::Offered(offer) => *kept = Some(offer),
                    OfferState::Gone => {}
                    // A change that meets a seal is refused; the next coupon is not tried.
                    OfferState::Sealed => {
                        return Ok(Some(CqlDecision::refused(Refusal::Expired).applied));
                    }
                }
                Ok(None)
            }
            Err(error) => {
                self.put_back(id, Some(offer));
                Err(error)
            }
        }
    }
}
