//! Campaigns, directory entries and claims, as `verify` reads them, and the counts that it mends.

use coupon::campaign::BatchKind;
use coupon::code::Code;
use coupon::ids::{CampaignId, UserId};
use coupon::time::{Day, Millis};
use hot::audit::{
    AuditBatch, AuditCampaign, AuditClaim, AuditEntry, AuditEntryIs, AuditPage, CountShift,
    Unreadable,
};
use router::Owner;
use rusqlite::{OptionalExtension, Row, params};

use crate::columns::{parsed, unsigned};
use crate::failure::damaged;
use crate::numbers::signed;
use crate::txn::Txn;
use crate::{campaigns, rows};

/// Campaigns with their counts and how many rows they have, all in one read transaction.
pub(super) fn campaigns(txn: &Txn<'_>) -> rusqlite::Result<Vec<AuditCampaign>> {
    let mut counted = campaigns::rows_by_state(txn)?;
    let mut statement = txn.statement(
        "SELECT number, stock, issued, redeemed, void, cold_issued, cold_redeemed, cold_void \
         FROM campaign ORDER BY number",
    )?;
    let mut found = statement.query([])?;
    let mut campaigns = Vec::new();
    while let Some(row) = found.next()? {
        let number: i64 = row.get(0)?;
        let terms = txn.campaign_at(number)?.terms;
        campaigns.push(AuditCampaign {
            stock: unsigned(row, 1)?,
            all: [row.get(2)?, row.get(3)?, row.get(4)?],
            cold: [row.get(5)?, row.get(6)?, row.get(7)?],
            rows: Some(counted.remove(&number).unwrap_or_default()),
            batches: batches(txn, number, &terms.id)?,
            terms,
        });
    }
    Ok(campaigns)
}

fn batches(txn: &Txn<'_>, number: i64, id: &CampaignId) -> rusqlite::Result<Vec<AuditBatch>> {
    let sql = concat!(
        "SELECT ",
        rows::batch_columns!(),
        ", next_offset FROM batch WHERE campaign = ?1 ORDER BY number"
    );
    let mut statement = txn.statement(sql)?;
    let batches = statement.query_map([number], |row| {
        let batch = rows::batch(row, id)?;
        let run = match batch.kind {
            BatchKind::Minted(run) => Some(run),
            BatchKind::Imported => None,
        };
        Ok(AuditBatch {
            id: batch.id,
            run,
            count: batch.count,
            made_at: batch.created_at,
            offered: row.get::<_, Option<i64>>(11)?.unwrap_or(0).unsigned_abs(),
        })
    })?;
    batches.collect()
}

macro_rules! entry_columns {
    () => {
        "directory.code, kind, campaign_id, batch_id, directory.expiry_day, directory.valid_from, \
         directory.expires_at FROM directory \
         LEFT JOIN campaign ON campaign.number = directory.campaign \
         LEFT JOIN batch ON batch.number = directory.batch "
    };
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let code: String = row.get(0)?;
    let read = || -> rusqlite::Result<AuditEntryIs> {
        Ok(match row.get_ref(1)?.as_str()? {
            "gone" => AuditEntryIs::Gone,
            "shared" => AuditEntryIs::Shared { campaign: parsed(row, 2)? },
            "coupon" => AuditEntryIs::Coupon {
                owner: Owner { campaign: parsed(row, 2)?, batch: parsed(row, 3)? },
                day: Day(row.get(4)?),
                line: match (row.get::<_, Option<i64>>(5)?, row.get::<_, Option<i64>>(6)?) {
                    (Some(from), Some(until)) => Some((Millis(from), Millis(until))),
                    _ => None,
                },
            },
            other => return Err(damaged("kind", other)),
        })
    };
    let is = read().unwrap_or_else(|error| AuditEntryIs::Unreadable(error.to_string()));
    Ok(AuditEntry { code, is })
}

/// Directory entries after `after`, in the order of codes.
pub(super) fn entries_after(
    txn: &Txn<'_>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<AuditPage<AuditEntry>> {
    let sql = concat!(
        "SELECT ",
        entry_columns!(),
        "WHERE directory.code > ?1 ORDER BY directory.code LIMIT ?2"
    );
    let mut statement = txn.statement(sql)?;
    let asked = params![after.unwrap_or_default(), signed(limit as u64)];
    let items = statement.query_map(asked, entry)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = items.last().filter(|_| items.len() == limit).map(|entry| entry.code.clone());
    Ok(AuditPage { items, unreadable: Vec::new(), next })
}

