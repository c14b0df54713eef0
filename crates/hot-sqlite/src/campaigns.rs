//! Campaigns and batches: made by name, once.

use std::sync::Arc;

use coupon::campaign::{BATCHES_MAX, Batch, BatchKind, Campaign};
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::{Entry, Owner};
use rusqlite::{OptionalExtension, params};

use super::coupons::signed;
use super::partitions;
use super::rows;
use super::txn::Txn;
use hot::protocol::patched;
use hot::{CampaignPatch, CampaignRow, MintOrder, Named, NewCampaign, Patched};

pub(super) fn row(
    txn: &Txn<'_>,
    id: &CampaignId,
    now: Millis,
) -> rusqlite::Result<Option<CampaignRow>> {
    // In a group, what the jobs before this one have counted is not written yet.
    txn.flush()?;
    let sql =
        concat!("SELECT ", rows::campaign_columns!(), " FROM campaign WHERE campaign_id = ?1");
    txn.statement(sql)?.query_row([id.as_str()], |row| from_row(row, now)).optional()
}

fn from_row(row: &rusqlite::Row<'_>, now: Millis) -> rusqlite::Result<CampaignRow> {
    let (campaign, counts) = (Arc::new(rows::campaign(row)?), rows::counts(row)?);
    Ok(CampaignRow { campaign, counts, counted_at: now, created_as: row.get(21)? })
}

pub(super) fn list(
    txn: &Txn<'_>,
    after: Option<&CampaignId>,
    limit: usize,
    now: Millis,
) -> rusqlite::Result<Vec<CampaignRow>> {
    let sql = concat!(
        "SELECT ",
        rows::campaign_columns!(),
        " FROM campaign WHERE campaign_id > ?1 ORDER BY campaign_id LIMIT ?2"
    );
    let after = after.map_or("", CampaignId::as_str);
    let mut statement = txn.statement(sql)?;
    let rows = statement.query_map(params![after, limit as i64], |row| from_row(row, now))?;
    rows.collect()
}

pub(super) fn create(txn: &Txn<'_>, new: &NewCampaign) -> rusqlite::Result<Named<CampaignRow>> {
    let campaign = &new.campaign;
    let now = campaign.created_at;
    match row(txn, &campaign.id, now)? {
        Some(row) if row.created_as == new.created_as => return Ok(Named::Same(row)),
        Some(_) => return Ok(Named::Refused(Refusal::NameTaken)),
        None => {}
    }
    if let Some(word) = &campaign.shared_code
        && entry(txn, word)?.is_some()
    {
        return Ok(Named::Refused(Refusal::NameTaken));
    }
    if partitions::enter(txn, campaign.expiry_day(), campaign)?.is_err() {
        return Ok(Named::Refused(Refusal::ExpiryDayClosed));
    }
    // Before anything of the campaign is written: it is made whole or not at all.
    let first_batch = match &new.first_batch {
        None => None,
        Some(order) => match reserve(txn, campaign, order, now)? {
            Err(refusal) => return Ok(Named::Refused(refusal)),
            Ok(first_serial) => Some((order, first_serial)),
        },
    };
    let number = insert(txn, campaign, &new.created_as)?;
    if let Some(word) = &campaign.shared_code {
        txn.statement("INSERT INTO directory (code, kind, campaign) VALUES (?1, 'shared', ?2)")?
            .execute(params![word.as_str(), number])?;
    }
    if let Some((order, first_serial)) = first_batch {
        insert_minted(txn, number, campaign, order, first_serial, now)?;
    }
    match row(txn, &campaign.id, now)? {
        Some(row) => Ok(Named::Created(row)),
        None => Err(super::failure::damaged("campaign", "not there after it was inserted")),
    }
}

fn insert(txn: &Txn<'_>, campaign: &Campaign, created_as: &str) -> rusqlite::Result<i64> {
    txn.statement(
        "INSERT INTO campaign (campaign_id, name, handout, shared_code, code_prefix, valid_from, \
         expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
         extend_days, paused, metadata, created_at, created_as, stock, issued, redeemed, void) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18, 0, 0, 0, 0)",
    )?
    .insert(params![
        campaign.id.as_str(),
        campaign.name,
        campaign.handout.as_str(),
        campaign.shared_code.as_ref().map(Code::as_str),
        campaign.code_prefix.as_ref().map(|prefix| prefix.as_str()),
        campaign.valid_from.0,
        campaign.expires_at.0,
        campaign.zone.name(),
        campaign.valid_days,
        campaign.issue_from.map(|at| at.0),
        campaign.issue_until.map(|at| at.0),
        campaign.per_user_limit,
        campaign.cancel_days,
        campaign.extend_days,
        campaign.paused,
        campaign.metadata,
        campaign.created_at.0,
        created_as,
    ])
}

pub(super) fn patch(
    txn: &Txn<'_>,
    id: &CampaignId,
    patch: &CampaignPatch,
    now: Millis,
) -> rusqlite::Result<Patched> {
    let Some(here) = txn.campaign(id)? else { return Ok(Patched::NotFound) };
    let campaign = match patched(&here.terms, patch) {
        Ok(campaign) => campaign,
        Err(refused) => return Ok(refused),
    };
    txn.statement(
        "UPDATE campaign SET name = ?2, metadata = ?3, paused = ?4, issue_from = ?5, \
         issue_until = ?6, per_user_limit = ?7 WHERE number = ?1",
    )?
    .execute(params![
        here.number,
        campaign.name,
        campaign.metadata,
        campaign.paused,
        campaign.issue_from.map(|at| at.0),
        campaign.issue_until.map(|at| at.0),
        campaign.per_user_limit,
    ])?;
    txn.forget_terms();
    Ok(row(txn, id, now)?.map_or(Patched::NotFound, Patched::Done))
}

