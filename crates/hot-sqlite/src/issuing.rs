//! Issue: which coupon of a campaign a user gets.

pub(crate) mod handing_out;
pub(crate) mod shared;

use coupon::apply::Change;
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::minted::CodeKey;
use hot::protocol::{self, IssueAsk, IssueFacts, IssueRead, IssueStep, Replaced, ReplacedBy};
use router::{Address, openings};
use rusqlite::Result as SqlResult;

use crate::changes::Decision;
use crate::claims::{self, ClaimRows};
use crate::coupons::{Here, Located, in_partition, locate};
use crate::directory;
use crate::stock::Supply;
use crate::txn::Txn;
use handing_out::{Plan, Step, hand_out};

pub(crate) fn issue(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> SqlResult<Step> {
    match plan(txn, supply.keys, campaign, change)? {
        Plan::Answer(step) => Ok(step),
        Plan::HandOut(campaign, claim, replaced) => {
            hand_out(txn, supply, &campaign, &claim, change, None, replaced)
        }
    }
}

/// What the claim of a user decides. An answer that needs no write, a replay or a refusal, was true
/// when the read transaction began, which is after the request came.
pub(crate) fn plan(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    campaign: &CampaignId,
    change: &Change,
) -> SqlResult<Plan> {
    let Some(campaign) = txn.campaign(campaign)? else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let ask = match IssueAsk::of(&campaign.terms, change, keys) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(Plan::decided(Decision::refused(refusal))),
    };
    let rows = ClaimRows::read(txn, &campaign, &ask.to)?;
    let mut facts = IssueFacts::<Here, i64>::default();
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
                facts.claim = Some(rows.count(txn, &ask.to, ask.replaces.as_ref(), change.at)?);
            }
            IssueStep::Decided(decision) => return Ok(Plan::decided(*decision)),
            IssueStep::Name(located, entry) => {
                return Ok(Plan::Answer(Step::Named(located, entry)));
            }
            IssueStep::HandOut => {
                let IssueFacts { claim: Some(claim), replaced, .. } = facts else { continue };
                let replaced = replaced.and_then(|it| it.coupon).map(|it| Box::new(it.coupon));
                return Ok(Plan::HandOut(campaign, claim, replaced));
            }
        }
    }
}

fn to_be_replaced(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    code: Option<&Code>,
) -> SqlResult<Replaced<Here>> {
    let Some(code) = code else { return Ok(Replaced { by: ReplacedBy::Nobody, coupon: None }) };
    // If this request has replaced it before, the claim has an entry under its name.
    let by = match claims::replacement(txn, code)? {
        Some(_) => ReplacedBy::Another,
        None => ReplacedBy::Nobody,
    };
    Ok(Replaced { by, coupon: anywhere(txn, keys, code)? })
}

/// The coupon of a code, of any campaign, in any partition and either tier.
fn anywhere(txn: &Txn<'_>, keys: &[CodeKey], code: &Code) -> SqlResult<Option<Located>> {
    for (key, minted) in openings(keys, code) {
        if let Some((owner, _)) = directory::run_of(txn, key, minted.day, minted.serial)? {
            let (code, bucket_key) = (code.clone(), minted.day.into());
            return locate(txn, &Address { code, bucket_key, owner, minted: true, hint: None });
        }
    }
    match directory::partition_of(txn, code)? {
        Some(day) => in_partition(txn, day, code),
        None => Ok(None),
    }
}
