//! Batches: made by name, once. Minted batches take serials of their expiry day; imported ones have
//! none.

use coupon::campaign::{Batch, Campaign, MintedRun};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::audit::{Act, AuditEvent};
use hot::protocol::{batch_before, may_mint};
use hot::{MintOrder, Named};
use router::Owner;
use rusqlite::params;

use crate::columns::{parsed, signed, unsigned};
use crate::failure::damaged;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{partitions, rows};

pub(crate) fn mint(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    order: &MintOrder,
    act: &Act,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(named) = before(txn, &here, &order.id, Some(order.count))? {
        return Ok(named);
    }
    match reserve(txn, &here.terms, order, act.at)? {
        Err(refusal) => Ok(Named::Refused(refusal)),
        Ok(run) => {
            insert_minted(txn, here.number, &order.id, run, act.at)?;
            txn.audit(act, &AuditEvent::batch_created(campaign, &order.id, Some(run.count)))?;
            made(txn, campaign, &order.id)
        }
    }
}

fn made(txn: &Txn<'_>, campaign: &CampaignId, id: &BatchId) -> rusqlite::Result<Named<Batch>> {
    match batch(txn, campaign, id)? {
        Some(batch) => Ok(Named::Created(batch)),
        None => Err(damaged("batch", "not there after it was inserted")),
    }
}

/// Takes the serials of a batch out of its day's counter.
pub(crate) fn reserve(
    txn: &Txn<'_>,
    campaign: &Campaign,
    order: &MintOrder,
    now: Millis,
) -> rusqlite::Result<Result<MintedRun, Refusal>> {
    if let Err(refusal) = may_mint(campaign, now) {
        return Ok(Err(refusal));
    }
    let day = campaign.expiry_day();
    if partitions::enter(txn, day, campaign)?.is_err() {
        return Ok(Err(Refusal::ExpiryDayClosed));
    }
    let first = partitions::take_serials(txn, day, order.count)?;
    Ok(first.map(|first| MintedRun { key: order.key, day, first, count: order.count }))
}

pub(crate) fn insert_minted(
    txn: &Txn<'_>,
    campaign: i64,
    id: &BatchId,
    run: MintedRun,
    now: Millis,
) -> rusqlite::Result<()> {
    insert(txn, campaign, id, Some(run), now)?;
    let sql = "UPDATE campaign SET stock = stock + ?2 WHERE number = ?1";
    txn.run(sql, params![campaign, signed(run.count)])
}

/// Makes the row of a batch, and returns its number.
pub(crate) fn insert(
    txn: &Txn<'_>,
    campaign: i64,
    id: &BatchId,
    run: Option<MintedRun>,
    now: Millis,
) -> rusqlite::Result<i64> {
    let (key, first) = (run.map(|run| run.key.to_string()), run.map(|run| signed(run.first)));
    let (day, offset) = (run.map(|run| run.day.0), run.map(|_| 0));
    let count = run.map_or(0, |run| signed(run.count));
    txn.insert(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, \
         count, paused, lines, imported, already_there, rejected, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, 0, ?8)",
        params![campaign, id.as_str(), key, day, first, offset, count, now.0],
    )
}

/// The answer to a call that makes a batch, if nothing has to be made for it.
fn before(
    txn: &Txn<'_>,
    campaign: &CampaignHere,
    id: &BatchId,
    count: Option<u64>,
) -> rusqlite::Result<Option<Named<Batch>>> {
    let found = batch(txn, &campaign.terms.id, id)?;
    let sql = "SELECT count(*) FROM batch WHERE campaign = ?1";
    let batches: i64 = txn.one(sql, [campaign.number])?;
    Ok(batch_before(found, count, usize::try_from(batches).unwrap_or(usize::MAX)))
}

pub(crate) fn open_import(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    act: &Act,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(named) = before(txn, &here, id, None)? {
        return Ok(named);
    }
    insert(txn, here.number, id, None, act.at)?;
    txn.audit(act, &AuditEvent::batch_created(campaign, id, None))?;
    made(txn, campaign, id)
}

pub(crate) fn batch(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
) -> rusqlite::Result<Option<Batch>> {
    txn.flush()?;
    let sql = rows::select_batch!(
        " FROM batch WHERE batch_id = ?2 AND campaign = \
          (SELECT number FROM campaign WHERE campaign_id = ?1)"
    );
    txn.first(sql, params![campaign.as_str(), id.as_str()], |row| rows::batch(row, campaign))
}

pub(crate) fn batches(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    after: Option<&BatchId>,
    limit: usize,
) -> rusqlite::Result<Vec<Batch>> {
    let sql = rows::select_batch!(
        " FROM batch WHERE campaign = (SELECT number FROM campaign WHERE campaign_id = ?1) \
          AND number > coalesce((SELECT after.number FROM batch after WHERE after.batch_id = ?2 \
          AND after.campaign = batch.campaign), 0) ORDER BY number LIMIT ?3"
    );
    let asked = params![campaign.as_str(), after.map(BatchId::as_str), limit as i64];
    txn.all(sql, asked, |row| rows::batch(row, campaign))
}

pub(crate) fn pause_batch(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    paused: bool,
    act: &Act,
) -> rusqlite::Result<Option<Batch>> {
    let before = batch(txn, campaign, id)?;
    let reason = act.reason.as_ref().map(Reason::as_str);
    txn.run(
        "UPDATE batch SET paused = ?3, paused_reason = ?4 WHERE batch_id = ?2 AND campaign = \
         (SELECT number FROM campaign WHERE campaign_id = ?1)",
        params![campaign.as_str(), id.as_str(), paused, reason],
    )?;
    txn.forget_terms();
    let after = batch(txn, campaign, id)?;
    if let Some(after) = &after
        && before.is_some_and(|before| before.paused != after.paused)
    {
        txn.audit(act, &AuditEvent::batch_paused(after))?;
    }
    Ok(after)
}

pub(crate) fn keys_in_use(txn: &Txn<'_>) -> rusqlite::Result<Vec<KeyId>> {
    let sql = "SELECT DISTINCT key_id FROM batch WHERE key_id IS NOT NULL";
    txn.all(sql, [], |row| parsed(row, 0))
}

pub(crate) fn run_of(
    txn: &Txn<'_>,
    key: KeyId,
    day: Day,
    serial: u64,
) -> rusqlite::Result<Option<(Owner, MintedRun)>> {
    let found: Option<(i64, BatchId, MintedRun)> = txn.first(
        "SELECT campaign, batch_id, key_id, first_serial, count FROM batch \
         WHERE expiry_day = ?1 AND first_serial <= ?2 ORDER BY first_serial DESC LIMIT 1",
        params![day.0, signed(serial)],
        |row| {
            let (first, count) = (unsigned(row, 3)?, unsigned(row, 4)?);
            let run = MintedRun { key: parsed(row, 2)?, day, first, count };
            Ok((row.get(0)?, parsed(row, 1)?, run))
        },
    )?;
    let Some((campaign, batch, run)) = found else { return Ok(None) };
    if run.key != key || !run.holds(serial) {
        return Ok(None);
    }
    let campaign = txn.campaign_at(campaign)?.terms.id.clone();
    Ok(Some((Owner { campaign, batch }, run)))
}
