//! Handing out a campaign's stock: by issue, and behind a shared word.

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::refusal::Refusal;

use super::Store;
use super::claims::{Claim, Need, issue_of};
use super::coupons::{Decision, Located, Written};
use super::resolving::Attempts;
use super::session::{Result, StatementProfile};
use super::stock::{Next, Offer, Still};
use hot::Applied;
use hot::protocol::{
    Irreplaceable, irreplaceable, is_of, keeps_name, replaced, whose, with_issued_until,
};

/// What one look at a claim says is to be done.
enum Step {
    /// An answer, and what to write for it.
    Decided(Box<Decision>),
    /// One more name for the coupon that a user has.
    Named(Box<Located>),
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

/// Who was given a coupon in place of another.
pub(super) struct Replacement {
    pub(super) campaign: String,
    pub(super) user: String,
    pub(super) reference: String,
    pub(super) issue: Option<i32>,
}

/// What else happens to a coupon that is handed out, in the same write.
type Then<'a> =
    &'a (dyn Fn(&Located, Box<Coupon>) -> std::result::Result<Box<Coupon>, Box<Decision>> + Sync);

impl Store {
    /// `POST /v1/campaigns/{id}/issue`: section 4 of the protocols.
    pub(super) async fn issue_of_campaign(
        &self,
        campaign: &CampaignId,
        change: &Change,
    ) -> Result<Applied> {
        let Action::Issue { to, reference, .. } = &change.action else {
            return Ok(Decision::not_found().applied);
        };
        let replaces = replaced(&self.keys.current(), reference.as_ref());
        // The same request twice at once would only stand in its own way.
        let _lock = self.users.lock((campaign, to)).await?;
        let mut attempts = self.attempts("an issue");
        let mut kept = None;
        let mut won = false;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(Decision::not_found().applied);
            };
            if here.terms.handout == Handout::Bearer {
                return Ok(Decision::refused(Refusal::NotIssuable).applied);
            }
            if replaces.is_some() && matches!(change.asker, Asker::User(_)) {
                // It does not count towards the limit: it is for those who set the limit.
                return Ok(Decision::refused(Refusal::NotIssuable).applied);
            }
            let (name, beside) = (reference.as_ref(), replaces.as_ref());
            let need = Need { name, beside, all: false };
            let claim = attempts.looked(self.claim(&here, to, change, need, true).await)?;
            let step = self.issue_step(&claim, change, to, reference.as_ref(), replaces.as_ref());
            let done = match attempts.looked(step.await)? {
                Step::Decided(decision) => self.carry_out(*decision, change.operation).await?,
                Step::Named(located) => {
                    let entry = claim.entry(reference.clone());
                    let ended = self.name_in_claim(&entry, &located).await?;
                    (ended == Written::Done).then(|| located.replayed().applied)
                }
                Step::HandOut => {
                    if let Some(code) = replaces.as_ref().filter(|_| !won) {
                        let taken = self.take_replacement(&claim, change, code, to, &mut kept);
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
                    let then: Then<'_> = &|_, issued| Ok(issued);
                    self.hand_out(claim, change, &mut kept, then, &mut attempts).await?
                }
            };
            if let Some(applied) = done {
                self.put_back(campaign, kept);
                return Ok(applied);
            }
            attempts.again().await?;
        }
    }

