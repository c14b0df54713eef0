//! Campaigns: made by name, once; their terms and their counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::audit::{Act, AuditEvent};
use hot::protocol::patched;
use hot::{CampaignPatch, CampaignRow, Named, NewCampaign, Patched};
use rusqlite::params;

use crate::failure::damaged;
use crate::txn::Txn;
use crate::{batches, directory, partitions, rows};

pub(crate) fn row(
    txn: &Txn<'_>,
    id: &CampaignId,
    now: Millis,
) -> rusqlite::Result<Option<CampaignRow>> {
    // The jobs of this group before this one have counted in memory alone.
    txn.flush()?;
    let sql = rows::select_campaign!(" FROM campaign WHERE campaign_id = ?1");
    txn.first(sql, [id.as_str()], |row| from_row(row, now))
}

fn from_row(row: &rusqlite::Row<'_>, now: Millis) -> rusqlite::Result<CampaignRow> {
    let (campaign, counts) = (Arc::new(rows::campaign(row)?), rows::counts(row)?);
    Ok(CampaignRow { campaign, counts, counted_at: now, created_as: row.get(21)? })
}

pub(crate) fn list(
    txn: &Txn<'_>,
    after: Option<&CampaignId>,
    limit: usize,
    now: Millis,
) -> rusqlite::Result<Vec<CampaignRow>> {
    let sql = rows::select_campaign!(
        " FROM campaign WHERE campaign_id > ?1 ORDER BY campaign_id LIMIT ?2"
    );
    let after = after.map_or("", CampaignId::as_str);
    txn.all(sql, params![after, limit as i64], |row| from_row(row, now))
}

/// How many rows of each campaign, by its number, are issued, redeemed, void.
pub(crate) fn rows_by_state(txn: &Txn<'_>) -> rusqlite::Result<BTreeMap<i64, [i64; 3]>> {
    let mut counted: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    // No index has both, and one that has the batch leads to rows all over the table.
    let mut statement = txn
        .statement("SELECT batch, state, count(*) FROM coupon NOT INDEXED GROUP BY batch, state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let campaign = match txn.batch_at(row.get(0)?) {
            Ok(batch) => batch.campaign,
            // `verify` reports the row itself.
            Err(rusqlite::Error::QueryReturnedNoRows) => continue,
            Err(error) => return Err(error),
        };
        let at = match rows::state_name(row.get(1)?) {
            "issued" => 0,
            "redeemed" => 1,
            "void" => 2,
            _ => continue,
        };
        counted.entry(campaign).or_default()[at] += row.get::<_, i64>(2)?;
    }
    Ok(counted)
}

pub(crate) fn create(
    txn: &Txn<'_>,
    new: &NewCampaign,
    act: &Act,
) -> rusqlite::Result<Named<CampaignRow>> {
    let campaign = &new.campaign;
    let now = campaign.created_at;
    match row(txn, &campaign.id, now)? {
        Some(row) if row.created_as == new.created_as => return Ok(Named::Same(row)),
        Some(_) => return Ok(Named::Refused(Refusal::NameTaken)),
        None => {}
    }
    if let Some(word) = &campaign.shared_code
        && directory::entry(txn, word)?.is_some()
    {
        return Ok(Named::Refused(Refusal::NameTaken));
    }
    if partitions::enter(txn, campaign.expiry_day(), campaign)?.is_err() {
        return Ok(Named::Refused(Refusal::ExpiryDayClosed));
    }
    // Before the first write of the campaign: it is made whole or not at all.
    let first_batch = match &new.first_batch {
        None => None,
        Some(order) => match batches::reserve(txn, campaign, order, now)? {
            Err(refusal) => return Ok(Named::Refused(refusal)),
            Ok(run) => Some((order, run)),
        },
    };
    let number = insert(txn, campaign, &new.created_as)?;
    if let Some(word) = &campaign.shared_code {
        directory::enter_shared(txn, word.as_str(), number)?;
    }
    txn.audit(act, &AuditEvent::campaign_created(campaign))?;
    if let Some((order, run)) = first_batch {
        batches::insert_minted(txn, number, &order.id, run, now)?;
        txn.audit(act, &AuditEvent::batch_created(&campaign.id, &order.id, Some(run.count)))?;
    }
    match row(txn, &campaign.id, now)? {
        Some(row) => Ok(Named::Created(row)),
        None => Err(damaged("campaign", "not there after it was inserted")),
    }
}

/// Makes the row of a campaign, and returns its number.
pub(crate) fn insert(
    txn: &Txn<'_>,
    campaign: &Campaign,
    created_as: &str,
) -> rusqlite::Result<i64> {
    txn.insert(
        "INSERT INTO campaign (campaign_id, name, handout, shared_code, code_prefix, valid_from, \
         expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
         extend_days, paused, metadata, created_at, created_as, stock, issued, redeemed, void) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18, 0, 0, 0, 0)",
        params![
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
        ],
    )
}

pub(crate) fn patch(
    txn: &Txn<'_>,
    id: &CampaignId,
    patch: &CampaignPatch,
    act: &Act,
) -> rusqlite::Result<Patched> {
    let Some(here) = txn.campaign(id)? else { return Ok(Patched::NotFound) };
    let campaign = match patched(&here.terms, patch) {
        Ok(campaign) => campaign,
        Err(refused) => return Ok(refused),
    };
    write_terms(txn, here.number, &campaign)?;
    for event in AuditEvent::campaign_changed(&here.terms, &campaign) {
        txn.audit(act, &event)?;
    }
    Ok(row(txn, id, act.at)?.map_or(Patched::NotFound, Patched::Done))
}

/// Writes those terms that can change.
pub(crate) fn write_terms(txn: &Txn<'_>, number: i64, campaign: &Campaign) -> rusqlite::Result<()> {
    txn.run(
        "UPDATE campaign SET name = ?2, metadata = ?3, paused = ?4, issue_from = ?5, \
         issue_until = ?6, per_user_limit = ?7 WHERE number = ?1",
        params![
            number,
            campaign.name,
            campaign.metadata,
            campaign.paused,
            campaign.issue_from.map(|at| at.0),
            campaign.issue_until.map(|at| at.0),
            campaign.per_user_limit,
        ],
    )?;
    txn.forget_terms();
    Ok(())
}
