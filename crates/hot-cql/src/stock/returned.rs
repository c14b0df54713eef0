//! Coupons with a row that came back to their batch.
//!
//! A coupon is entered here before it becomes available, so that no walk misses it. The rows are
//! spread as [`crate::spread`] describes, beginning with one CQL partition. A walk reads how many
//! rows there are before it reads them. A process that enters a coupon on a new level has raised
//! that number before, so a walk that begins after a coupon became available finds it.

use coupon::coupon::Coupon;
use coupon::ids::{BatchId, CampaignId};
use coupon::time::Millis;
use scylla::response::PagingState;

use super::walk::{StockState, StockWalk};
use super::{WALKED_AT_ONCE, WaitingCode};
use crate::CqlStore;
use crate::campaigns::{BatchHere, CampaignHere};
use crate::coupons::CqlCoupon;
use crate::spread::SpreadKey;
use crate::values::{parsed, signed};
use cql_session::Result;
use hot::bounded_join;

pub(crate) const RETURNED: &str =
    "SELECT version, code FROM returned WHERE campaign_id = ? AND batch_id = ? AND part = ?";

impl CqlStore {
    /// Before the coupon becomes available, in its next version. Returns the CQL partition.
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
        self.session.write(cql, values).await?;
        Ok(part)
    }

    /// The CQL partition for the row of a coupon that is about to be entered; counts the row.
    pub(crate) async fn part_to_enter(
        &self,
        campaign: &CampaignId,
        coupon: &Coupon,
    ) -> Result<i32> {
        let (campaign, batch) = (campaign.clone(), coupon.genesis().batch.clone());
        let spread = SpreadKey::Returned { campaign, batch };
        let level = self.level_to_write(&spread, 1).await?;
        Ok(spread.partition(level, coupon.code()))
    }

    /// The CQL partitions of a batch that may have rows, where `rows` is the store's number.
    pub(crate) async fn returned_parts(
        &self,
        id: &CampaignId,
        batch: &BatchId,
        rows: u64,
    ) -> Result<Vec<i32>> {
        let spread = SpreadKey::Returned { campaign: id.clone(), batch: batch.clone() };
        let parts = spread.partitions(rows, self.options.partition_rows);
        if parts.len() == 1 {
            return Ok(parts);
        }
        // Most of many are empty, and reading each after the other would be a round trip each.
        let cql = "SELECT version FROM returned WHERE campaign_id = ? AND batch_id = ? \
                   AND part = ? LIMIT 1";
        let looks = parts.into_iter().map(|part| async move {
            let values = (id.as_str(), batch.as_str(), part);
            Ok::<_, hot::HotError>(self.session.has(cql, values).await?.then_some(part))
        });
        Ok(bounded_join(WALKED_AT_ONCE, looks).await?.into_iter().flatten().collect())
    }

    /// Reads what came back to a batch, where `rows` is the store's number at the beginning of this
    /// walk, to the end of the first page with something on offer.
    pub(super) async fn walk_returned(
        &self,
        campaign: &CampaignHere,
        batch: &BatchHere,
        rows: u64,
        at: Millis,
        walk: &mut StockWalk,
    ) -> Result<()> {
        let id = &campaign.terms.id;
        let day = batch.run.map(|run| run.day);
        let mut parts = self.returned_parts(id, &batch.id, rows).await?;
        self.begin_elsewhere(&mut parts);
        for part in parts {
            let values = (id.as_str(), batch.id.as_str(), part);
            let mut from = Some(PagingState::start());
            while let Some(state) = from.filter(|_| walk.needs(batch)) {
                let (rows, next) =
                    self.session.page::<(i64, String)>(RETURNED, values, state).await?;
                let waiting = rows.iter().map(|(version, code)| {
                    Ok(WaitingCode::returned(&batch.id, day, part, *version, parsed("code", code)?))
                });
                let mut waiting = waiting.collect::<Result<Vec<_>>>()?;
                self.begin_elsewhere(&mut waiting);
                for piece in waiting.chunks(WALKED_AT_ONCE) {
                    self.walk_piece(id, batch, piece, at, walk).await?;
                    if walk.has_enough(batch) {
                        break;
                    }
                }
                from = next;
            }
        }
        Ok(())
    }

    /// Reads some coupons that came back, and deletes the rows of those that can never be issued.
    async fn walk_piece(
        &self,
        id: &CampaignId,
        batch: &BatchHere,
        piece: &[WaitingCode],
        at: Millis,
        walk: &mut StockWalk,
    ) -> Result<()> {
        let looks = piece.iter().map(|waiting| self.look_at(waiting));
        let looks: Vec<Option<CqlCoupon>> = bounded_join(WALKED_AT_ONCE, looks).await?;
        let mut over = Vec::new();
        for (waiting, located) in piece.iter().zip(looks) {
            match walk.see(waiting, located.as_ref(), at) {
                StockState::Over => over.push(self.end_lease(id, &waiting.lease)),
                StockState::Open => {}
                StockState::Offered if batch.paused => walk.paused = true,
                StockState::Offered => walk.found.push(waiting.clone()),
            }
        }
        bounded_join(WALKED_AT_ONCE, over).await.map(drop)
    }

    /// Each process begins elsewhere: no lease protects what came back, and two processes that took
    /// the same would conflict.
    fn begin_elsewhere<T>(&self, items: &mut [T]) {
        if !items.is_empty() {
            let first = self.process.as_u128() % items.len() as u128;
            items.rotate_left(first as usize);
        }
    }
}
