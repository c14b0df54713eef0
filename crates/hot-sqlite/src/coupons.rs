//! One coupon in a transaction: finding its row, deciding, writing it back.
//!
//! Deciding reads and returns what would be written; only [`write`] writes. So a dry run is the
//! same decision, thrown away.

use std::sync::Arc;

use coupon::apply::{Change, Outcome};
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis, State};
use coupon::history_validity::invalid_history;
use coupon::ids::UserId;
use coupon::time::{Day, Millis};
use hot::Tier;
use hot::protocol::{
    self, Admitted, ChangeStep, FromCold, NewEntry, Promise, Writes, from_cold, is_history_full,
    partition_after,
};
use router::{Address, Owner};
use rusqlite::{Row, params};

use super::claims::{self, ClaimRows};
use super::examine;
use super::failure::{Elsewhere, damaged};
use super::history;
use super::partitions;
use super::rows;
use super::txn::{CampaignHere, Txn};

/// Where a coupon is found again in this file.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) campaign: CampaignHere,
    pub(super) batch: i64,
    /// The number of its row, where it has one.
    pub(super) row: Option<i64>,
}

impl protocol::Here for Here {
    fn terms(&self) -> &Arc<Campaign> {
        &self.campaign.terms
    }
}

pub(super) type Located = protocol::Located<Here>;
/// The next entry of a claim goes behind the newest one.
pub(super) type Decision = protocol::Decision<Here, i64>;

/// One machine has one clock.
pub(super) const CLOCK_BOUND_MS: i64 = 0;

/// The coupon at `address`, wherever it is by now.
pub(super) fn locate(txn: &Txn<'_>, address: &Address) -> rusqlite::Result<Option<Located>> {
    match stored(txn, address.bucket_key.expiry_day, &address.code)? {
        None if address.minted => {
            untouched(txn, &address.code, &address.owner, address.bucket_key.expiry_day)
        }
        found => Ok(found),
    }
}

