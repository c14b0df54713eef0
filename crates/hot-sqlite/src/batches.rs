//! Batches: made by name, once. Minted batches take serials of their expiry day; imported ones have
//! none.

use async_trait::async_trait;
use coupon::campaign::{Batch, Campaign, MintedRun};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::Millis;
use hot::audit::{Act, AuditEvent};
use hot::protocol::{batch_before, may_mint, serials_after};
use hot::{Batches, MintOrder, Named};
use rusqlite::{Result as SqlResult, params};

use crate::columns::{parsed, signed};
use crate::failure::damaged;
use crate::txn::Txn;
use crate::{Result, SqliteHot, partitions, rows};

#[async_trait]
impl Batches for SqliteHot {
    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>> {
        let (campaign, act) = (campaign.clone(), act.clone());
        self.writer.run(move |txn| make(txn, &campaign, &order.id, Some(&order), &act)).await
    }

    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        let campaign = campaign.clone();
        let list = move |txn: &Txn<'_>| {
            let sql = rows::select_batch!(
                " FROM batch WHERE campaign = (SELECT number FROM campaign WHERE campaign_id = ?1) \
                  AND number > coalesce((SELECT after.number FROM batch after WHERE after.batch_id = ?2 \
                  AND after.campaign = batch.campaign), 0) ORDER BY number LIMIT ?3"
            );
            let after = after.as_ref().map(BatchId::as_str);
            let asked = params![campaign.as_str(), after, limit as i64];
            txn.all(sql, asked, |row| rows::batch(row, &campaign))
        };
        self.readers.run(list).await
    }

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>> {
        self.readers.point(|txn| batch(txn, campaign, id)).await
    }

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>> {
        let (campaign, id, act) = (campaign.clone(), id.clone(), act.clone());
        let pause = move |txn: &Txn<'_>| {
            let before = batch(txn, &campaign, &id)?;
            let reason = act.reason.as_ref().map(Reason::as_str);
            txn.run(
                "UPDATE batch SET paused = ?3, paused_reason = ?4 WHERE batch_id = ?2 AND campaign = \
                 (SELECT number FROM campaign WHERE campaign_id = ?1)",
                params![campaign.as_str(), id.as_str(), paused, reason],
            )?;
            txn.forget_terms();
            let after = batch(txn, &campaign, &id)?;
            if let Some(after) = &after
                && before.is_some_and(|before| before.paused != after.paused)
            {
                txn.audit(&act, &AuditEvent::batch_paused(after))?;
            }
            Ok(after)
        };
        self.writer.run(pause).await
    }

    async fn keys_in_use(&self) -> Result<Vec<KeyId>> {
        let sql = "SELECT DISTINCT key_id FROM batch WHERE key_id IS NOT NULL";
        self.readers.run(move |txn| txn.all(sql, [], |row| parsed(row, 0))).await
    }
}

/// Makes a batch, or finds that there is nothing to make: a minted one by `order`, else one for an
/// import.
pub(crate) fn make(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
    order: Option<&MintOrder>,
    act: &Act,
) -> SqlResult<Named<Batch>> {
    let Some(here) = txn.campaign(campaign)? else {
        return Ok(Named::Refused(Refusal::NotFound));
    };
    let (found, count) = (batch(txn, campaign, id)?, order.map(|order| order.count));
    let sql = "SELECT count(*) FROM batch WHERE campaign = ?1";
    let batches: i64 = txn.one(sql, [here.number])?;
    let batches = usize::try_from(batches).unwrap_or(usize::MAX);
    if let Some(named) = batch_before(found, count, batches) {
        return Ok(named);
    }
    let run = match order.map(|order| reserve(txn, &here.terms, order, act.at)).transpose()? {
        Some(Err(refusal)) => return Ok(Named::Refused(refusal)),
        Some(Ok(run)) => Some(run),
        None => None,
    };
    insert(txn, here.number, id, run, act.at)?;
    txn.audit(act, &AuditEvent::batch_created(campaign, id, count))?;
    let created = batch(txn, campaign, id)?.map(Named::Created);
    created.ok_or_else(|| damaged("batch", "not there after it was inserted"))
}

/// Takes the serials of a batch out of its day's counter.
pub(crate) fn reserve(
    txn: &Txn<'_>,
    campaign: &Campaign,
    order: &MintOrder,
    now: Millis,
) -> SqlResult<Result<MintedRun, Refusal>> {
    if let Err(refusal) = may_mint(campaign, now) {
        return Ok(Err(refusal));
    }
    let day = campaign.expiry_day();
    if partitions::enter(txn, day, campaign)?.is_err() {
        return Ok(Err(Refusal::ExpiryDayClosed));
    }
    let sql = "SELECT next_serial FROM partition_plan WHERE expiry_day = ?1";
    let first = txn.one::<i64>(sql, [day.0])?.unsigned_abs();
    let next = match serials_after(first, order.count) {
        Ok(next) => next,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let sql = "UPDATE partition_plan SET next_serial = ?2 WHERE expiry_day = ?1";
    txn.run(sql, params![day.0, signed(next)])?;
    Ok(Ok(MintedRun { key: order.key, day, first, count: order.count }))
}

/// Makes the row of a batch. The serials of its run are stock of the campaign.
pub(crate) fn insert(
    txn: &Txn<'_>,
    campaign: i64,
    id: &BatchId,
    run: Option<MintedRun>,
    now: Millis,
) -> SqlResult<()> {
    let (key, first) = (run.map(|run| run.key.to_string()), run.map(|run| signed(run.first)));
    let (day, offset) = (run.map(|run| run.day.0), run.map(|_| 0));
    let count = run.map_or(0, |run| signed(run.count));
    txn.run(
        "INSERT INTO batch (campaign, batch_id, key_id, expiry_day, first_serial, next_offset, \
         count, paused, lines, imported, already_there, rejected, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, 0, ?8)",
        params![campaign, id.as_str(), key, day, first, offset, count, now.0],
    )?;
    match run {
        Some(_) => {
            let sql = "UPDATE campaign SET stock = stock + ?2 WHERE number = ?1";
            txn.run(sql, params![campaign, count])
        }
        None => Ok(()),
    }
}

pub(crate) fn batch(
    txn: &Txn<'_>,
    campaign: &CampaignId,
    id: &BatchId,
) -> SqlResult<Option<Batch>> {
    txn.flush()?;
    let sql = rows::select_batch!(
        " FROM batch WHERE batch_id = ?2 AND campaign = \
          (SELECT number FROM campaign WHERE campaign_id = ?1)"
    );
    txn.first(sql, params![campaign.as_str(), id.as_str()], |row| rows::batch(row, campaign))
}
