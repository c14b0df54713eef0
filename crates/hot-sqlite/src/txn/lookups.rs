//! Look-ups of campaigns, batches and seals: each is read once, and then remembered in `CachedRows`.

use std::sync::Arc;

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::KeyId;
use coupon::time::{Day, Millis};
use router::{KeyRing, OwnedRun, Owner, openings};
use rusqlite::{Result as SqlResult, Row, params};

use super::Txn;
use super::seen::{keep, known};
use crate::columns::{parsed, signed, unsigned};
use crate::failure::damaged;
use crate::rows::{self, BatchHere, CampaignHere};

/// What the column `sealed` says of a partition whose coupons were deleted.
const DELETED: u8 = 2;

impl Txn<'_> {
    pub(crate) fn campaign(&self, id: &CampaignId) -> SqlResult<Option<CampaignHere>> {
        let known = self.seen.numbers.borrow().get(id).copied();
        if let Some(number) = known {
            return self.campaign_at(number).map(Some);
        }
        let sql = "SELECT number FROM campaign WHERE campaign_id = ?1";
        let number = self.first(sql, [id.as_str()], |row| row.get(0))?;
        let Some(number) = number else { return Ok(None) };
        keep(&self.seen.numbers, id.clone(), &number);
        self.campaign_at(number).map(Some)
    }

    pub(crate) fn campaign_at(&self, number: i64) -> SqlResult<CampaignHere> {
        known(&self.seen()?.campaigns, number, || {
            let sql = rows::select_campaign!(" FROM campaign WHERE number = ?1");
            let terms = self.statement(sql)?.query_row([number], rows::campaign)?;
            Ok(CampaignHere { number, terms: Arc::new(terms) })
        })
    }

    pub(crate) fn batch_at(&self, number: i64) -> SqlResult<BatchHere> {
        let sql = "SELECT batch_id, campaign, paused, created_at, valid_from, expires_at, made_at, \
                   first_serial, moved FROM batch WHERE number = ?1";
        known(&self.seen()?.batches, number, || {
            self.statement(sql)?.query_row([number], rows::batch_here)
        })
    }

    pub(crate) fn run_with(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> SqlResult<Option<OwnedRun>> {
        let found: Option<(i64, i64, BatchId, MintedRun)> = self.first(
            "SELECT number, campaign, batch_id, key_id, first_serial, count FROM batch \
             WHERE expiry_day = ?1 AND first_serial <= ?2 ORDER BY first_serial DESC LIMIT 1",
            params![day.0, signed(serial)],
            |row| {
                let (first, count) = (unsigned(row, 4)?, unsigned(row, 5)?);
                let run = MintedRun { key: parsed(row, 3)?, day, first, count };
                Ok((row.get(0)?, row.get(1)?, parsed(row, 2)?, run))
            },
        )?;
        let Some((number, campaign, batch, run)) = found else { return Ok(None) };
        if run.key != key || !run.holds(serial) {
            return Ok(None);
        }
        let campaign = self.campaign_at(campaign)?.terms.id.clone();
        let hint = Some(rows::minted_number(number, 0));
        Ok(Some(OwnedRun { owner: Owner { campaign, batch }, run, hint }))
    }

    /// The number of the row that a minted code has or gets; `None` of any other code.
    pub(crate) fn minted_number(&self, code: &Code) -> SqlResult<Option<i64>> {
        let keys = self.seen.keys.as_ref().map(KeyRing::current).unwrap_or_default();
        for (key, minted) in openings(&keys, code) {
            if let Some(found) = self.run_with(key, minted.day, minted.serial)? {
                return Ok(found.hint_of(minted.serial));
            }
        }
        Ok(None)
    }

    /// Counts the coupon of a row as archived: the row is deleted in this transaction.
    pub(crate) fn count_archived(&self, number: i64, state: i64) -> SqlResult<()> {
        let campaign = self.batch_at(rows::batch_of(number))?.campaign;
        self.counts().archive(campaign, rows::state_name(state));
        Ok(())
    }

    pub(crate) fn owner_at(&self, batch: i64) -> SqlResult<Owner> {
        let sql = "SELECT campaign.campaign_id, batch.batch_id FROM batch \
                   JOIN campaign ON campaign.number = batch.campaign WHERE batch.number = ?1";
        let owner = |row: &Row<'_>| Ok(Owner { campaign: parsed(row, 0)?, batch: parsed(row, 1)? });
        let gone = || damaged("batch", format!("{batch} is gone"));
        known(&self.seen.owners, batch, || self.first(sql, [batch], owner)?.ok_or_else(gone))
    }

    /// The day on which a batch expires that has a coupon with a row. It never changes.
    pub(crate) fn expiry_day_of_batch(&self, number: i64) -> SqlResult<Day> {
        known(&self.seen.days, number, || {
            let sql = "SELECT expires_at FROM batch WHERE number = ?1 AND expires_at IS NOT NULL";
            let expires_at = self.first(sql, [number], |row| row.get(0))?;
            let no_dates = || damaged("batch", format!("{number} has coupons and no dates"));
            Ok(Day::expiry_day_of(Millis(expires_at.ok_or_else(no_dates)?)))
        })
    }

    /// A campaign and the number of its batch, by their names.
    pub(crate) fn batch(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> SqlResult<Option<(CampaignHere, i64)>> {
        let Some(campaign) = self.campaign(campaign)? else { return Ok(None) };
        let sql = "SELECT number FROM batch WHERE campaign = ?1 AND batch_id = ?2";
        let asked = params![campaign.number, batch.as_str()];
        let number = self.first(sql, asked, |row| row.get(0))?;
        Ok(number.map(|number| (campaign, number)))
    }

    pub(crate) fn is_sealed(&self, day: Day) -> SqlResult<bool> {
        Ok(self.seal_of(day)? != 0)
    }

    /// Whether the coupons of a sealed partition were deleted.
    pub(crate) fn is_deleted(&self, day: Day) -> SqlResult<bool> {
        Ok(self.seal_of(day)? == DELETED)
    }

    fn seal_of(&self, day: Day) -> SqlResult<u8> {
        let sql = "SELECT sealed FROM partition_plan WHERE expiry_day = ?1";
        known(&self.seen()?.sealed, day, || {
            Ok(self.first(sql, [day.0], |row| row.get(0))?.unwrap_or_default())
        })
    }
}
