//! Changes by a shared code: each changes the user's own coupon of the campaign.

use coupon::apply::Change;
use coupon::ids::CampaignId;
use hot::protocol::{SharedAsk, SharedStep, give};
use hot::{Applied, protocol};

use super::IssueAttempt;
use crate::CqlStore;
use crate::changes::CqlDecision;
use crate::claims::{ClaimNeed, ReadClaim};
use crate::coupons::Written;
use crate::stock::NextOffer;
use cql_session::Result;

impl CqlStore {
    /// Applies `change` to the user's own coupon of a shared word's campaign. Redeem and hold issue
    /// one to a user who has none that they can use.
    pub(crate) async fn apply_shared(
        &self,
        campaign: &CampaignId,
        change: &Change,
        may_write: bool,
    ) -> Result<Applied> {
        let Some(ask) = SharedAsk::of(change) else { return Ok(CqlDecision::not_found().applied) };
        // The same request, sent twice at once, would conflict with itself.
        let _lock = self.user_locks.lock((campaign, &ask.user)).await?;
        let mut attempts = self.attempts("a change under a shared word");
        let mut kept = None;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(CqlDecision::not_found().applied);
            };
            let need = ClaimNeed { all: true, ..ClaimNeed::default() };
            let claim = self.claim(&here, &ask.user, change, need, may_write).await;
            let ReadClaim { named: _, claim, choices } = attempts.looked(claim)?;
            let bound = self.options.clock_bound_ms;
            let step = match may_write {
                true => protocol::shared_step(&ask, change, &claim, &choices, bound),
                false => match protocol::shared(&ask, change, &claim, bound) {
                    Some(decision) => return Ok(decision.applied),
                    None => SharedStep::HandOut,
                },
            };
            let done = match (step, &ask.issue) {
                (SharedStep::Decided(decision), _) => {
                    self.carry_out(*decision, change.operation, &mut attempts).await?
                }
                (SharedStep::Choose(slot, choice, decision), _) => {
                    // Before the coupon: a second try of the order then changes the same coupon.
                    let chosen = self.choose(&here, &claim, slot, &choice).await;
                    match attempts.looked(chosen)? {
                        Written::Done => {
                            self.carry_out(*decision, change.operation, &mut attempts).await?
                        }
                        Written::Conflict => None,
                    }
                }
                (SharedStep::Fence(located, after), _) => {
                    // The next read shows the outcome, conflict or not.
                    attempts.looked(self.fence(&located, &after).await)?;
                    None
                }
                (SharedStep::HandOut, None) => Some(CqlDecision::not_found().applied),
                (SharedStep::HandOut, Some(issue)) => {
                    let then = Some(change);
                    let giving =
                        IssueAttempt { campaign: here, user: &ask.user, claim, issue, then };
                    if !may_write {
                        return self.dry_run_hand_out(&giving).await;
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

    /// The answer that an issue would get. It leases stock if it must, which gives no user a right
    /// to it, and puts the offer back into the queue.
    async fn dry_run_hand_out(&self, giving: &IssueAttempt<'_>) -> Result<Applied> {
        let IssueAttempt { campaign, claim, issue, then, .. } = giving;
        let offer = match self.look_for_stock(campaign, issue.at).await? {
            NextOffer::Offer(offer) => offer,
            NextOffer::Nothing(refusal) => return Ok(CqlDecision::refused(refusal).applied),
        };
        let bound = self.options.clock_bound_ms;
        let decision = give(&offer.located, issue, *then, claim, bound);
        self.put_back(&campaign.terms.id, Some(offer));
        Ok(decision.applied)
    }
}