/// The coupon that is known in the partition `day`, or in the later one that an extension moved it
/// to.
pub(super) fn stored(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Option<Located>> {
    if let Some(located) = row_of(txn, day, code)? {
        return Ok(Some(located));
    }
    match partitions::of_moved(txn, code)? {
        Some(entered) if entered == day => archived(txn, day, code, Promise::Entry),
        Some(entered) => in_partition(txn, entered, code),
        None => archived(txn, day, code, Promise::None),
    }
}

/// The coupon that the directory says is in the partition `day`, wherever its row is.
pub(super) fn in_partition(
    txn: &Txn<'_>,
    day: Day,
    code: &Code,
) -> rusqlite::Result<Option<Located>> {
    match row_of(txn, day, code)? {
        Some(located) => Ok(Some(located)),
        None => archived(txn, day, code, Promise::Entry),
    }
}

/// The coupon in cold, behind an archived marker or a seal: looked up after its row was found to be
/// missing.
fn archived(
    txn: &Txn<'_>,
    day: Day,
    code: &Code,
    promise: Promise,
) -> rusqlite::Result<Option<Located>> {
    let archived_marker = partitions::archived_marker(txn, day, code)?;
    if archived_marker.is_none() && !txn.is_sealed(day)? {
        return Ok(None);
    }
    let found = txn.in_cold((day, code.clone()))?;
    let coupon = match from_cold(found, archived_marker, promise) {
        FromCold::Coupon(coupon) => coupon,
        FromCold::Nothing => return Ok(None),
        FromCold::Missing => return Err(Elsewhere::Missing(code.to_string()).into()),
    };
    let genesis = coupon.genesis();
    let gone = || super::failure::damaged("campaign", format!("{} is gone", genesis.campaign));
    let campaign = txn.campaign(&genesis.campaign)?.ok_or_else(gone)?;
    let batch = txn.batch_number(campaign.number, &genesis.batch)?.ok_or_else(gone)?;
    let batch_paused = txn.batch_at(batch)?.paused;
    let (coupon, tier) = (coupon.clone(), Tier::Cold);
    let here = Here { campaign, batch, row: None };
    Ok(Some(Located { coupon, batch_paused, day, tier, frozen: true, here }))
}

/// The coupon with a row in the partition `day`.
pub(super) fn row_of(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<Option<Located>> {
    let sql = concat!(
        "SELECT ",
        rows::coupon_columns!(),
        " FROM coupon WHERE expiry_day = ?1 AND code = ?2"
    );
    let mut statement = txn.statement(sql)?;
    let mut found = statement.query(params![day.0, code.as_str()])?;
    found.next()?.map(|row| checked(txn, row)).transpose()
}

/// The coupon of a row, if the row can be true: its columns say what its events say, and each event
/// may follow those before it. Nobody is answered from another.
pub(super) fn checked(txn: &Txn<'_>, row: &Row<'_>) -> rusqlite::Result<Located> {
    let located = located(txn, rows::coupon_row(row)?)?;
    let coupon = &located.coupon;
    let differs = match rows::agrees(coupon, row)? {
        true => None,
        false => examine::disagreement(coupon, row)?,
    };
    match differs.or_else(|| invalid_history(coupon)) {
        None => Ok(located),
        Some(why) => Err(damaged(coupon.code().as_str(), why)),
    }
}

/// The coupon of a row as it stands there, also where that cannot be true.
pub(super) fn located(txn: &Txn<'_>, row: rows::CouponRow) -> rusqlite::Result<Located> {
    let campaign = txn.campaign_at(row.campaign)?;
    let batch_number = row.batch;
    let batch = txn.batch_at(batch_number)?;
    let (day, number) = (row.day, Some(row.number));
    let coupon = row.into_coupon(&campaign, &batch);
    let (batch_paused, frozen) = (batch.paused, txn.is_sealed(day)?);
    let here = Here { campaign, batch: batch_number, row: number };
    Ok(Located { coupon, batch_paused, day, tier: Tier::Hot, frozen, here })
}

/// A minted coupon that has no row.
fn untouched(
    txn: &Txn<'_>,
    code: &Code,
    owner: &Owner,
    day: Day,
) -> rusqlite::Result<Option<Located>> {
    let Some(campaign) = txn.campaign(&owner.campaign)? else { return Ok(None) };
    let Some(batch) = txn.batch_number(campaign.number, &owner.batch)? else { return Ok(None) };
    untouched_of(txn, code.clone(), campaign, batch, day).map(Some)
}

pub(super) fn untouched_of(
    txn: &Txn<'_>,
    code: Code,
    campaign: CampaignHere,
    number: i64,
    day: Day,
) -> rusqlite::Result<Located> {
    let batch = txn.batch_at(number)?;
    let coupon = Coupon::untouched(Genesis {
        code,
        campaign: campaign.terms.id.clone(),
        batch: batch.id,
        valid_from: campaign.terms.valid_from,
        expires_at: campaign.terms.expires_at,
        zone: campaign.terms.zone.clone(),
        created_at: batch.created_at,
    });
    let (batch_paused, frozen) = (batch.paused, txn.is_sealed(day)?);
    let here = Here { campaign, batch: number, row: None };
    Ok(Located { coupon, batch_paused, day, tier: Tier::Hot, frozen, here })
}

/// What `change` does to the coupon at `address`.
pub(super) fn decide(
    txn: &Txn<'_>,
    address: &Address,
    change: &Change,
) -> rusqlite::Result<Decision> {
    let Some(located) = locate(txn, address)? else { return Ok(Decision::not_found()) };
    let accepted = match protocol::change(located, change, CLOCK_BOUND_MS) {
        ChangeStep::Decided(decision) => return Ok(*decision),
        ChangeStep::Accepted(accepted) => accepted,
    };
    let is_closing = match accepted.later_day() {
        Some(day) => partitions::is_closing(txn, day)?,
        None => false,
    };
    let claim = match accepted.claimant() {
        Some(user) if !is_closing => {
            let rows = ClaimRows::read(txn, &accepted.before().here.campaign, user)?;
            Some(rows.count(txn, user, None, change.at)?)
        }
        Some(_) | None => None,
    };
    Ok(match accepted.decide(is_closing, claim.as_ref()) {
        Admitted::Decided(decision) => *decision,
        // One transaction has read both.
        Admitted::NoRoom(located, refusal) => Decision::refused_at(&located, refusal),
    })
}

/// Writes what was decided, if there is anything to write.
pub(super) fn write_decision(txn: &Txn<'_>, decision: &Decision) -> rusqlite::Result<()> {
    match (&decision.writes, &decision.applied.outcome) {
        (Some(Writes { before, entry }), Outcome::Accepted(after)) => {
            write(txn, before, after, entry.as_ref())
        }
        _ => Ok(()),
    }
}

/// Writes `after` in place of `before`: the row, its partition, its directory entry, the claim and
/// the counts.
pub(super) fn write(
    txn: &Txn<'_>,
    before: &Located,
    after: &Coupon,
    entry: Option<&NewEntry<i64>>,
) -> rusqlite::Result<()> {
    let day = partition_after(before.day, after);
    if let Some(entry) = entry {
        claims::enter(txn, before.here.campaign.number, entry, day, after)?;
    }
    txn.count_change(before.here.campaign.number, before.coupon.state(), after.state());
    if day != before.day {
        move_to(txn, before, after, day)
    } else if before.coupon.version() == 0 {
        insert(txn, before, after, day)
    } else {
        update(txn, before, after)
    }
}

/// To a later partition: its plan first, then the row, then the directory.
fn move_to(txn: &Txn<'_>, before: &Located, after: &Coupon, day: Day) -> rusqlite::Result<()> {
    if partitions::enter(txn, day, before.terms())?.is_err() {
        // The decision has looked at this, in the same transaction.
        return Err(super::failure::damaged("closing", "the day closed inside a transaction"));
    }
    txn.statement("DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
        .execute(params![before.day.0, after.code().as_str()])?;
    insert(txn, before, after, day)?;
    partitions::point_to(txn, after.code(), before, day)
}

/// Makes the row of a coupon that has none in this partition.
pub(super) fn insert(
    txn: &Txn<'_>,
    located: &Located,
    coupon: &Coupon,
    day: Day,
) -> rusqlite::Result<()> {
    let genesis = coupon.genesis();
    txn.statement(
        "INSERT INTO coupon (expiry_day, code, campaign, batch, version, state, holder, \
         valid_from, expires_at, made_expires_at, issued_at, redeemed_at, order_ref, hold, \
         events, history_full, created_at, modified_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18)",
    )?
    .execute(params![
        day.0,
        coupon.code().as_str(),
        located.here.campaign.number,
        located.here.batch,
        signed(coupon.version()),
        coupon.state().as_str(),
        coupon.holder().map(UserId::as_str),
        genesis.valid_from.0,
        coupon.expires_at().0,
        genesis.expires_at.0,
        coupon.issued_at().map(|at| at.0),
        redeemed_at(coupon).map(|at| at.0),
        order_ref(coupon),
        coupon.hold().map(rows::hold_to_json),
        history::to_text(coupon),
        is_history_full(coupon),
        genesis.created_at.0,
        coupon.modified_at().0,
    ])?;
    Ok(())
}

/// Writes a row back, if it is still the one that was read: `version` says so.
fn update(txn: &Txn<'_>, before: &Located, after: &Coupon) -> rusqlite::Result<()> {
    let same_indexes = before.coupon.holder() == after.holder()
        && before.coupon.expires_at() == after.expires_at();
    // SQLite rewrites the entry of every index whose columns are named, changed or not; a redeem
    // changes neither holder nor expiry.
    let sql = match same_indexes {
        true => {
            "UPDATE coupon SET version = ?1, state = ?2, issued_at = ?3, redeemed_at = ?4, \
             order_ref = ?5, hold = ?6, events = ?7, history_full = ?8, modified_at = ?9 \
             WHERE number = ?10 AND version = ?11"
        }
        false => {
            "UPDATE coupon SET version = ?1, state = ?2, issued_at = ?3, redeemed_at = ?4, \
             order_ref = ?5, hold = ?6, events = ?7, history_full = ?8, modified_at = ?9, \
             holder = ?12, expires_at = ?13 \
             WHERE number = ?10 AND version = ?11"
        }
    };
    let mut statement = txn.statement(sql)?;
    let common = params![
        signed(after.version()),
        after.state().as_str(),
        after.issued_at().map(|at| at.0),
        redeemed_at(after).map(|at| at.0),
        order_ref(after),
        after.hold().map(rows::hold_to_json),
        history::to_text(after),
        is_history_full(after),
        after.modified_at().0,
        before.here.row,
        signed(before.coupon.version()),
    ];
    let holder = after.holder().map(UserId::as_str);
    let more = params![holder, after.expires_at().0];
    let changed = match same_indexes {
        true => statement.execute(common)?,
        false => statement.execute(&*[common, more].concat())?,
    };
    match changed {
        1 => Ok(()),
        // Read and written in one transaction: nobody can have come in between.
        _ => Err(super::failure::damaged("version", "the row changed inside a transaction")),
    }
}

fn redeemed_at(coupon: &Coupon) -> Option<Millis> {
    match coupon.state() {
        State::Redeemed { redemption, .. } => Some(redemption.at),
        State::Available | State::Issued { .. } | State::Void { .. } => None,
    }
}

fn order_ref(coupon: &Coupon) -> Option<&str> {
    coupon.redemption().map(|redemption| redemption.order.as_str())
}

/// Versions and counts stay far below 2^63.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
