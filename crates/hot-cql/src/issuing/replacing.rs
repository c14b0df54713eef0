//! Replaces a coupon by an issue: only one request can do it.

use coupon::apply::Outcome;
use coupon::code::Code;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::refusal::Refusal;
use hot::protocol::{IssueAsk, Replaced, ReplacedBy, Replacement, give, issue_of};

use super::IssueAttempt;
use crate::CqlStore;
use crate::changes::CqlDecision;
use crate::coupons::{CqlCoupon, CqlPlace};
use crate::stock::{CouponOffer, NextOffer};
use cql_session::Result;

pub(super) enum TakeOutcome {
    Yes,
    /// The claim has changed since it was read.
    LookAgain,
    No(Box<CqlDecision>),
}

pub(crate) struct WonReplacement {
    campaign: String,
    reference: String,
    pub(crate) by: Replacement,
}

impl CqlStore {
    pub(super) async fn to_be_replaced(&self, ask: &IssueAsk) -> Result<Replaced<CqlPlace>> {
        let Some(code) = &ask.replaces else {
            return Ok(Replaced { by: ReplacedBy::Nobody, coupon: None });
        };
        let name = ask.reference.as_ref().map(IssueRef::as_str);
        let by = match self.replacement(code).await? {
            None => ReplacedBy::Nobody,
            // With the same name and the same user it is this request, begun before.
            Some(won) if won.by.user == ask.to.as_str() && Some(won.reference.as_str()) == name => {
                ReplacedBy::ThisRequest
            }
            Some(_) => ReplacedBy::Another,
        };
        Ok(Replaced { by, coupon: self.anywhere(code).await? })
    }

    pub(crate) async fn replacement(&self, code: &Code) -> Result<Option<WonReplacement>> {
        let cql = "SELECT campaign_id, user_id, reference, issue FROM replacement \
                   WHERE replaced = ?";
        type Row = (Option<String>, Option<String>, Option<String>, Option<i32>);
        let row: Option<Row> = self.session.row(cql, (code.as_str(),)).await?;
        Ok(row.map(|(campaign, user, reference, issue)| WonReplacement {
            campaign: campaign.unwrap_or_default(),
            reference: reference.unwrap_or_default(),
            by: Replacement { user: user.unwrap_or_default(), issue },
        }))
    }

    /// Only one request replaces a coupon; returns whether it is this one.
    pub(crate) async fn win_replacement(
        &self,
        code: &Code,
        campaign: &CampaignId,
        user: &UserId,
        reference: &str,
        of: &CqlCoupon,
    ) -> Result<bool> {
        self.may_be_given([user]).await?;
        let mut attempts = self.attempts("a replacement");
        loop {
            if let Some(won) = attempts.looked(self.replacement(code).await)? {
                return Ok(won.campaign == campaign.as_str()
                    && won.by.user == user.as_str()
                    && won.reference == reference);
            }
            let cql = "INSERT INTO replacement (replaced, campaign_id, user_id, reference, issue) \
                       VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
            let issue = issue_of(&of.coupon);
            let values = (code.as_str(), campaign.as_str(), user.as_str(), reference, issue);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// After a coupon is offered that the rules allow to issue. The right is not given back: what a
    /// slow process gives back another may have used in between.
    pub(super) async fn take_replacement(
        &self,
        giving: &IssueAttempt<'_>,
        ask: &IssueAsk,
        code: &Code,
        kept: &mut Option<CouponOffer>,
    ) -> Result<TakeOutcome> {
        let IssueAttempt { campaign, user, claim, issue, .. } = giving;
        let no = |decision| Ok(TakeOutcome::No(Box::new(decision)));
        if kept.is_none() {
            match self.next_offer(campaign, issue.at).await? {
                NextOffer::Offer(offer) => *kept = Some(offer),
                NextOffer::Nothing(_) if self.is_changed(campaign, user, claim).await? => {
                    return Ok(TakeOutcome::LookAgain);
                }
                NextOffer::Nothing(refusal) => return no(CqlDecision::refused(refusal)),
            }
        }
        if let Some(offer) = kept {
            let given = give(&offer.located, issue, None, claim, self.options.clock_bound_ms);
            if let Outcome::Refused(_) = given.applied.outcome {
                return no(given);
            }
        }
        let Some(of) = self.anywhere(code).await? else { return no(CqlDecision::not_found()) };
        let name = ask.reference.as_ref().map_or("", IssueRef::as_str);
        match self.win_replacement(code, &campaign.terms.id, user, name, &of).await? {
            true => Ok(TakeOutcome::Yes),
            false => no(CqlDecision::refused(Refusal::NameTaken)),
        }
    }
}
