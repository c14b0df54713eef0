//! Batches: made by name, once. Minted batches take serials of their expiry day; imported ones have
//! none.

use coupon::campaign::{Batch, Campaign, MintedRun};
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use hot::protocol::{batch_before, may_mint};
use hot::{MintOrder, Named};
use router::Owner;
use rusqlite::{OptionalExtension, params};

use crate::columns::{parsed, unsigned};
use crate::failure::damaged;
use crate::numbers::signed;
use crate::rows::CampaignHere;
use crate::txn::Txn;
use crate::{partitions, rows};

/// Makes a minted batch.
pub(crate) fn mint(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    order: &MintOrder,
    now: Millis,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(named) = before(txn, &here, &order.id, Some(order.count))? {
        return Ok(named);
    }
    match reserve(txn, &here.terms, order, now)? {
        Err(refusal) => Ok(Named::Refused(refusal)),
        Ok(first_serial) => {
            insert_minted(txn, here.number, &here.terms, order, first_serial, now)?;
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

/// Takes the serials of a batch out of its day's counter, and returns the first of them.
pub(crate) fn reserve(
    txn: &Txn<'_>,
    campaign: &Campaign,
    order: &MintOrder,
    now: Millis,
) -> rusqlite::Result<Result<u64, Refusal>> {
    if let Err(refusal) = may_mint(campaign, now) {
        return Ok(Err(refusal));
    }
    let day = campaign.expiry_day();
    if partitions::enter(txn, day, campaign)?.is_err() {
        return Ok(Err(Refusal::ExpiryDayClosed));
    }
    partitions::take_serials(txn, day, order.count)
}

pub(crate) fn insert_minted(
    txn: &Txn<'_>,
    number: i64,
    campaign: &Campaign,
    order: &MintOrder,
    first_serial: u64,
    now: Millis,
) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, \
         count, paused, lines, imported, already_there, rejected, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, 0, 0, 0, 0, 0, ?7)",
    )?
    .execute(params![
        number,
        order.id.as_str(),
        order.key.to_string(),
        campaign.expiry_day().0,
        signed(first_serial),
        signed(order.count),
        now.0
    ])?;
    txn.statement("UPDATE campaign SET stock = stock + ?2 WHERE number = ?1")?
        .execute(params![number, signed(order.count)])?;
    Ok(())
}

/// The answer to a call that makes a batch, if nothing has to be made for it.
fn before(
    txn: &Txn<'_>,
    campaign: &CampaignHere,
    id: &BatchId,
    count: Option<u64>,
) -> rusqlite::Result<Option<Named<Batch>>> {
    let found = batch(txn, &campaign.terms.id, id)?;
    let batches: i64 = txn
        .statement("SELECT count(*) FROM batch WHERE campaign = ?1")?
        .query_row([campaign.number], |row| row.get(0))?;
    Ok(batch_before(found, count, usize::try_from(batches).unwrap_or(usize::MAX)))
}

/// Makes the batch of an import, or finds it.
pub(crate) fn open_import(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    now: Millis,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(named) = before(txn, &here, id, None)? {
        return Ok(named);
    }
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, count, paused, lines, imported, already_there, \
         rejected, created_at) VALUES (?1, ?2, 0, 0, 0, 0, 0, 0, ?3)",
    )?
    .execute(params![here.number, id.as_str(), now.0])?;
    made(txn, campaign, id)
}

pub(crate) fn batch(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
) -> rusqlite::Result<Option<Batch>> {
    txn.flush()?;
    let sql = concat!(
        "SELECT ",
        rows::batch_columns!(),
        " FROM batch WHERE batch_id = ?2 AND campaign = \
          (SELECT number FROM campaign WHERE campaign_id = ?1)"
    );
    txn.statement(sql)?
        .query_row(params![campaign.as_str(), id.as_str()], |row| rows::batch(row, campaign))
        .optional()
}

pub(crate) fn batches(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    after: Option<&BatchId>,
    limit: usize,
) -> rusqlite::Result<Vec<Batch>> {
    let sql = concat!(
        "SELECT ",
        rows::batch_columns!(),
        " FROM batch WHERE campaign = (SELECT number FROM campaign WHERE campaign_id = ?1) \
          AND number > coalesce((SELECT after.number FROM batch after WHERE after.batch_id = ?2 \
          AND after.campaign = batch.campaign), 0) ORDER BY number LIMIT ?3"
    );
    let after = after.map(BatchId::as_str);
    let mut statement = txn.statement(sql)?;
    let rows = statement.query_map(params![campaign.as_str(), after, limit as i64], |row| {
        rows::batch(row, campaign)
    })?;
    rows.collect()
}

pub(crate) fn pause_batch(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    paused: bool,
    reason: Option<&str>,
) -> rusqlite::Result<Option<Batch>> {
    txn.statement(
        "UPDATE batch SET paused = ?3, paused_reason = ?4 WHERE batch_id = ?2 AND campaign = \
         (SELECT number FROM campaign WHERE campaign_id = ?1)",
    )?
    .execute(params![campaign.as_str(), id.as_str(), paused, reason])?;
    txn.forget_terms();
    batch(txn, campaign, id)
}

/// The keys of all minted batches.
pub(crate) fn keys_in_use(txn: &Txn<'_>) -> rusqlite::Result<Vec<KeyId>> {
    let mut statement =
        txn.statement("SELECT DISTINCT key_id FROM batch WHERE key_id IS NOT NULL")?;
    let keys = statement.query_map([], |row| parsed(row, 0))?;
    keys.collect()
}

/// The batch whose run holds `serial` of `day` under `key`.
pub(crate) fn run_of(
    txn: &Txn<'_>,
    key: KeyId,
    day: Day,
    serial: u64,
) -> rusqlite::Result<Option<(Owner, MintedRun)>> {
    let found = txn
        .statement(
            "SELECT campaign, batch_id, key_id, first_serial, count FROM batch \
             WHERE expiry_day = ?1 AND first_serial <= ?2 ORDER BY first_serial DESC LIMIT 1",
        )?
        .query_row(params![day.0, signed(serial)], |row| {
            let run = MintedRun {
                key: parsed(row, 2)?,
                day,
                first: unsigned(row, 3)?,
                count: unsigned(row, 4)?,
            };
            Ok((row.get::<_, i64>(0)?, parsed::<BatchId>(row, 1)?, run))
        })
        .optional()?;
    let Some((campaign, batch, run)) = found else { return Ok(None) };
    if run.key != key || !run.holds(serial) {
        return Ok(None);
    }
    let campaign = txn.campaign_at(campaign)?.terms.id.clone();
    Ok(Some((Owner { campaign, batch }, run)))
}
