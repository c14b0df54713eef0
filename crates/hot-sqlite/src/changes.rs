//! One change of one coupon: decides it, and writes what was decided.
//!
//! [`decide`] only reads, and returns what would be written; only [`write`] writes. So a dry run is
//! the same decision without the write.

use coupon::apply::{Change, Outcome};
use coupon::coupon::Coupon;
use coupon::ids::Actor;
use coupon::refusal::Refusal;
use hot::protocol::{self, Admitted, ChangeStep, NewEntry, Writes, newcomers, partition_after};
use router::Address;
use rusqlite::Result as SqlResult;

use crate::claims::{self, ClaimRows, EntrySlot};
use crate::coupons::{SqliteCoupon, SqlitePlace, locate, writing};
use crate::directory::Place;
use crate::failure::damaged;
use crate::last_line::LineState;
use crate::txn::Txn;
use crate::{cancelled, directory, partitions};

/// A decision. The next entry of a claim gets the number after the newest one.
pub(crate) type SqliteDecision = protocol::Decision<SqlitePlace, EntrySlot>;

/// How far two clocks of the processes of a store may differ: one machine has one clock.
pub(crate) const CLOCK_BOUND_MS: i64 = 0;

pub(crate) fn decide(
    txn: &Txn<'_>,
    address: &Address,
    change: &Change,
) -> SqlResult<SqliteDecision> {
    let Some(located) = locate(txn, address)? else { return Ok(SqliteDecision::not_found()) };
    let accepted = match protocol::change(located, change, CLOCK_BOUND_MS) {
        ChangeStep::Decided(decision) => return Ok(*decision),
        ChangeStep::Accepted(accepted) => accepted,
    };
    let is_closing = match accepted.later_day {
        Some(day) => partitions::is_closing(txn, day)?,
        None => false,
    };
    let claim = match accepted.claimant() {
        Some(user) if !is_closing => {
            let rows = ClaimRows::read(txn, &accepted.before.here.campaign, user)?;
            Some(rows.count(txn, user, None, false, change.at)?)
        }
        Some(_) | None => None,
    };
    match accepted.decide(is_closing, claim.as_ref()) {
        Admitted::Decided(decision) => within_budget(txn, *decision),
        // One transaction has read the coupon and the claim, so a second look finds the same.
        Admitted::NoRoom(located, refusal) => Ok(SqliteDecision::refused_at(&located, refusal)),
    }
}

/// Refuses a redemption for which too little is left of the campaign's budget. Each decision that may redeem goes
/// through it.
pub(crate) fn within_budget(txn: &Txn<'_>, decision: SqliteDecision) -> SqlResult<SqliteDecision> {
    let (Some(Writes { before, .. }), Outcome::Accepted(after)) =
        (&decision.writes, &decision.applied.outcome)
    else {
        return Ok(decision);
    };
    let Some(budget) = before.terms().worth.budget else { return Ok(decision) };
    let cost = after.state().discount().saturating_sub(before.coupon.state().discount());
    if cost == 0 || txn.spent(before.here.campaign.number)? + cost <= budget {
        return Ok(decision);
    }
    Ok(SqliteDecision::refused_at(before, Refusal::BudgetSpent))
}

pub(crate) fn write_decision(txn: &Txn<'_>, decision: &SqliteDecision) -> SqlResult<()> {
    match (&decision.writes, &decision.applied.outcome) {
        (Some(Writes { before, entry, actor }), Outcome::Accepted(after)) => {
            write(txn, before, after, entry.as_ref(), actor)
        }
        _ => Ok(()),
    }
}

/// Replaces `before` by `after`, by a change of `actor`: the row, its partition, its directory entry, the
/// claim and the counts. The feed tells of it.
pub(crate) fn write(
    txn: &Txn<'_>,
    before: &SqliteCoupon,
    after: &Coupon,
    entry: Option<&NewEntry<EntrySlot>>,
    actor: &Actor,
) -> SqlResult<()> {
    txn.tell(before.here.batch, &before.coupon, after, actor);
    let (day, campaign) = (partition_after(before.day, after), before.here.campaign.number);
    let SqlitePlace { batch, row, next_row, .. } = before.here;
    let indexed = match entry {
        Some(entry) => claims::enter(txn, campaign, entry, day, after)?,
        None => {
            newcomers(&before.coupon, after).try_for_each(|user| claims::may_have(txn, user))?;
            before.here.indexed || before.coupon.holder() != after.holder()
        }
    };
    txn.counts().change(campaign, before.coupon.state(), after);
    if let Some(row) = row {
        cancelled::enter(txn, row, campaign, after, before.coupon.events().len())?;
    }
    let moves = day != before.day;
    // Its plan first, then the row, then the directory. The decision has checked this in the same transaction.
    if moves && partitions::enter(txn, day, before.terms())?.is_err() {
        return Err(damaged("closing", "the day closed inside a transaction"));
    }
    let number = match row {
        Some(number) => {
            writing::update(txn, before, after, indexed, day)?;
            number
        }
        None => {
            writing::insert(txn, (batch, next_row), after, &LineState::Available, indexed, day)?
        }
    };
    if moves { directory::enter(txn, after.code(), &Place { day, number }, None) } else { Ok(()) }
}