pub(super) fn entry_of(txn: &Txn<'_>, code: &Code) -> rusqlite::Result<Option<AuditEntry>> {
    let sql = concat!("SELECT ", entry_columns!(), "WHERE directory.code = ?1");
    txn.statement(sql)?.query_row([code.as_str()], entry).optional()
}

/// A position is campaign, entry and user, separated by blanks: no name has one.
pub(super) fn claims_after(
    txn: &Txn<'_>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<AuditPage<AuditClaim>> {
    let bad = |why: &dyn std::fmt::Display| damaged("position", why);
    let mut parts = after.unwrap_or_default().splitn(3, ' ');
    let number = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Ok(i64::MIN),
        Some(text) => text.parse::<i64>().map_err(|why| bad(&why)),
    };
    let (campaign, slot) = (number(parts.next())?, number(parts.next())?);
    let asked = params![campaign, parts.next().unwrap_or_default(), slot, signed(limit as u64)];
    let mut statement = txn.statement(
        "SELECT campaign, user_id, entry, code, expiry_day, issue FROM claim \
         WHERE (campaign, user_id, entry) > (?1, ?2, ?3) \
         ORDER BY campaign, user_id, entry LIMIT ?4",
    )?;
    let found = statement.query_map(asked, |row| {
        let (campaign, user): (i64, String) = (row.get(0)?, row.get(1)?);
        let key = format!("{campaign} {} {user}", row.get::<_, i64>(2)?);
        let claim = claim_of(txn, row, campaign).map_err(|error| Unreadable {
            about: format!("the claim of {user} on campaign {campaign}"),
            why: error.to_string(),
        });
        Ok((key, claim))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = found.last().filter(|_| found.len() == limit).map(|(key, _)| key.clone());
    let (mut items, mut unreadable) = (Vec::new(), Vec::new());
    for (_, claim) in found {
        match claim {
            Ok(claim) => items.push(claim),
            Err(why) => unreadable.push(why),
        }
    }
    Ok(AuditPage { items, unreadable, next })
}

fn claim_of(txn: &Txn<'_>, row: &Row<'_>, campaign: i64) -> rusqlite::Result<AuditClaim> {
    let campaign = txn.campaign_at(campaign).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => damaged("campaign", "it is not there"),
        error => error,
    })?;
    let issue = row.get::<_, Option<i64>>(5)?.and_then(|it| usize::try_from(it).ok());
    Ok(AuditClaim {
        campaign: campaign.terms.id.clone(),
        user: parsed(row, 1)?,
        code: parsed(row, 3)?,
        day: Day(row.get(4)?),
        issue,
        begun: None,
    })
}

pub(super) fn is_claimed(
    txn: &Txn<'_>,
    (campaign, user, code): &(CampaignId, UserId, Code),
) -> rusqlite::Result<bool> {
    let Some(campaign) = txn.campaign(campaign)? else { return Ok(false) };
    txn.statement("SELECT 1 FROM claim WHERE campaign = ?1 AND user_id = ?2 AND code = ?3")?
        .exists(params![campaign.number, user.as_str(), code.as_str()])
}

/// Subtracts from counts what they were too high. That is right whatever else is counted meanwhile.
pub(super) fn mend(txn: &Txn<'_>, shifts: &[(CountShift, [i64; 3])]) -> rusqlite::Result<u64> {
    let mut mended = 0;
    for (shift, cold) in shifts {
        let changed = txn
            .statement(
                "UPDATE campaign SET issued = issued - ?2, redeemed = redeemed - ?3, \
                 void = void - ?4, cold_issued = cold_issued - ?5, \
                 cold_redeemed = cold_redeemed - ?6, cold_void = cold_void - ?7, \
                 stock = stock - ?8 WHERE campaign_id = ?1 AND cold_issued = ?9 \
                 AND cold_redeemed = ?10 AND cold_void = ?11",
            )?
            .execute(params![
                shift.campaign.as_str(),
                shift.all[0],
                shift.all[1],
                shift.all[2],
                shift.cold[0],
                shift.cold[1],
                shift.cold[2],
                shift.stock,
                cold[0],
                cold[1],
                cold[2],
            ])?;
        mended += changed as u64;
    }
    Ok(mended)
}
