//! Reconcile from cold, after a restore: a coupon that cold has in a newer version replaces the one
//! here.

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::minted::CodeKey;
use coupon::time::Day;
use hot::protocol::{
    ANY_ISSUE, SERIAL_GAP, StoredFacts, claimant, imported_state_of, is_known, replaced,
};
use hot::settings::SERIAL_FLOOR;
use hot::{Reconciled, imported_state_text};
use router::home;
use rusqlite::params;

use crate::coupons::row_of;
use crate::failure::damaged;
use crate::numbers::signed;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{claims, directory, partitions, settings};

/// Coupons that one transaction reconciles.
pub(crate) const RECONCILE_MAX: usize = 200;

/// Reconciles coupons that cold has in the partition `day`.
pub(crate) fn coupons(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    day: Day,
    coupons: &[Coupon],
) -> rusqlite::Result<Reconciled> {
    let mut reconciled = Reconciled::default();
    for coupon in coupons {
        let code = coupon.code();
        let stored = StoredFacts {
            version: row_of(txn, day, code)?.map(|located| located.coupon.version()),
            has_archived_marker: partitions::archived_marker(txn, day, code)?.is_some(),
            is_sealed: txn.is_sealed(day)?,
        };
        if is_known(coupon, stored) {
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

fn one(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    day: Day,
    coupon: &Coupon,
    campaign: &CampaignHere,
    batch: i64,
) -> rusqlite::Result<()> {
    let (code, home) = (coupon.code(), home(keys, coupon.code()));
    // A day that is closing has a plan, and no more is needed here.
    let _ = partitions::enter(txn, day, &campaign.terms)?;
    let moved = directory::partition_of(txn, code)?;
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
    txn.count_archived(campaign.number, coupon.state().as_str());
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

/// Enters the holder's claim for the coupon, and the replacement that its name says. So the
/// holder's limit counts it, and its name is never free again.
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
    let entry = claims::next_entry(txn, campaign, holder, coupon.issue_ref().cloned())?;
    claims::enter(txn, campaign, &entry, day, coupon)
}

/// A code of a campaign that this store does not have. No look-up finds it, and a foreign code
/// cannot be imported as new either.
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

/// Skips serials on every day, so that codes which were minted after the backup are not minted
/// again.
pub(crate) fn pass_over_serials(txn: &Txn<'_>) -> rusqlite::Result<()> {
    let floor = txn.setting(SERIAL_FLOOR)?;
    let floor = floor.map_or(Ok(0), |text| text.parse::<u64>());
    let floor = floor.map_err(|why| damaged(SERIAL_FLOOR, why))?;
    settings::set(txn, SERIAL_FLOOR, &(floor + SERIAL_GAP).to_string())?;
    txn.statement("UPDATE partition_plan SET next_serial = next_serial + ?1")?
        .execute([signed(SERIAL_GAP)])?;
    Ok(())
}
