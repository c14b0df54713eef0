//! Coupons with a row that came back to their batch: each is entered before it becomes available, so
//! that no walk misses it.
//!
//! They are spread as [`crate::spread`] says, from one partition on. A walk reads how many rows
//! there are before it reads them: whoever enters a coupon on a new level has raised that number
//! before, so the walk that begins after a coupon became available finds it.

use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId};

use super::WALKED_AT_ONCE;
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::outcome::Cas;
use crate::session::{Result, StatementProfile};
use crate::spread::FirstLevel;
use crate::values::signed;

/// A batch begins with one partition.
const FIRST: FirstLevel = FirstLevel(0);

/// A page of one partition.
pub(super) const RETURNED: &str =
    "SELECT version, code FROM returned WHERE campaign_id = ? AND batch_id = ? AND part = ?";

impl Store {
    /// Enters a coupon before it becomes available, in the version that it will have; in which
    /// partition.
    pub(crate) async fn enter_returned(
        &self,
        campaign: &CampaignId,
        coupon: &Coupon,
    ) -> Result<i32> {
        let part = self.part_to_enter(campaign, coupon).await?;
        let cql = "INSERT INTO returned (campaign_id, batch_id, part, version, code) \
                   VALUES (?, ?, ?, ?, ?)";
        let (batch, version) = (coupon.genesis().batch.as_str(), signed(coupon.version()));
        let values = (campaign.as_str(), batch, part, version, coupon.code().as_str());
        self.cluster.write(cql, values).await?;
        Ok(part)
    }

    /// The partition for the row of a coupon that is about to be entered; counts the row.
    pub(crate) async fn part_to_enter(
        &self,
        campaign: &CampaignId,
        coupon: &Coupon,
    ) -> Result<i32> {
        let batch = &coupon.genesis().batch;
        let key = (campaign.clone(), batch.clone());
        if self.returned.get(&key).is_none_or(|it| it.is_behind()) {
            let (_, rows) = self.leased(campaign, batch).await?;
            self.keep_returned(campaign, batch, rows);
        }
        let more = self.returned.count(&key, 1, self.count_step());
        if more > 0 {
            match self.add_returned(campaign, batch, more).await {
                Ok(rows) => self.keep_returned(campaign, batch, rows),
                Err(error) => {
                    self.returned.put_back(&key, more);
                    return Err(error);
                }
            }
        }
        let rows = self.returned.get(&key).map_or(0, |it| it.rows);
        let level = self.levels_of(rows).last().copied().unwrap_or(FIRST.0);
        Ok(FIRST.partition(level, coupon.code()))
    }

    fn levels_of(&self, rows: u64) -> Vec<u8> {
        // The first partition is one alone, and all processes write to it: half as much is enough.
        FIRST.levels(rows, (self.options.partition_rows / 2).max(1))
    }

    fn keep_returned(&self, campaign: &CampaignId, batch: &BatchId, rows: u64) {
        self.returned.keep((campaign.clone(), batch.clone()), rows, self.first_count());
    }

    /// Adds to the number of rows of a batch; how many there are then. May add twice what is not
    /// answered: the batch goes to the next level a little early.
    async fn add_returned(&self, id: &CampaignId, batch: &BatchId, more: u64) -> Result<u64> {
        let cql = "UPDATE lease SET returned_rows = ? WHERE campaign_id = ? AND batch_id = ? \
                   IF returned_rows = ?";
        let mut attempts = self.attempts("the coupons that came back to a batch");
        loop {
            let (_, rows) = attempts.looked(self.leased(id, batch).await)?;
            let present = (rows > 0).then(|| signed(rows));
            let values = (signed(rows + more), id.as_str(), batch.as_str(), present);
            let cas = self.cluster.change(attempts.profile(), cql, values).await;
            let applied = matches!(cas, Ok(Cas::Applied));
            if attempts.wrote(cas).await? && applied {
                return Ok(rows + more);
            }
        }
    }

    /// The partitions of a batch that may have rows, where `rows` is what the store says now.
    pub(super) async fn returned_parts(
        &self,
        id: &CampaignId,
        batch: &BatchId,
        rows: u64,
    ) -> Result<Vec<i32>> {
        let parts = FIRST.partitions(&self.levels_of(rows));
        if parts.len() == 1 {
            return Ok(parts);
        }
        // Most of many are empty, and each by itself would be a round trip.
        let cql = "SELECT version FROM returned WHERE campaign_id = ? AND batch_id = ? \
                   AND part = ? LIMIT 1";
        let looks = parts.into_iter().map(|part| async move {
            let values = (id.as_str(), batch.as_str(), part);
            let row: Option<(i64,)> = self.cluster.row(StatementProfile::Read, cql, values).await?;
            Ok::<_, hot::HotError>(row.map(|_| part))
        });
        Ok(bounded_join(WALKED_AT_ONCE, looks).await?.into_iter().flatten().collect())
    }
}