pub(super) fn mint(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    order: &MintOrder,
    now: Millis,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(batch) = batch(txn, campaign, &order.id)? {
        return Ok(match batch.kind {
            BatchKind::Minted(run) if run.count == order.count => Named::Same(batch),
            BatchKind::Minted(_) | BatchKind::Imported => Named::Refused(Refusal::NameTaken),
        });
    }
    if batches_of(txn, here.number)? >= BATCHES_MAX {
        return Ok(Named::Refused(Refusal::HistoryFull));
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
        None => Err(super::failure::damaged("batch", "not there after it was inserted")),
    }
}

/// Takes the serials of a batch out of its day's counter; the first of them.
fn reserve(
    txn: &Txn<'_>,
    campaign: &Campaign,
    order: &MintOrder,
    now: Millis,
) -> rusqlite::Result<Result<u64, Refusal>> {
    if now >= campaign.expires_at {
        return Ok(Err(Refusal::Expired));
    }
    let day = campaign.expiry_day();
    if partitions::enter(txn, day, campaign)?.is_err() {
        return Ok(Err(Refusal::ExpiryDayClosed));
    }
    Ok(partitions::take_serials(txn, day, order.count)?.ok_or(Refusal::SoldOut))
}

fn insert_minted(
    txn: &Txn<'_>,
    number: i64,
    campaign: &Campaign,
    order: &MintOrder,
    first_serial: u64,
    now: Millis,
) -> rusqlite::Result<()> {
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, count, \
         paused, lines, imported, already_there, rejected, created_at) \
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

fn batches_of(txn: &Txn<'_>, campaign: i64) -> rusqlite::Result<usize> {
    let count: i64 = txn
        .statement("SELECT count(*) FROM batch WHERE campaign = ?1")?
        .query_row([campaign], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

pub(super) fn open_import(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    now: Millis,
) -> rusqlite::Result<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    if let Some(batch) = batch(txn, campaign, id)? {
        if batch.kind != BatchKind::Imported {
            return Ok(Named::Refused(Refusal::NameTaken));
        }
        return Ok(Named::Same(batch));
    }
    if batches_of(txn, here.number)? >= BATCHES_MAX {
        return Ok(Named::Refused(Refusal::HistoryFull));
    }
    txn.statement(
        "INSERT INTO batch (campaign, batch_id, count, paused, lines, imported, already_there, \
         rejected, created_at) VALUES (?1, ?2, 0, 0, 0, 0, 0, 0, ?3)",
    )?
    .execute(params![here.number, id.as_str(), now.0])?;
    made(txn, campaign, id)
}

pub(super) fn batch(
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

pub(super) fn batches(
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

pub(super) fn pause_batch(
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

pub(super) fn keys_in_use(txn: &Txn<'_>) -> rusqlite::Result<Vec<KeyId>> {
    let mut statement =
        txn.statement("SELECT DISTINCT key_id FROM batch WHERE key_id IS NOT NULL")?;
    let keys = statement.query_map([], |row| rows::parsed(row, 0))?;
    keys.collect()
}

/// The batch whose run holds `serial` of `day` under `key`.
pub(super) fn run_of(
    txn: &Txn<'_>,
    key: KeyId,
    day: Day,
    serial: u64,
) -> rusqlite::Result<Option<(Owner, coupon::campaign::MintedRun)>> {
    let found = txn
        .statement(
            "SELECT campaign, batch_id, key_id, first_serial, count FROM batch \
             WHERE expiry_day = ?1 AND first_serial <= ?2 ORDER BY first_serial DESC LIMIT 1",
        )?
        .query_row(params![day.0, signed(serial)], |row| {
            let run = coupon::campaign::MintedRun {
                key: rows::parsed(row, 2)?,
                day,
                first: row.get::<_, i64>(3)?.unsigned_abs(),
                count: row.get::<_, i64>(4)?.unsigned_abs(),
            };
            Ok((row.get::<_, i64>(0)?, rows::parsed::<BatchId>(row, 1)?, run))
        })
        .optional()?;
    let Some((campaign, batch, run)) = found else { return Ok(None) };
    if run.key != key || !run.holds(serial) {
        return Ok(None);
    }
    let campaign = txn.campaign_at(campaign)?.terms.id.clone();
    Ok(Some((Owner { campaign, batch }, run)))
}

pub(super) fn entry(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<Entry>> {
    txn.statement(
        "SELECT kind, campaign, batch, expiry_day FROM directory \
         WHERE code = ?1 AND kind <> 'gone'",
    )?
    .query_row([code.as_str()], |row| match (row.get_ref(0)?.as_str()?, row.get(2)?, row.get(3)?) {
        ("shared", _, _) => {
            Ok(Entry::Shared { campaign: txn.campaign_at(row.get(1)?)?.terms.id.clone() })
        }
        ("coupon", Some(batch), Some(day)) => {
            Ok(Entry::Coupon { day: Day(day), owner: txn.owner_at(batch)? })
        }
        (kind, _, _) => Err(super::failure::damaged("kind", kind)),
    })
    .optional()
}
