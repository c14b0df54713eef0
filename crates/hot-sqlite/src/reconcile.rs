//! Reconcile from cold, after a restore: a coupon that cold has in a newer version replaces the one
//! here.

use coupon::coupon::{Coupon, State};
use coupon::ids::UserId;
use coupon::minted::CodeKey;
use coupon::time::Day;
use hot::Reconciled;
use hot::protocol::{
    ANY_ISSUE, SERIAL_GAP, StoredFacts, claimant, imported_state_of, is_known, replaced,
};
use hot::settings::SERIAL_FLOOR;
use router::home;
use rusqlite::{Result as SqlResult, params};

use crate::activity::worth_since;
use crate::columns::signed;
use crate::coupons::{row_of, writing};
use crate::directory::Place;
use crate::rows::{CampaignHere, before_first};
use crate::txn::Txn;
use crate::{claims, directory, partitions, settings};

pub(crate) const RECONCILE_MAX: usize = 200;

pub(crate) fn coupons(
    txn: &Txn<'_>,
    keys: &[CodeKey],
    day: Day,
    coupons: &[Coupon],
) -> SqlResult<Reconciled> {
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
        match txn.batch(&genesis.campaign, &genesis.batch)? {
            Some((campaign, batch)) => {
                one(txn, keys, day, coupon, &campaign, batch)?;
                reconciled.reconciled += 1;
            }
            None => {
                if home(keys, code).is_none() {
                    // No look-up finds it, and nobody can import it as a new one.
                    directory::enter_gone(txn, code.as_str())?;
                }
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
) -> SqlResult<()> {
    let (code, home) = (coupon.code(), home(keys, coupon.code()));
    // A day that is closing has a plan, and no more is needed here.
    let _ = partitions::enter(txn, day, &campaign.terms)?;
    let moved = directory::partition_of(txn, code)?;
    let mut before = None;
    for expiry_day in [Some(day), moved, home].into_iter().flatten() {
        if let Some(located) = row_of(txn, expiry_day, code)? {
            writing::delete(txn, expiry_day, code)?;
            before = Some(located.coupon);
        }
    }
    if before.is_none() && home.is_none() && moved.is_none() {
        txn.counts().arrive(campaign.number, batch);
    }
    let was = before.as_ref().map_or(&State::Available, Coupon::state);
    txn.counts().change(campaign.number, was, coupon);
    txn.counts().archive(campaign.number, coupon.state().as_str());
    let known = before.as_ref().map_or(0, |before| before.events().len());
    txn.counts().redeemed_untold(campaign.number, &worth_since(coupon, known));
    if !txn.is_sealed(day)? {
        partitions::mark_archived(txn, day, code, coupon.version())?;
    }
    if home != Some(day) {
        let (genesis, imported_state) = (coupon.genesis(), imported_state_of(coupon));
        let line = directory::Line {
            valid_from: genesis.valid_from,
            expires_at: genesis.expires_at,
            imported_state: &imported_state,
        };
        // Only a foreign code has come in a line.
        let line = home.is_none().then_some(line);
        // It has no row.
        let number = txn.minted_number(code)?.unwrap_or_else(|| before_first(batch));
        directory::enter(txn, code, &Place { day, number }, line.as_ref())?;
    }
    // So the holder's limit counts the coupon, and the name of its issue is never free again.
    if let Some(gone) = replaced(keys, coupon.issue_ref()) {
        txn.run(
            "INSERT INTO replacement (replaced, user_id, issue) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO NOTHING",
            params![gone.as_str(), coupon.holder().map(UserId::as_str), ANY_ISSUE],
        )?;
    }
    let Some(holder) = claimant(&campaign.terms, coupon) else { return Ok(()) };
    if claims::has(txn, campaign.number, holder, coupon.code())? {
        return Ok(());
    }
    let entry = claims::next_entry(txn, campaign.number, holder, coupon.issue_ref().cloned())?;
    claims::enter(txn, campaign.number, &entry, day, coupon).map(drop)
}

/// On every day, so that no code that was minted after the backup is minted again.
pub(crate) fn pass_over_serials(txn: &Txn<'_>) -> SqlResult<()> {
    let floor = txn.setting_number(SERIAL_FLOOR)?.unwrap_or(0);
    settings::set(txn, SERIAL_FLOOR, &(floor + SERIAL_GAP).to_string())?;
    txn.run("UPDATE partition_plan SET next_serial = next_serial + ?1", [signed(SERIAL_GAP)])
}
