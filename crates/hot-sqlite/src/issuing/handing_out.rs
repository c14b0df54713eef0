//! Giving the next coupon of the stock: one step is one transaction, and is written whole.

use coupon::apply::{Change, Outcome};
use coupon::coupon::Coupon;
use coupon::refusal::Refusal;
use hot::Applied;
use hot::protocol::{NewEntry, give, issue_of};
use rusqlite::{Result as SqlResult, params};

use crate::changes::{CLOCK_BOUND_MS, SqliteDecision, within_budget, write_decision};
use crate::claims::{self, Claim, EntrySlot};
use crate::coupons::SqliteCoupon;
use crate::rows::CampaignHere;
use crate::stock::{Next, Offer, StockCursor, StockSupply};
use crate::txn::Txn;

pub(crate) enum HandOutStep {
    /// An answer, and what to write for it.
    Decided(Box<SqliteDecision>, HandedOut),
    /// One more name for the coupon that a user has.
    Named(Box<SqliteCoupon>, NewEntry<EntrySlot>),
    /// Many serials were gone: the cursor is noted, and the next transaction goes on there.
    Again(StockCursor),
}

/// What is written together with the coupon that is handed out.
#[derive(Default)]
pub(crate) struct HandedOut {
    /// How far the serials of its batch are gone, if it is one of them.
    cursor: Option<StockCursor>,
    replaced: Option<Box<Coupon>>,
}

impl HandOutStep {
    /// An answer without a coupon of the stock.
    pub(super) fn decided(decision: SqliteDecision) -> HandOutStep {
        HandOutStep::Decided(Box::new(decision), HandedOut::default())
    }

    /// The answer, if it needs no write.
    pub(crate) fn without_writing(self) -> Option<Applied> {
        match self {
            HandOutStep::Decided(decision, _) if decision.writes.is_none() => {
                Some(decision.applied)
            }
            HandOutStep::Decided(..) | HandOutStep::Named(..) | HandOutStep::Again(_) => None,
        }
    }

    /// The answer of a dry run, or how far the serials are gone, to ask again.
    pub(crate) fn into_answer(self) -> Result<Applied, StockCursor> {
        match self {
            HandOutStep::Decided(decision, _) => Ok(decision.applied),
            HandOutStep::Named(located, _) => Ok(SqliteDecision::replayed(&located).applied),
            HandOutStep::Again(cursor) => Err(cursor),
        }
    }
}

/// What the claim of a user decides about a request.
pub(crate) enum IssuePlan {
    /// The answer, or one more name for a coupon that the user has.
    Answer(HandOutStep),
    /// The user gets the next coupon of the stock.
    HandOut {
        campaign: CampaignHere,
        claim: Claim,
        replaced: Option<Box<Coupon>>,
        /// By which it is issued, if the request is another change of it.
        issue: Option<Box<Change>>,
    },
}

impl IssuePlan {
    pub(super) fn decided(decision: SqliteDecision) -> IssuePlan {
        IssuePlan::Answer(HandOutStep::decided(decision))
    }
}

/// Writes what one step has decided. `None` asks for another step.
pub(crate) fn write(txn: &Txn<'_>, step: HandOutStep) -> SqlResult<Option<Applied>> {
    match step {
        HandOutStep::Decided(decision, HandedOut { cursor, replaced }) => {
            if let Some(cursor) = cursor {
                cursor.note(txn);
            }
            write_decision(txn, &decision)?;
            if let (Some(replaced), Outcome::Accepted(after)) =
                (replaced, &decision.applied.outcome)
                && let Some(user) = after.holder()
            {
                txn.run(
                    "INSERT INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3)",
                    params![replaced.code().as_str(), user.as_str(), issue_of(&replaced)],
                )?;
            }
            Ok(Some(decision.applied))
        }
        HandOutStep::Named(located, entry) => {
            let number = located.here.campaign.number;
            claims::enter(txn, number, &entry, located.day, &located.coupon)?;
            Ok(Some(SqliteDecision::replayed(&located).applied))
        }
        HandOutStep::Again(cursor) => {
            cursor.note(txn);
            Ok(None)
        }
    }
}

/// `then` is a second change in the same write.
pub(super) fn hand_out(
    txn: &Txn<'_>,
    supply: &StockSupply<'_>,
    campaign: &CampaignHere,
    claim: &Claim,
    issue: &Change,
    then: Option<&Change>,
    replaced: Option<Box<Coupon>>,
) -> SqlResult<HandOutStep> {
    let mut offer = Offer { supply, campaign, at: issue.at, looked_at: 0 };
    let (located, cursor) = match offer.next(txn)? {
        Next::Coupon(located, cursor) => (located, cursor),
        Next::Again(cursor) => return Ok(HandOutStep::Again(cursor)),
        Next::Nothing(refusal) => {
            return Ok(HandOutStep::decided(SqliteDecision::refused(refusal)));
        }
    };
    let given = give(&located, issue, then, claim, CLOCK_BOUND_MS);
    if given.writes.is_none() {
        return Ok(HandOutStep::decided(given));
    }
    let decision = within_budget(txn, given)?;
    if decision.writes.is_none() {
        // The coupon of the stock is nobody's, so it is not shown.
        return Ok(HandOutStep::decided(SqliteDecision::refused(Refusal::BudgetSpent)));
    }
    let handed_out = HandedOut { cursor, replaced };
    Ok(HandOutStep::Decided(Box::new(decision), handed_out))
}
