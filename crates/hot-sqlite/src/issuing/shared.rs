//! Shared codes: a change under one is about the user's own coupon of its campaign. Redeem and hold
//! issue a coupon to a user who has none that they can take.

use coupon::apply::Change;
use coupon::ids::CampaignId;
use hot::Applied;
use hot::protocol::{self, SharedAsk};

use super::handing_out::{Plan, Step, hand_out};
use rusqlite::Result as SqlResult;

use crate::changes::{CLOCK_BOUND_MS, Decision};
use crate::claims::ClaimRows;
use crate::stock::Supply;
use crate::txn::Txn;

pub(crate) fn step(
    txn: &Txn<'_>,
    supply: &Supply<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> SqlResult<Step> {
    let Some(ask) = SharedAsk::of(change) else { return Ok(Step::decided(Decision::not_found())) };
    match (plan(txn, campaign, &ask, change)?, &ask.issue) {
        (Plan::HandOut(campaign, claim, _), Some(issue)) => {
            hand_out(txn, supply, &campaign, &claim, issue, Some(change), None)
        }
        (Plan::HandOut(..), None) => Ok(Step::decided(Decision::not_found())),
        (Plan::Answer(step), _) => Ok(step),
    }
}

/// The answer to a change under a shared code that needs no write, as for an issue.
pub(crate) fn without_writing(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    change: &Change,
) -> SqlResult<Option<Applied>> {
    match SharedAsk::of(change) {
        Some(ask) => Ok(plan(txn, campaign, &ask, change)?.without_writing()),
        None => Ok(Some(Decision::not_found().applied)),
    }
}

fn plan(txn: &Txn<'_>, campaign: &CampaignId, ask: &SharedAsk, change: &Change) -> SqlResult<Plan> {
    let Some(campaign) = txn.campaign(campaign)? else {
        return Ok(Plan::decided(Decision::not_found()));
    };
    let claim = ClaimRows::read(txn, &campaign, &ask.user)?.count_all(txn, &ask.user, change.at)?;
    Ok(match protocol::shared(ask, change, &claim, CLOCK_BOUND_MS) {
        Some(decision) => Plan::decided(decision),
        None => Plan::HandOut(campaign, claim, None),
    })
}