    async fn issue_step(
        &self,
        claim: &Claim,
        change: &Change,
        to: &UserId,
        reference: Option<&IssueRef>,
        replaces: Option<&Code>,
    ) -> Result<Step> {
        let decided = |decision| Ok(Step::Decided(Box::new(decision)));
        if let Some(entry) = &claim.said {
            return decided(match entry.stands(to) {
                true => entry.located.replayed(),
                // Taken back since: the place under the limit is free, the name is spent.
                false => Decision::refused(Refusal::NameTaken),
            });
        }
        if let Some(refusal) = claim.refusal {
            return decided(Decision::refused(refusal));
        }
        if let Some(code) = replaces {
            // Under the very same name by the same user it is this request, begun before.
            if let Some(by) = self.replacement(code).await?
                && (by.user != to.as_str()
                    || Some(by.reference.as_str()) != reference.map(IssueRef::as_str))
            {
                return decided(Decision::refused(Refusal::NameTaken));
            }
            let of = self.anywhere(code).await?;
            if let Some(decision) = not_to_be_replaced(of.as_ref(), to, change) {
                return decided(decision);
            }
        }
        if !claim.is_full_beside(replaces) {
            return Ok(Step::HandOut);
        }
        let Some(located) = claim.only_one().filter(|_| replaces.is_none() && claim.has_room())
        else {
            return decided(Decision::refused(Refusal::LimitPerUser));
        };
        match reference.filter(|_| keeps_name(change, claim.names)) {
            // The name is answered for by this coupon from now on, also when the limit is raised.
            Some(_) => Ok(Step::Named(Box::new(located.clone()))),
            None => decided(located.replayed()),
        }
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

    pub(super) async fn replacement(&self, code: &Code) -> Result<Option<Replacement>> {
        let cql = "SELECT campaign_id, user_id, reference, issue FROM replacement \
                   WHERE replaced = ?";
        type Row = (Option<String>, Option<String>, Option<String>, Option<i32>);
        let row: Option<Row> =
            self.cluster.row(StatementProfile::Read, cql, (code.as_str(),)).await?;
        Ok(row.map(|(campaign, user, reference, issue)| Replacement {
            campaign: campaign.unwrap_or_default(),
            user: user.unwrap_or_default(),
            reference: reference.unwrap_or_default(),
            issue,
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
            if let Some(by) = attempts.looked(self.replacement(code).await)? {
                return Ok(by.campaign == campaign.as_str()
                    && by.user == user.as_str()
                    && by.reference == reference);
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
        claim: &Claim,
        change: &Change,
        code: &Code,
        to: &UserId,
        kept: &mut Option<Offer>,
    ) -> Result<Taken> {
        let campaign = &claim.campaign;
        if kept.is_none() {
            match self.next_offer(campaign, change.at).await? {
                Next::Offer(offer) => *kept = Some(offer),
                Next::Nothing(_) if self.is_changed(claim).await? => return Ok(Taken::LookAgain),
                Next::Nothing(refusal) => {
                    return Ok(Taken::No(Box::new(Decision::refused(refusal))));
                }
            }
        }
        let issue = with_issued_until(change, &campaign.terms);
        if let Some(offer) = kept
            && let Outcome::Refused(refusal) =
                offer.located.apply(&issue, self.options.clock_bound_ms)
        {
            return Ok(Taken::No(Box::new(Decision::refused(refusal))));
        }
        let Some(of) = self.anywhere(code).await? else {
            return Ok(Taken::No(Box::new(Decision::not_found())));
        };
        let Action::Issue { reference, .. } = &change.action else {
            return Ok(Taken::No(Box::new(Decision::not_found())));
        };
        let name = reference.as_ref().map_or("", IssueRef::as_str);
        Ok(match self.win_replacement(code, &campaign.terms.id, to, name, &of).await? {
            true => Taken::Yes,
            false => Taken::No(Box::new(Decision::refused(Refusal::NameTaken))),
        })
    }

    /// Takes the next coupon of the stock and gives it; `None` asks to look at the claim again.
    async fn hand_out(
        &self,
        claim: Claim,
        change: &Change,
        kept: &mut Option<Offer>,
        then: Then<'_>,
        attempts: &mut Attempts,
    ) -> Result<Option<Applied>> {
        let campaign = &claim.campaign;
        let offer = match kept.take() {
            Some(offer) => offer,
            None => match attempts.looked(self.next_offer(campaign, change.at).await)? {
                Next::Offer(offer) => offer,
                // The same request, sent twice at once, may have been given the last one meanwhile.
                Next::Nothing(_) if attempts.looked(self.is_changed(&claim).await)? => {
                    return Ok(None);
                }
                Next::Nothing(refusal) => return Ok(Some(Decision::refused(refusal).applied)),
            },
        };
        let id = campaign.terms.id.clone();
        let change = with_issued_until(change, &campaign.terms);
        let located = &offer.located;
        let decision = match located.apply(&change, self.options.clock_bound_ms) {
            Outcome::Accepted(after) => {
                let reference = after.issue_ref().cloned();
                match then(located, after) {
                    Ok(after) => {
                        Located::clone(located).accepted(after, Some(claim.entry(reference)))
                    }
                    Err(decision) => *decision,
                }
            }
            Outcome::Replayed => located.replayed(),
            Outcome::Refused(refusal) => Decision::refused(refusal),
        };
        if decision.writes.is_none() {
            self.put_back(&id, Some(offer));
            return Ok(Some(decision.applied));
        }
        match self.carry_out(decision, change.operation).await {
            Ok(Some(applied)) => {
                self.is_taken(&id, offer).await;
                Ok(Some(applied))
            }
            Ok(None) => {
                // Either the claim was written by another, or the coupon is somebody else's.
                match self.still_on_offer(&id, offer, change.at).await? {
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
                self.put_back(&id, Some(offer));
                Err(error)
            }
        }
    }

    /// A shared word: `change` is about the user's own coupon of the campaign behind it. Redeem and
    /// hold issue him one if he has none that they can take.
    pub(super) async fn apply_shared(
        &self,
        campaign: &CampaignId,
        change: &Change,
        may_write: bool,
    ) -> Result<Applied> {
        let Some((user, order, takes_new)) = whose(change) else {
            return Ok(Decision::not_found().applied);
        };
        let issue = Change {
            action: Action::Issue {
                to: user.clone(),
                reference: Some(IssueRef::of_order(&order)),
                expires_at: None,
            },
            ..change.clone()
        };
        let bound = self.options.clock_bound_ms;
        let then: Then<'_> = &|before, issued| {
            let taken = Located { coupon: *issued, ..before.clone() };
            match taken.apply(change, bound) {
                Outcome::Accepted(after) => Ok(after),
                Outcome::Replayed => Err(Box::new(taken.replayed())),
                // Issued for nothing: the issue is not written either.
                Outcome::Refused(refusal) => Err(Box::new(Decision::refused(refusal))),
            }
        };
        // The same request twice at once would only stand in its own way.
        let _lock = self.users.lock((campaign, &user)).await?;
        let mut attempts = self.attempts("a change behind a shared word");
        let mut kept = None;
        loop {
            let Some(here) = attempts.looked(self.terms(campaign).await)? else {
                return Ok(Decision::not_found().applied);
            };
            let need = Need { all: true, ..Need::default() };
            let claim = self.claim(&here, &user, change, need, may_write).await;
            let claim = attempts.looked(claim)?;
            let decision = self.shared_step(&claim, change, &user, &order, takes_new);
            let done = match decision {
                Some(decision) if !may_write => Some(decision.applied),
                Some(decision) => self.carry_out(decision, change.operation).await?,
                None if !may_write => {
                    return self.dry_run_hand_out(&claim, &issue, then).await;
                }
                None => self.hand_out(claim, &issue, &mut kept, then, &mut attempts).await?,
            };
            if let Some(applied) = done {
                self.put_back(campaign, kept);
                return Ok(applied);
            }
            attempts.again().await?;
        }
    }

    /// What there is to say without handing out another coupon.
    fn shared_step(
        &self,
        claim: &Claim,
        change: &Change,
        user: &UserId,
        order: &coupon::ids::OrderRef,
        takes_new: bool,
    ) -> Option<Decision> {
        let of_order = claim.looked().find(|it| is_of(&it.coupon, user, order, change.at));
        if let Some(located) = of_order {
            return Some(self.applied(located, change));
        }
        if !takes_new {
            let newest = claim.counted().next_back();
            return Some(newest.map_or_else(Decision::not_found, |one| self.applied(one, change)));
        }
        let mut no = None;
        for located in claim.counted() {
            let decision = self.applied(located, change);
            match decision.applied.outcome {
                Outcome::Refused(_) => no = Some(decision),
                Outcome::Accepted(_) | Outcome::Replayed => return Some(decision),
            }
        }
        if let Some(refusal) = claim.refusal {
            return Some(Decision::refused(refusal));
        }
        if claim.is_full() {
            let one = claim.only_one().is_some();
            let limit = Decision::refused(Refusal::LimitPerUser);
            return Some(no.filter(|_| one).unwrap_or(limit));
        }
        None
    }

    fn applied(&self, located: &Located, change: &Change) -> Decision {
        match located.apply(change, self.options.clock_bound_ms) {
            Outcome::Accepted(after) => located.clone().accepted(after, None),
            Outcome::Replayed => located.replayed(),
            Outcome::Refused(refusal) => located.refused(refusal),
        }
    }

    /// What a hand-out would answer. It leases stock if it must, which gives nobody a right to it,
    /// and leaves it where the next one finds it.
    async fn dry_run_hand_out(
        &self,
        claim: &Claim,
        issue: &Change,
        then: Then<'_>,
    ) -> Result<Applied> {
        let campaign = &claim.campaign;
        let offer = match self.next_offer(campaign, issue.at).await? {
            Next::Offer(offer) => offer,
            Next::Nothing(refusal) => return Ok(Decision::refused(refusal).applied),
        };
        let issue = with_issued_until(issue, &campaign.terms);
        let decision = match offer.located.apply(&issue, self.options.clock_bound_ms) {
            Outcome::Accepted(after) => match then(&offer.located, after) {
                Ok(after) => Located::clone(&offer.located).accepted(after, None),
                Err(decision) => *decision,
            },
            Outcome::Replayed => offer.located.replayed(),
            Outcome::Refused(refusal) => Decision::refused(refusal),
        };
        self.put_back(&campaign.terms.id, Some(offer));
        Ok(decision.applied)
    }
}

/// Why the coupon is not replaced, as an answer.
fn not_to_be_replaced(
    replaced: Option<&Located>,
    to: &UserId,
    change: &Change,
) -> Option<Decision> {
    let Some(located) = replaced else { return Some(Decision::not_found()) };
    match irreplaceable(&located.coupon, &located.campaign.terms, to, change.at)? {
        Irreplaceable::NotFound => Some(Decision::not_found()),
        Irreplaceable::Works => Some(located.replayed()),
        Irreplaceable::Refused(refusal) => Some(located.refused(refusal)),
    }
}
