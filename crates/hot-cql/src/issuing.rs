//! Handing out a campaign's stock: by issue, and behind a shared word.

use coupon::apply::{Change, Outcome};
use coupon::code::Code;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::refusal::Refusal;
use hot::Applied;
use hot::protocol::{
    self, IssueAsk, IssueFacts, IssueStep, Replaced, ReplacedBy, Replacement, SharedAsk, give,
    issue_of,
};

use super::Store;
use super::campaigns::CampaignHere;
use super::claims::{Claim, Need, NewEntry};
use super::coupons::{Decision, Here, Located, Written};
use super::resolving::Attempts;
use super::session::{Result, StatementProfile};
use super::stock::{Next, Offer, Still};

/// What is to be done for an issue once all is read.
enum NextStep {
    /// An answer, and what to write for it.
    Decided(Box<Decision>),
    /// One more name for the coupon that a user has.
    Name(Box<Located>, NewEntry),
    /// The next coupon of the stock is to be given.
    HandOut,
}

/// Whether a request has won the right to replace a coupon.
enum Taken {
    Yes,
    /// The claim has changed meanwhile.
    LookAgain,
    No(Box<Decision>),
}

/// The right to replace a coupon, which one request has won.
pub(super) struct WonReplacement {
    campaign: String,
    reference: String,
    pub(super) by: Replacement,
}

/// What a user is given a coupon by.
struct Giving<'a> {
    campaign: CampaignHere,
    user: &'a UserId,
    claim: Claim,
    issue: &'a Change,
    /// What happens to the coupon in the same write.
    then: Option<&'a Change>,
}

