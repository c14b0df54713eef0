//! After a restore: what cold has newer than this store takes the place of what stands here.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::minted::CodeKey;
use coupon::time::Day;
use rusqlite::params;

use super::accounts;
use super::claims;
use super::coupons::{row_of, signed};
use super::partitions;
use super::txn::{CampaignHere, Txn};
use hot::protocol::{ANY_ISSUE, claimant, home, imported_state_of, replaced};
use hot::{Reconciled, imported_state_text};

/// Coupons reconciled in one transaction.
pub(super) const RECONCILE_MAX: usize = 200;

/// Serials that are passed over on every day: far more than are minted between two backups, and a
/// day has room for sixty such gaps.
const SERIAL_GAP: i64 = 1 << 34;

/// The setting from which the serials of a new day begin.
pub(super) const SERIAL_FLOOR: &str = "serial_floor";

pub(super) fn coupons(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    day: Day,
    coupons: &[Coupon],
) -> rusqlite::Result<Reconciled> {
    let mut reconciled = Reconciled::default();
    for coupon in coupons {
        let code = coupon.code();
        if partitions::archived_marker(txn, day, code)?.is_some()
            || is_gone_already(txn, day, code)?
            || is_newer_here(txn, day, coupon)?
        {
            reconciled.known += 1;
            continue;
        }
        let genesis = coupon.genesis();
        let campaign = txn.campaign(&genesis.campaign)?;
        let batch = match &campaign {
            Some(campaign) => txn.batch_number(campaign.number, &genesis.batch)?,
            None => None,
        };
        match campaign.zip(batch) {
            Some((campaign, batch)) => {
                one(txn, keys, day, coupon, &campaign, batch)?;
                reconciled.reconciled += 1;
            }
            None => {
                stranger(txn, keys, code)?;
                reconciled.strangers += 1;
            }
        }
    }
    Ok(reconciled)
}

/// In a sealed partition without a row: it was moved before the backup was made.
fn is_gone_already(txn: &Txn<'_>, day: Day, code: &Code) -> rusqlite::Result<bool> {
    Ok(txn.is_sealed(day)? && row_of(txn, day, code)?.is_none())
}

/// What stands here was changed after the copy in cold was made, by a clock that was set back.
fn is_newer_here(txn: &Txn<'_>, day: Day, coupon: &Coupon) -> rusqlite::Result<bool> {
    let here = row_of(txn, day, coupon.code())?;
    Ok(here.is_some_and(|located| located.coupon.version() > coupon.version()))
}

fn one(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    day: Day,
    coupon: &Coupon,
    campaign: &CampaignHere,
    batch: i64,
) -> rusqlite::Result<()> {
    let (code, home) = (coupon.code(), home(keys, coupon.code()));
    // A day that is closing has a plan, which is all that is needed here.
    let _ = partitions::enter(txn, day, &campaign.terms)?;
    let moved = partitions::of_moved(txn, code)?;
    let mut before = None;
    for expiry_day in [Some(day), moved, home].into_iter().flatten() {
        if let Some(located) = row_of(txn, expiry_day, code)? {
            txn.statement("DELETE FROM coupon WHERE expiry_day = ?1 AND code = ?2")?
                .execute(params![expiry_day.0, code.as_str()])?;
            before = Some(located.coupon);
        }
    }
    if before.is_none() && home.is_none() && moved.is_none() {
        txn.count_arrivals(campaign.number, batch, 1);
    }
    let was = before.as_ref().map_or(&State::Available, Coupon::state);
    txn.count_change(campaign.number, was, coupon.state());
    txn.count_moved(campaign.number, coupon.state().as_str());
    if !txn.is_sealed(day)? {
        txn.statement(
            "INSERT INTO archived_marker (expiry_day, code, version) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![day.0, code.as_str(), signed(coupon.version())])?;
    }
    if home != Some(day) {
        enter_in_directory(txn, coupon, campaign.number, batch, day, home.is_none())?;
    }
    claim(txn, keys, coupon, campaign.number, &campaign.terms, day)
}

fn enter_in_directory(
    txn: &Txn<'_>,
    coupon: &Coupon,
    campaign: i64,
    batch: i64,
    day: Day,
    foreign: bool,
) -> rusqlite::Result<()> {
    let genesis = coupon.genesis();
    let imported_state = foreign.then(|| imported_state_text::to_json(&imported_state_of(coupon)));
    txn.statement(
        "INSERT INTO directory \
         (code, kind, campaign, batch, expiry_day, valid_from, expires_at, imported_state) \
         VALUES (?1, 'coupon', ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (code) DO UPDATE SET expiry_day = excluded.expiry_day",
    )?
    .execute(params![
        coupon.code().as_str(),
        campaign,
        batch,
        day.0,
        foreign.then_some(genesis.valid_from.0),
        foreign.then_some(genesis.expires_at.0),
        imported_state,
    ])?;
    Ok(())
}

/// Its holder has it, and what he asked for it by is spent.
fn claim(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    coupon: &Coupon,
    campaign: i64,
    terms: &Campaign,
    day: Day,
) -> rusqlite::Result<()> {
    if let Some(gone) = replaced(keys, coupon.issue_ref()) {
        txn.statement(
            "INSERT INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            gone.as_str(),
            coupon.holder().map(UserId::as_str),
            ANY_ISSUE
        ])?;
    }
    let Some(holder) = claimant(terms, coupon) else { return Ok(()) };
    let has = txn
        .statement("SELECT 1 FROM claim WHERE campaign = ?1 AND user_id = ?2 AND code = ?3")?
        .exists(params![campaign, holder.as_str(), coupon.code().as_str()])?;
    if has {
        return Ok(());
    }
    let entry = claims::entry_behind_all(txn, campaign, holder, coupon.issue_ref().cloned())?;
    claims::enter(txn, campaign, &entry, day, coupon)
}

/// A code of a campaign that this store does not know. Nobody can find it, and if it is foreign
/// nobody can import it as new either.
fn stranger(txn: &Txn<'_>, keys: &[CodeKey], code: &Code) -> rusqlite::Result<()> {
    if home(keys, code).is_none() {
        txn.statement(
            "INSERT INTO directory (code, kind, campaign) VALUES (?1, 'gone', 0) \
             ON CONFLICT (code) DO NOTHING",
        )?
        .execute([code.as_str()])?;
    }
    Ok(())
}

/// Codes minted after the backup was made, which this store knows nothing of, are never minted
/// again for somebody else.
pub(super) fn pass_over_serials(txn: &Txn<'_>) -> rusqlite::Result<()> {
    let floor = accounts::setting(txn, SERIAL_FLOOR)?;
    let floor = floor.map_or(Ok(0), |text| text.parse::<i64>());
    let floor = floor.map_err(|why| super::failure::damaged(SERIAL_FLOOR, why))?;
    accounts::set(txn, SERIAL_FLOOR, &(floor + SERIAL_GAP).to_string())?;
    txn.statement("UPDATE partition_plan SET next_serial = next_serial + ?1")?
        .execute([SERIAL_GAP])?;
    Ok(())
}
