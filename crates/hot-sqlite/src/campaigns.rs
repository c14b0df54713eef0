//! Campaigns: made by name, once; their terms and their counts.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::ids::CampaignId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::audit::{Act, AuditEvent};
use hot::protocol::patched;
use hot::{CampaignPatch, CampaignRow, Campaigns, Named, NewCampaign, Patched, worth_text};
use rusqlite::{Result as SqlResult, params};

use crate::columns::unsigned;
use crate::failure::damaged;
use crate::txn::Txn;
use crate::{Result, SqliteHot, batches, directory, partitions, rows};

#[async_trait]
impl Campaigns for SqliteHot {
    async fn create_campaign(&self, new: NewCampaign, act: &Act) -> Result<Named<CampaignRow>> {
        self.must_have_room().await?;
        let act = act.clone();
        let create = move |txn: &Txn<'_>| {
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
            txn.audit(&act, &AuditEvent::campaign_created(campaign))?;
            if let Some((order, run)) = first_batch {
                batches::insert(txn, number, &order.id, Some(run), now)?;
                let created = AuditEvent::batch_created(&campaign.id, &order.id, Some(run.count));
                txn.audit(&act, &created)?;
            }
            let created = row(txn, &campaign.id, now)?.map(Named::Created);
            created.ok_or_else(|| damaged("campaign", "not there after it was inserted"))
        };
        self.writer.run(create).await
    }

    async fn campaign(&self, id: &CampaignId, now: Millis) -> Result<Option<CampaignRow>> {
        self.readers.point(|txn| row(txn, id, now)).await
    }

    async fn campaigns(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        let list = move |txn: &Txn<'_>| {
            let sql = rows::select_campaign!(
                " FROM campaign WHERE campaign_id > ?1 ORDER BY campaign_id LIMIT ?2"
            );
            let after = after.as_ref().map_or("", CampaignId::as_str);
            txn.all(sql, params![after, limit as i64], |row| from_row(row, now))
        };
        self.readers.run(list).await
    }

    async fn patch_campaign(
        &self,
        id: &CampaignId,
        patch: CampaignPatch,
        act: &Act,
    ) -> Result<Patched> {
        let (id, act) = (id.clone(), act.clone());
        let change = move |txn: &Txn<'_>| {
            let Some(here) = txn.campaign(&id)? else { return Ok(Patched::NotFound) };
            let row_now = if patch.needs_counts() { row(txn, &id, act.at)? } else { None };
            let (counts, spent) = row_now.map(|row| (row.counts, row.spent)).unwrap_or_default();
            let campaign = match patched(&here.terms, counts, spent, &patch, act.at) {
                Ok(campaign) => campaign,
                Err(refused) => return Ok(refused),
            };
            if campaign.expires_at != here.terms.expires_at && !keeps_open(txn, &campaign)? {
                return Ok(Patched::NotExtended(Refusal::ExpiryDayClosed));
            }
            txn.run(
                "UPDATE campaign SET name = ?2, metadata = ?3, paused = ?4, issue_from = ?5, \
                 issue_until = ?6, per_user_limit = ?7, worth = ?8, expires_at = ?9, \
                 earlier_ends = ?10 WHERE number = ?1",
                params![
                    here.number,
                    campaign.name,
                    campaign.metadata,
                    campaign.paused,
                    campaign.issue_from.map(|at| at.0),
                    campaign.issue_until.map(|at| at.0),
                    campaign.per_user_limit,
                    worth_text(&campaign.worth),
                    campaign.expires_at.0,
                    hot::earlier_ends_text(&campaign),
                ],
            )?;
            txn.forget_terms();
            for event in AuditEvent::campaign_changed(&here.terms, &campaign) {
                txn.audit(&act, &event)?;
            }
            Ok(row(txn, &id, act.at)?.map_or(Patched::NotFound, Patched::Done))
        };
        self.writer.run(change).await
    }
}

/// Keeps the days of the earlier ends of a campaign open until the one of its end is over: codes of them work so long.
/// `false` if one of them is closing.
fn keeps_open(txn: &Txn<'_>, campaign: &Campaign) -> SqlResult<bool> {
    for day in campaign.earlier_days().chain([campaign.expiry_day()]) {
        if partitions::enter(txn, day, campaign)?.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn row(txn: &Txn<'_>, id: &CampaignId, now: Millis) -> SqlResult<Option<CampaignRow>> {
    // The jobs of this group before this one have counted in memory alone.
    txn.flush()?;
    let sql = rows::select_campaign!(" FROM campaign WHERE campaign_id = ?1");
    txn.first(sql, [id.as_str()], |row| from_row(row, now))
}

fn from_row(row: &rusqlite::Row<'_>, now: Millis) -> SqlResult<CampaignRow> {
    let (campaign, counts) = (Arc::new(rows::campaign(row)?), rows::counts(row)?);
    let (spent, created_as) = (unsigned(row, 23)?, row.get(21)?);
    Ok(CampaignRow { campaign, counts, counted_at: now, spent, created_as })
}

/// Makes the row of a campaign, and returns its number.
fn insert(txn: &Txn<'_>, campaign: &Campaign, created_as: &str) -> SqlResult<i64> {
    txn.insert(
        "INSERT INTO campaign (campaign_id, name, handout, shared_code, code_prefix, valid_from, \
         expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit, cancel_days, \
         extend_days, paused, metadata, created_at, created_as, worth, earlier_ends, stock, issued, \
         redeemed, void) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16, ?17, ?18, ?19, ?20, 0, 0, 0, 0)",
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
            worth_text(&campaign.worth),
            hot::earlier_ends_text(campaign),
        ],
    )
}