impl Store {
    /// `POST /v1/campaigns/{id}/issue`: section 4 of the protocols.
    pub(super) async fn issue_of_campaign(
        &self,
        campaign: &CampaignId,
        change: &Change,
    ) -> Result<Applied> {
        let mut lock = None;
        let mut attempts = self.attempts("an issue");
        let mut kept = None;
        let mut won = false;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(Decision::not_found().applied);
            };
            let ask = match IssueAsk::of(&here.terms, change, &self.keys.current()) {
                Ok(ask) => ask,
                Err(refusal) => return Ok(Decision::refused(refusal).applied),
            };
            if lock.is_none() {
                // The same request twice at once would only stand in its own way.
                lock = Some(self.users.lock((campaign, &ask.to)).await?);
            }
            let (step, claim) = attempts.looked(self.issue_step(&here, &ask, change).await)?;
            let done = match step {
                NextStep::Decided(decision) => self.carry_out(*decision, change.operation).await?,
                NextStep::Name(located, entry) => {
                    let ended = self.name_in_claim(&entry, &located).await?;
                    (ended == Written::Done).then(|| Decision::replayed(&located).applied)
                }
                NextStep::HandOut => {
                    let giving =
                        Giving { campaign: here, user: &ask.to, claim, issue: change, then: None };
                    if let Some(code) = ask.replaces.as_ref().filter(|_| !won) {
                        let taken = self.take_replacement(&giving, &ask, code, &mut kept);
                        match attempts.looked(taken.await)? {
                            Taken::Yes => won = true,
                            Taken::LookAgain => {
                                attempts.again().await?;
                                continue;
                            }
                            Taken::No(decision) => {
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

    /// Reads what the issue depends on, the claim first, until it is decided.
    async fn issue_step(
        &self,
        here: &CampaignHere,
        ask: &IssueAsk,
        change: &Change,
    ) -> Result<(NextStep, Claim)> {
        let (name, beside) = (ask.reference.as_ref(), ask.replaces.as_ref());
        let need = Need { name, beside, all: false };
        // One row has the names and the entries.
        let (named, claim) = self.claim(here, &ask.to, change, need, true).await?;
        let mut facts = IssueFacts { named: Some(named), replaced: None, claim: Some(claim) };
        loop {
            let step = match protocol::issue(ask, change, &facts) {
                IssueStep::Read(_) => {
                    facts.replaced = Some(self.to_be_replaced(ask).await?);
                    continue;
                }
                IssueStep::Decided(decision) => NextStep::Decided(decision),
                IssueStep::Name(located, entry) => NextStep::Name(located, entry),
                IssueStep::HandOut => NextStep::HandOut,
            };
            if let Some(claim) = facts.claim {
                return Ok((step, claim));
            }
        }
    }

    /// The coupon that an issue is to replace.
    async fn to_be_replaced(&self, ask: &IssueAsk) -> Result<Replaced<Here>> {
        let Some(code) = &ask.replaces else {
            return Ok(Replaced { by: ReplacedBy::Nobody, coupon: None });
        };
        let name = ask.reference.as_ref().map(IssueRef::as_str);
        let by = match self.replacement(code).await? {
            None => ReplacedBy::Nobody,
            // Under the very same name by the same user it is this request, begun before.
            Some(won) if won.by.user == ask.to.as_str() && Some(won.reference.as_str()) == name => {
                ReplacedBy::ThisRequest
            }
            Some(_) => ReplacedBy::Another,
        };
        Ok(Replaced { by, coupon: self.anywhere(code).await? })
    }

    /// The coupon of a code, of whatever campaign and wherever it lies.
    pub(super) async fn anywhere(&self, code: &Code) -> Result<Option<Located>> {
        for key in self.keys.current().iter() {
            let Some(minted) = key.open(code) else { continue };
            let run = self.run_with(key.id(), minted.day, minted.serial).await?;
            if let Some((owner, _)) = run {
                return match self.stored(minted.day, code).await? {
                    None => self.untouched_at(code, &owner, minted.day).await,
                    found => Ok(found),
                };
            }
        }
        match self.directory_day(code).await? {
            Some(day) => self.stored(day, code).await,
            None => Ok(None),
        }
    }

    pub(super) async fn replacement(&self, code: &Code) -> Result<Option<WonReplacement>> {
        let cql = "SELECT campaign_id, user_id, reference, issue FROM replacement \
                   WHERE replaced = ?";
        type Row = (Option<String>, Option<String>, Option<String>, Option<i32>);
        let row: Option<Row> =
            self.cluster.row(StatementProfile::Read, cql, (code.as_str(),)).await?;
        Ok(row.map(|(campaign, user, reference, issue)| WonReplacement {
            campaign: campaign.unwrap_or_default(),
            reference: reference.unwrap_or_default(),
            by: Replacement { user: user.unwrap_or_default(), issue },
        }))
    }

    /// Only one request replaces a coupon: whether it is this one.
    pub(super) async fn win_replacement(
        &self,
        code: &Code,
        campaign: &CampaignId,
        user: &UserId,
        reference: &str,
        of: &Located,
    ) -> Result<bool> {
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
            attempts.wrote(self.cluster.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// Wins the right to replace a coupon, with one in hand that the rules let go: it is not given up
    /// again, since what a slow process gives up another may have used meanwhile.
    async fn take_replacement(
        &self,
        giving: &Giving<'_>,
        ask: &IssueAsk,
        code: &Code,
        kept: &mut Option<Offer>,
    ) -> Result<Taken> {
        let Giving { campaign, user, claim, issue, .. } = giving;
        let no = |decision| Ok(Taken::No(Box::new(decision)));
        if kept.is_none() {
            match self.next_offer(campaign, issue.at).await? {
                Next::Offer(offer) => *kept = Some(offer),
                Next::Nothing(_) if self.is_changed(campaign, user, claim).await? => {
                    return Ok(Taken::LookAgain);
                }
                Next::Nothing(refusal) => return no(Decision::refused(refusal)),
            }
        }
        if let Some(offer) = kept {
            let given = give(&offer.located, issue, None, claim, self.options.clock_bound_ms);
            if let Outcome::Refused(_) = given.applied.outcome {
                return no(given);
            }
        }
        let Some(of) = self.anywhere(code).await? else { return no(Decision::not_found()) };
        let name = ask.reference.as_ref().map_or("", IssueRef::as_str);
        match self.win_replacement(code, &campaign.terms.id, user, name, &of).await? {
            true => Ok(Taken::Yes),
            false => no(Decision::refused(Refusal::NameTaken)),
        }
    }

    /// Takes the next coupon of the stock and gives it; `None` asks to look at the claim again.
    async fn hand_out(
        &self,
        giving: Giving<'_>,
        kept: &mut Option<Offer>,
        attempts: &mut Attempts,
    ) -> Result<Option<Applied>> {
        let Giving { campaign, user, claim, issue, then } = giving;
        let offer = match kept.take() {
            Some(offer) => offer,
            None => match attempts.looked(self.next_offer(&campaign, issue.at).await)? {
                Next::Offer(offer) => offer,
                // The same request, sent twice at once, may have been given the last one meanwhile.
                Next::Nothing(_)
                    if attempts.looked(self.is_changed(&campaign, user, &claim).await)? =>
                {
                    return Ok(None);
                }
                Next::Nothing(refusal) => return Ok(Some(Decision::refused(refusal).applied)),
            },
        };
        let id = &campaign.terms.id;
        let decision = give(&offer.located, issue, then, &claim, self.options.clock_bound_ms);
        if decision.writes.is_none() {
            self.put_back(id, Some(offer));
            return Ok(Some(decision.applied));
        }
        match self.carry_out(decision, issue.operation).await {
            Ok(Some(applied)) => {
                self.is_taken(id, offer).await;
                Ok(Some(applied))
            }
            Ok(None) => {
                // Either the claim was written by another, or the coupon is somebody else's.
                match self.still_on_offer(id, offer, issue.at).await? {
                    Still::Offered(offer) => *kept = Some(offer),
                    Still::Gone => {}
                    // A change that meets a seal is refused and not tried on the next one.
                    Still::Sealed => {
                        return Ok(Some(Decision::refused(Refusal::Expired).applied));
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

    /// A shared word: `change` is about the user's own coupon of the campaign behind it. Redeem and
    /// hold issue one to a user who has none that they can take.
    pub(super) async fn apply_shared(
        &self,
        campaign: &CampaignId,
        change: &Change,
        may_write: bool,
    ) -> Result<Applied> {
        let Some(ask) = SharedAsk::of(change) else { return Ok(Decision::not_found().applied) };
        // The same request twice at once would only stand in its own way.
        let _lock = self.users.lock((campaign, &ask.user)).await?;
        let mut attempts = self.attempts("a change behind a shared word");
        let mut kept = None;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(Decision::not_found().applied);
            };
            let need = Need { all: true, ..Need::default() };
            let claim = self.claim(&here, &ask.user, change, need, may_write).await;
            let (_, claim) = attempts.looked(claim)?;
            let said = protocol::shared(&ask, change, &claim, self.options.clock_bound_ms);
            let done = match (said, &ask.issue) {
                (Some(decision), _) if !may_write => Some(decision.applied),
                (Some(decision), _) => self.carry_out(decision, change.operation).await?,
                (None, None) => Some(Decision::not_found().applied),
                (None, Some(issue)) => {
                    let then = Some(change);
                    let giving = Giving { campaign: here, user: &ask.user, claim, issue, then };
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

    /// What a hand-out would answer. It leases stock if it must, which gives nobody a right to it,
    /// and leaves it where the next one finds it.
    async fn dry_run_hand_out(&self, giving: &Giving<'_>) -> Result<Applied> {
        let Giving { campaign, claim, issue, then, .. } = giving;
        let offer = match self.next_offer(campaign, issue.at).await? {
            Next::Offer(offer) => offer,
            Next::Nothing(refusal) => return Ok(Decision::refused(refusal).applied),
        };
        let bound = self.options.clock_bound_ms;
        let decision = give(&offer.located, issue, *then, claim, bound);
        self.put_back(&campaign.terms.id, Some(offer));
        Ok(decision.applied)
    }
}
