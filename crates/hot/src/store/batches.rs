//! Batches: made by name, once; those that are minted, and what is said of all.

use async_trait::async_trait;
use coupon::campaign::Batch;
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::KeyId;

use crate::audit::Act;
use crate::{MintOrder, Named, Result};

#[async_trait]
pub trait Batches {
    /// Reserves `order.count` serials for a batch: one small write, whatever the count.
    async fn mint(
        &self,
        campaign: &CampaignId,
        order: MintOrder,
        act: &Act,
    ) -> Result<Named<Batch>>;

    /// The batches of a campaign in the order of their creation, after the batch `after`.
    async fn batches(
        &self,
        campaign: &CampaignId,
        after: Option<BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>>;

    async fn batch(&self, campaign: &CampaignId, id: &BatchId) -> Result<Option<Batch>>;

    async fn pause_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        act: &Act,
    ) -> Result<Option<Batch>>;

    /// Every key that some batch names.
    async fn keys_in_use(&self) -> Result<Vec<KeyId>>;
}
