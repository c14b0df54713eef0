//! Requests for the stock of a campaign: which coupon a user gets.

pub(crate) mod forecast;
pub(crate) mod handing_out;

use coupon::apply::Change;
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::minted::CodeKey;
use hot::protocol::{
    self, IssueAsk, IssueFacts, IssueRead, IssueStep, Replaced, ReplacedBy, SharedAsk,
};
use router::{Address, openings};
use rusqlite::Result as SqlResult;

use crate::changes::{CLOCK_BOUND_MS, SqliteDecision, within_budget};
use crate::claims::{self, ClaimRows, EntrySlot};
use crate::coupons::{SqliteCoupon, SqlitePlace, in_partition, locate};
use crate::directory;
use crate::rows::CampaignHere;
use crate::stock::StockSupply;
use crate::txn::Txn;
use handing_out::{HandOutStep, IssuePlan, hand_out};

pub(crate) struct StockRequest {
    pub(crate) campaign: CampaignId,
    pub(crate) change: Change,
    /// The change came under the shared code of the campaign, and is about the user's own coupon of it.
    /// Redeem and hold issue one to a user who has none that they can take. Otherwise it is an issue.
    pub(crate) is_shared: bool,
}

impl StockRequest {
    /// What the claim of the user decides.
    fn plan(&self, txn: &Txn<'_>, keys: &[CodeKey]) -> SqlResult<IssuePlan> {
        let Some(campaign) = txn.campaign(&self.campaign)? else {
            return Ok(IssuePlan::decided(SqliteDecision::not_found()));
        };
        match self.is_shared {
            true => plan_shared(txn, campaign, &self.change),
            false => plan_issue(txn, keys, campaign, &self.change),
        }
    }

    /// The next step. An answer that needs no write, a replay or a refusal, was true when the read
    /// transaction began, which is after the request came.
    pub(crate) fn step(&self, txn: &Txn<'_>, supply: &StockSupply<'_>) -> SqlResult<HandOutStep> {
        match self.plan(txn, supply.keys)? {
            IssuePlan::Answer(step) => Ok(step),
            IssuePlan::HandOut { campaign, claim, replaced, issue: None } => {
                hand_out(txn, supply, &campaign, &claim, &self.change, None, replaced)
            }
            IssuePlan::HandOut { campaign, claim, replaced, issue: Some(issue) } => {
                hand_out(txn, supply, &campaign, &claim, &issue, Some(&self.change), replaced)
            }
        }
    }
}

fn plan_shared(txn: &Txn<'_>, campaign: CampaignHere, change: &Change) -> SqlResult<IssuePlan> {
    let Some(ask) = SharedAsk::of(change) else {
        return Ok(IssuePlan::decided(SqliteDecision::not_found()));
    };
    let rows = ClaimRows::read(txn, &campaign, &ask.user)?;
    let claim = rows.count(txn, &ask.user, None, true, change.at)?;
    Ok(match (protocol::shared(&ask, change, &claim, CLOCK_BOUND_MS), ask.issue) {
        (Some(decision), _) => IssuePlan::decided(within_budget(txn, decision)?),
        (None, None) => IssuePlan::decided(SqliteDecision::not_found()),
        (None, issue) => {
            IssuePlan::HandOut { campaign, claim, replaced: None, issue: issue.map(Box::new) }
        }
    })
}

fn plan_issue(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    campaign: CampaignHere,
    change: &Change,
) -> SqlResult<IssuePlan> {
    let ask = match IssueAsk::of(&campaign.terms, change, keys) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(IssuePlan::decided(SqliteDecision::refused(refusal))),
    };
    let rows = ClaimRows::read(txn, &campaign, &ask.to)?;
    let mut facts = IssueFacts::<SqlitePlace, EntrySlot>::default();
    loop {
        match protocol::issue(&ask, change, &facts) {
            IssueStep::Read(IssueRead::Named) => {
                facts.named = Some(match &ask.reference {
                    Some(reference) => rows.named(txn, &ask.to, reference)?,
                    None => None,
                });
            }
            IssueStep::Read(IssueRead::Replaced) => {
                facts.replaced = Some(to_be_replaced(txn, keys, ask.replaces.as_ref())?);
            }
            IssueStep::Read(IssueRead::Claim) => {
                facts.claim =
                    Some(rows.count(txn, &ask.to, ask.replaces.as_ref(), false, change.at)?);
            }
            IssueStep::Decided(decision) => return Ok(IssuePlan::decided(*decision)),
            IssueStep::Name(located, entry) => {
                return Ok(IssuePlan::Answer(HandOutStep::Named(located, entry)));
            }
            IssueStep::HandOut => {
                let IssueFacts { claim: Some(claim), replaced, .. } = facts else { continue };
                let replaced = replaced.and_then(|it| it.coupon).map(|it| Box::new(it.coupon));
                return Ok(IssuePlan::HandOut { campaign, claim, replaced, issue: None });
            }
        }
    }
}

fn to_be_replaced(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    code: Option<&Code>,
) -> SqlResult<Replaced<SqlitePlace>> {
    let Some(code) = code else { return Ok(Replaced { by: ReplacedBy::Nobody, coupon: None }) };
    // If this request has replaced it before, the claim has an entry under its name.
    let by = match claims::replacement(txn, code)? {
        Some(_) => ReplacedBy::Another,
        None => ReplacedBy::Nobody,
    };
    Ok(Replaced { by, coupon: anywhere(txn, keys, code)? })
}

/// The coupon of a code, of any campaign, in any partition and either tier.
fn anywhere(txn: &Txn<'_>, keys: &[CodeKey], code: &Code) -> SqlResult<Option<SqliteCoupon>> {
    for (key, minted) in openings(keys, code) {
        if let Some(found) = txn.run_with(key, minted.day, minted.serial)? {
            let (code, bucket_key) = (code.clone(), minted.day.into());
            let (hint, owner) = (found.hint_of(minted.serial), found.owner);
            return locate(txn, &Address { code, bucket_key, owner, minted: true, hint });
        }
    }
    directory::partition_of(txn, code)?.map_or(Ok(None), |day| in_partition(txn, day, code))
}
